"""From one store into another: pictures with their vectors, and all that is remembered beside them."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike import stores
from lookalike.errors import ModelMismatch, UsageError
from lookalike.indexing.plan import merge
from lookalike.reports import Progress, Report, Skip
from lookalike.stores import location
from lookalike.types import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.types import Batch, Floats, Store, Value

_compared = attrgetter(*(one.name for one in fields(Record) if one.name not in {"id", "scores"}))
_PICTURES = 1024  # in one transaction; the store gives fewer of long vectors
_SOME = 1_000  # pictures by which another gallery is told from a copy


def destination(to: str, root: str, name: str | None) -> str:
    """The address that a copy is to have.

    Args:
        to: a store's address, the folder of the pictures, or a folder that is to be the gallery.
        root: the folder of the pictures.
        name: of the copy among the galleries of the pictures' folder; None for the usual one.

    Raises:
        UsageError: there can be no gallery of that name, or it would have none.
    """
    found = location.destination(to, root, name or location.DEFAULT_NAME)
    if name is not None and found in {to, location.absolute(to)}:
        raise UsageError(
            f"{to} would be a gallery by itself, which has no name such as {name!r}; leave the name out, or "
            "copy to the folder of the pictures"
        )
    return found if name is None else location.address(str(Path(found).parent.parent), name, None)


def copy(
    source: Store,
    address: str,
    root: str,
    *,
    wanted: str | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Copy a gallery to another place, or bring the copy that is there up to date.

    Args:
        source: the gallery.
        address: where it is to be.
        root: the folder of its pictures.
        wanted: the root that the copy is to have; None for that which it has, and for a new one `root`.
        progress: called after every commit.

    Raises:
        ModelMismatch: there is a gallery with other vectors.
        UsageError: it is the very same gallery, there is a gallery of other pictures or of another root, or
            there can be no such gallery at that place.
    """
    started = time.monotonic()
    if address == source.address:
        raise UsageError(f"{address} can't be copied onto itself; tell another place")
    own = source.header
    header = replace(own, root=location.root_at(address, wanted or root))
    with closing(stores.open_store(address, create=header)) as target:
        theirs = target.header.space
        if not theirs.comparable(own.space) or target.header.classes != own.classes:
            raise ModelMismatch(
                f"the gallery {address} was made with {theirs.extractor} ({theirs.metric}), not with "
                f"{own.space.extractor} ({own.space.metric}) as {source.address}: {_instead(address)}"
            )
        top = _root(target)
        if wanted not in {None, top}:
            raise UsageError(f"the copy {address} has the root {top}, not {wanted}: {_instead(address)}")
        report = Report(root=top, gallery=target.address, model=own.space.extractor)
        with target.writing():
            bring(source, target, report, progress=progress)
    report.seconds = time.monotonic() - started
    return report


def bring(
    source: Store,
    target: Store,
    report: Report,
    *,
    change: Callable[[Floats], Floats] = lambda vectors: vectors,
    progress: Callable[[Progress], object] | None = None,
) -> None:
    """Bring a store up to date with another one.

    What it has already and is as it should be stays; what is not in the other one goes. So it can be
    stopped anywhere and started again. The vectors of a picture are taken to be unchanged where its
    record is. Class scores come along where both have the same classes. A store that holds mostly other
    pictures is left alone.

    Args:
        source: where pictures, skipped and removed files and folders are taken from; it is only read.
        target: where they come to; the caller holds the right to write to it.
        report: filled in as it goes.
        change: makes the target's vectors (n, other dim) of the source's (n, dim).
        progress: called after every commit.

    Raises:
        UsageError: most pictures of the target are not in the source; nothing was changed.
    """
    _follow(source, target, report)
    copy = _Copy(source, target, report, change)
    total, began = source.count(), time.monotonic()
    for batch in source.scan(batch=_PICTURES):
        copy.take(batch)
        if progress is not None:
            progress(Progress(copy.done, total, copy.refused, time.monotonic() - began))
    if target.folders() != source.folders():
        target.set_folders(source.folders())
    if target.indexed_ns != source.indexed_ns:
        target.note_indexed(source.indexed_ns)
    target.refresh()
    report.total = target.count()
    report.skipped = [Skip(skip.id, skip.reason) for skip in target.skipped()]


def _follow(source: Store, target: Store, report: Report) -> None:
    """Everything but the pictures that are there: what is gone, was skipped, or was taken out."""
    gone: list[str] = []
    forget: list[str] = []
    keep_out: list[str] = []
    some: list[str] = []
    seen, every = 0, 1 + target.count() // _SOME
    for mine, theirs in merge(target.states(), source.states()):
        if mine is not None and mine.status == "picture":
            some += [mine.id] if seen % every == 0 else []
            seen += 1
        status = None if theirs is None else theirs.status
        if mine is not None and mine.status != status:
            (gone if mine.status == "picture" else forget).append(mine.id)
        if theirs is not None and status == "removed" and (mine is None or mine.status != status):
            keep_out.append(theirs.id)
    _require_copy(source, target, some)
    report.removed += target.delete(gone)
    target.forget(forget)
    target.delete(keep_out, keep_out=True)
    known = frozenset(target.skipped())
    target.skip([skip for skip in source.skipped() if skip not in known])


def _require_copy(source: Store, target: Store, ids: Sequence[str]) -> None:
    """Raise `UsageError` where most of some pictures of the target are not in the source, by file or path."""
    pictures = [record for record in target.get(ids) if record is not None]
    digests = source.by_digest([record.digest for record in pictures])
    there = source.get(ids) if _root(source) == _root(target) else []
    known = {record.id for record in there if record is not None}
    ours = sum(record.digest in digests or record.id in known for record in pictures)
    if 2 * ours < len(pictures):
        raise UsageError(
            f"most pictures of the gallery {target.address} are not in {source.address}, and would be "
            f"removed; nothing was changed: {_instead(target.address)}"
        )


def _root(store: Store) -> str:
    """The folder that the ids of a gallery are relative to, as `Gallery.open` has it."""
    return store.header.root or str(Path(store.address).parent.parent)


def _instead(address: str) -> str:
    """What to do where a gallery stands in the way of a copy."""
    return f"tell another place, or remove that gallery with `lookalike delete --gallery {address}`"


@dataclass(slots=True)
class _Copy:
    """The pictures of one store on their way into another."""

    source: Store
    target: Store
    report: Report
    change: Callable[[Floats], Floats]
    done: int = 0
    refused: int = 0
    _types: Mapping[str, str] = field(init=False)
    _same_classes: bool = field(init=False)

    def __post_init__(self) -> None:
        self._types = self.source.fields()
        self._same_classes = self.source.header.classes == self.target.header.classes

    def take(self, batch: Batch) -> None:
        """Write what is new or changed of some pictures."""
        before = self.target.get([record.id for record in batch.records])
        pairs = enumerate(zip(batch.records, before, strict=True))
        rows = [row for row, (new, old) in pairs if old is None or not _same(new, old)]
        self.done += len(batch.records)
        self.report.unchanged += len(batch.records) - len(rows)
        if not rows:
            return
        records = [self._fitting(batch.records[row]) for row in rows]
        out = self.target.write(records, self.change(batch.vectors[rows]))
        self.target.skip(out)
        self.refused += len(out)
        refused = {skip.id for skip in out}
        known = {old.id for old in before if old is not None}
        written = [record.id for record in records if record.id not in refused]
        updated = sum(id_ in known for id_ in written)
        self.report.updated += updated
        self.report.added += len(written) - updated

    def _fitting(self, record: Record) -> Record:
        """A record as the target takes it: a field has the type that its first value gives it."""
        metadata = {name: self._typed(name, value) for name, value in record.metadata.items()}
        return replace(record, metadata=metadata, scores=record.scores if self._same_classes else ())

    def _typed(self, name: str, value: Value) -> Value:
        return float(value) if self._types.get(name) == "real" and isinstance(value, int) else value


def _same(new: Record, old: Record) -> bool:
    """Whether two records of one id are of the same picture; its scores follow from that."""
    return bool(_compared(new) == _compared(old))

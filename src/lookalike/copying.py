"""From one store into another: pictures with their vectors, and all that is remembered beside them."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from lookalike import stores
from lookalike.errors import ModelMismatch, UsageError
from lookalike.plan import merge
from lookalike.results import Progress, Report, Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lookalike.types import Batch, Floats, Header, Record, Store, Value

_compared = attrgetter("source", "size", "mtime_ns", "digest", "width", "height", "metadata", "thumbnail")
_kind = attrgetter("extractor", "digest", "dim", "metric", "normalized", "classes")
_PICTURES = 1024  # in one transaction; the store gives fewer of long vectors


def copy(
    source: Store,
    header: Header,
    address: str,
    *,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Copy a gallery to another place, or bring the copy that is there up to date.

    Args:
        source: the gallery.
        header: of the copy.
        address: where it is to be.
        progress: called after every commit.

    Raises:
        ModelMismatch: there is a gallery with other vectors.
        UsageError: it is the very same gallery, or there can be no such gallery at that place.
    """
    started = time.monotonic()
    if address == source.address:
        raise UsageError(f"{address} can't be copied onto itself; tell another place")
    with closing(stores.open_store(address, create=header)) as target:
        if _kind(target.header) != _kind(header):
            raise ModelMismatch(
                f"the gallery {address} was made with {target.header.extractor} ({target.header.metric}), "
                f"not with {header.extractor} ({header.metric}) as {source.address}: tell another place, or "
                f"remove that one with `lookalike delete --gallery {address}`"
            )
        report = Report(root=header.root, gallery=target.address, model=header.extractor)
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
    record is. Class scores come along where both have the same classes.

    Args:
        source: where pictures, skipped and removed files and folders are taken from; it is only read.
        target: where they come to; the caller holds the right to write to it.
        report: filled in as it goes.
        change: makes the target's vectors (n, other dim) of the source's (n, dim).
        progress: called after every commit.
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
    target.refresh()
    report.total = target.count()
    report.skipped = [Skip(skip.id, skip.reason) for skip in target.skipped()]


def _follow(source: Store, target: Store, report: Report) -> None:
    """Everything but the pictures that are there: what is gone, was skipped, or was taken out."""
    gone: list[str] = []
    forget: list[str] = []
    keep_out: list[str] = []
    for mine, theirs in merge(target.states(), source.states()):
        status = None if theirs is None else theirs.status
        if mine is not None and mine.status != status:
            (gone if mine.status == "picture" else forget).append(mine.id)
        if theirs is not None and status == "removed" and (mine is None or mine.status != status):
            keep_out.append(theirs.id)
    report.removed += target.delete(gone)
    target.forget(forget)
    target.delete(keep_out, keep_out=True)
    known = frozenset(target.skipped())
    target.skip([skip for skip in source.skipped() if skip not in known])


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

"""Bring a gallery up to date: plan, run the pipeline, clear away what is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import NotTrusted, UsageError
from lookalike.extractors.names import require_model
from lookalike.indexing import folder_notes, nesting, pipeline_notes
from lookalike.indexing.extract import Describer
from lookalike.indexing.outdated import Corrections
from lookalike.indexing.pipeline import Counts, Job, Pipeline, Workers
from lookalike.indexing.plan import Plan, Wishes, Work, plan
from lookalike.indexing.replaced import users_fields
from lookalike.reports import Report, Skip
from lookalike.sources import ignoring, remote
from lookalike.sources import table as listed
from lookalike.sources.folder import Walk, id_of, is_address, is_text, path_of, prefix_of, under
from lookalike.sources.memory import Memory
from lookalike.sources.packed import Packed, Packs
from lookalike.sources.resolve import checked_id, path_given
from lookalike.sources.table import Row, Seen
from lookalike.stores.records import FILES, new_fields
from lookalike.system.text import redact
from lookalike.system.tracing import timed
from lookalike.types import PICTURE_FIELDS

if TYPE_CHECKING:
    from lookalike.extractors.model import Model
    from lookalike.indexing.extract import Part
    from lookalike.reports import Progress
    from lookalike.sources.access import Access
    from lookalike.sources.base import Source
    from lookalike.sources.resolve import Given, Sorted
    from lookalike.types import Extractor, Record, State, Store, Value

_BATCH = 1024

Item = TypeVar("Item")


@dataclass
class Fill:
    """One run of adding to a gallery.

    store: the caller holds the right to write to it.
    access: of the gallery.
    report: filled in as it goes.
    failed: what could not be read, and the store does not remember.
    workers: who describes pictures, if not the threads of this process; and the model they are to build.
    column: which one of a table names its pictures.
    allow_private: whether a table's addresses may lead into this machine or its network.
    everything: whether the caller named all that is to be read.
    sources: those that he gave as they are.
    """

    store: Store
    access: Access
    extractor: Callable[[], Extractor]
    report: Report
    progress: Callable[[Progress], object] | None = None
    failed: list[Skip] = field(default_factory=list)
    workers: tuple[Workers, Model] | None = None
    column: str | None = None
    allow_private: bool = False
    everything: bool = False
    sources: Sequence[Source] = ()

    def __post_init__(self) -> None:
        self.root = self.access.root
        self.reading = self.access.of_run(everything=self.everything, sources=self.sources)
        self.packs = Packs(self.reading)

    def add(
        self,
        given: Sorted,
        wishes: Wishes,
        *,
        exclude: tuple[str, ...],
        hidden: bool,
        metadata: Mapping[str, Mapping[str, Value]],
    ) -> None:
        """Do what `Gallery.add` says."""
        before = {(skip.id, skip.reason) for skip in self.store.skipped()}
        known = frozenset(folder.prefix for folder in self.store.folders())
        walks = [self._walk(folder, exclude, known, hidden=hidden) for folder in given.folders]
        walks += given.sources
        self._check_fields(metadata)
        outdated = Corrections(self.store, self.access)
        wishes = outdated.wishes(wishes)
        with timed("folders looked through"):
            planned = plan(self.store, walks, wishes)
        try:
            self._plan_files(given.files, planned)
            if given.tables:
                with closing(Seen()) as seen:
                    walked = [walk.prefix for walk in walks]
                    self._plan_tables(given, planned, walked, seen, restore=wishes.restore)
            # Before the long part: a run that is stopped is to know its folders the next time.
            if planned.folders != planned.known:
                self.store.set_folders(planned.folders, seen=planned.known)
            if given.folders and wishes.limit is None:
                outdated.plan(planned, [walk.prefix for walk in walks])
            with timed(f"{planned.count:,} files read and described"):
                self._run(planned, given.rest, prune=wishes.prune)
            self._clear(planned)
        finally:
            planned.close()
        self.report.missing += planned.missing
        self.report.notes += [*folder_notes.notes(planned, self.root), *outdated.notes()]
        if not planned.known:
            self.report.notes += nesting.notes(self.store.address, self.root, walks)
        self.report.left_out = folder_notes.left_out(planned)
        self.failed += folder_notes.unlisted(planned)
        if metadata:
            self._describe(metadata)
        if given.folders and wishes.limit is None:
            self.store.note_indexed(time.time_ns())
        with timed("codes brought up to date"):
            self.store.refresh()
        self.report.total = self.store.count()
        skipped = {skip.id: Skip(skip.id, skip.reason) for skip in self.store.skipped()}
        skipped |= {skip.path: skip for skip in (*planned.reported, *self.failed)}
        self.report.skipped = [skipped[id_] for id_ in sorted(skipped)]
        self.report.known = frozenset(skip.path for skip in self.report.skipped if tuple(skip) in before)

    def again(self, before: Store) -> list[Skip]:
        """Describe every picture of another store for this one; those that can't be read now."""
        self._drop_outdated(before)
        pipeline = self._pipeline(total=before.count(), before=before, anew=True)
        pipeline.run(self._works_of(before))
        self._count(pipeline.counts)
        lost = [Skip(skip.id, skip.reason) for skip in self.store.skipped()] + self.failed
        self.store.skip([skip for skip in before.skipped() if skip.id not in {s.path for s in lost}])
        self.store.refresh()
        return lost

    def _drop_outdated(self, before: Store) -> None:
        """Forget what an earlier attempt described and what has changed since; bring fields up to date."""
        removed = before.removed()
        restored = set(self.store.removed()).difference(removed)
        self.store.forget([*(skip.id for skip in self.store.skipped()), *restored])
        self.store.delete(removed, keep_out=True)
        pictures = (state.id for state in self.store.states() if state.status == "picture")
        for ids in batches(pictures):
            pairs = list(zip(self.store.get(ids), before.get(ids), ids, strict=True))
            same = {id_: old for new, old, id_ in pairs if new and old and new.digest == old.digest}
            self.store.delete([id_ for id_ in ids if id_ not in same])
            fields = {id_: own for id_, old in same.items() if (own := users_fields(old))}
            if fields:
                self.store.update(fields)

    def _walk(self, folder: str, exclude: tuple[str, ...], known: frozenset[str], *, hidden: bool) -> Source:
        if is_address(folder):
            return self.reading.walk(folder, hidden=hidden, exclude=exclude)
        if reason := self.reading.refusal_at(os.path.join(folder, ignoring.IGNORE_FILE)):  # noqa: PTH118
            raise NotTrusted(f"{ignoring.IGNORE_FILE} of {folder} is not read: {reason}")
        prefix, ignored = prefix_of(folder, self.root), ignoring.of_folder(Path(folder), exclude)
        if self.packs.holds(folder):
            return self.packs.walk(folder, prefix, ignored)
        # Not into the gallery itself, wherever it is kept, nor from above into the root.
        left_out = {self.store.address, *([self.root] if folder != self.root else [])}
        return Walk(folder, prefix, hidden, ignored, frozenset(left_out), known)

    def _check_fields(self, metadata: Mapping[str, Mapping[str, Value]]) -> None:
        """Before the long part: whether the fields fit those the gallery has.

        Raises:
            UsageError: a field has another type than in the gallery, or belongs to the gallery.
        """
        types = self.store.fields()
        own = {"folder", "name", "width", "height"}
        for fields in metadata.values():
            for name, value in fields.items():
                wanted = (str,) if types.get(name) == "text" else (int, float) if name in types else (object,)
                if name in own or not isinstance(value, wanted):
                    reason = "is the gallery's own" if name in own else f"holds {types[name]}, not {value!r}"
                    raise UsageError(f"the field {name!r} {reason}; rename the column or correct the value")
        new = new_fields(types, metadata.values())
        # Before pictures say the same of themselves: a field that the user has is as the user has it.
        if named := {name: type_ for name, type_ in new.items() if name in PICTURE_FIELDS}:
            self.store.define(named)

    def _plan_files(self, files: Sequence[str], planned: Plan) -> None:
        """Files named one by one come in even if they were removed, or could not be read before."""
        for start in range(0, len(files), _BATCH):
            ids = [id_of(path, self.root) for path in files[start : start + _BATCH]]
            for id_, record in zip(ids, self.store.get(ids), strict=True):
                self._plan_file(id_, record, planned)

    def _plan_tables(
        self, given: Sorted, planned: Plan, walked: Sequence[str], seen: Seen, *, restore: bool
    ) -> None:
        """What tables name and the gallery has not is read, once; addresses it has are not asked for again.

        Args:
            given: with the tables, and files that are planned already.
            planned: what is to be done for folders and files; the rest is added.
            walked: prefixes of the folders.
            seen: gathers the ids that are planned, so that each is once.
            restore: whether pictures that were taken out come in again.
        """
        planned_before = (work.id for work in planned.works())
        for id_ in chain((id_of(path, self.root) for path in given.files), planned_before):
            seen.add(id_)
        out = frozenset[str]() if restore else frozenset(self.store.removed())
        for table in given.tables:
            without = 0
            for places in batches(listed.places(table, self.column)):
                rows = [listed.row_of(place, self.root) for place in places if place and is_text(place)]
                without += len(places) - len(rows)
                fresh = [row for row in rows if row.id not in out and seen.add(row.id)]
                for row, record in zip(fresh, self._records(fresh), strict=True):
                    # What the gallery has in a folder that was walked is dealt with.
                    if record is None or not any(under(row.id, prefix) for prefix in walked):
                        self._plan_row(row, record, planned)
            if without:
                self.report.notes.append(f"{without:,} rows of {table} name no picture")

    def _records(self, rows: Sequence[Row]) -> list[Record | None]:
        """What the gallery has of a table's rows; one of before has the whole address of some as their id."""
        known = self.store.get([row.id for row in rows])
        if not any(row.address for row in rows):
            return known
        before = self.store.get([row.address or row.id for row in rows])
        return [record or old for record, old in zip(known, before, strict=True)]

    def _plan_row(self, row: Row, record: Record | None, planned: Plan) -> None:
        id_ = row.id
        if not is_address(id_):
            self._plan_file(id_, record, planned)
        elif record is not None:
            planned.unchanged += 1
        elif row.refusal:
            planned.reported.append(Skip(id_, row.refusal))
        elif not remote.is_remote(id_):
            web = Work(id_, 0, 0, "url", known=False, address=row.address, thumbnail=True)
            planned.push(web._replace(private=self.allow_private))
        elif refusal := remote.refusal(id_, allow_private=self.allow_private):
            planned.reported.append(Skip(redact(id_), refusal))
        else:
            thumbnail = self.reading.keeps_thumbnail(id_)
            planned.push(Work(id_, 0, 0, "file", known=False, thumbnail=thumbnail))

    def _plan_file(self, id_: str, record: Record | None, planned: Plan) -> None:
        try:
            size, mtime_ns = self._stat(id_)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            planned.reported.append(Skip(id_, getattr(error, "strerror", None) or str(error)))
            planned.missing += record is not None
            return
        if record is not None and (record.size, record.mtime_ns) == (size, mtime_ns):
            planned.unchanged += 1
            return
        source, thumbnail = "file" if record is None else record.source, self.reading.keeps_thumbnail(id_)
        planned.push(Work(id_, size, mtime_ns, source, record is not None, thumbnail=thumbnail))

    def _stat(self, id_: str) -> tuple[int, int]:
        return self.reading.stat(id_)

    def _run(self, planned: Plan, rest: Iterable[Given], *, prune: bool) -> None:
        total = planned.count + len(rest) if isinstance(rest, Sized) else None
        self.report.unchanged += planned.unchanged
        if total == 0:
            return
        pipeline = self._pipeline(total=total, gone=self._gone(planned), prune=prune)
        works = chain(map(self._unpacked, planned.works()), self._works(rest, planned))
        pipeline.run(works, self._elsewhere(pipeline.here))
        self._count(pipeline.counts)
        if self.workers is not None:
            self.report.notes.append(f"the workers took {pipeline.waited:.1f} s to begin")
        self.report.notes += pipeline_notes.notes(pipeline)

    def _elsewhere(self, here: Describer) -> Callable[[Iterable[Work | Memory]], Generator[Part]] | None:
        """How the workers describe, if there are any."""
        if self.workers is None:
            return None
        workers, model = self.workers
        store = self.store.address if self.store.limits.writers != 1 else None
        job = Job(store, self.store.header, model, self.reading)
        require_model(job.header.space.extractor, self.access)
        return lambda works: workers.describe(works, job, here)

    def _unpacked(self, work: Work) -> Work | Memory:
        """The picture of a work that is one of many in a file."""
        if work.source != Packed.name:
            return work
        fault = "the file that it was in was changed meanwhile"
        return self.packs.picture(work.id) or Memory(work.id, b"", fault=fault)

    def _works(self, rest: Iterable[Given], planned: Plan) -> Iterator[Work | Memory]:
        for item in rest:
            path = path_given(item)
            if path is not None:
                yield from self._works_of_file(path, planned)
            elif isinstance(item, tuple):
                yield Memory(checked_id(item), item[1])
            elif (row := listed.row_of(str(item), self.root)).refusal:
                planned.reported.append(Skip(row.id, row.refusal))
            else:
                yield Work(row.id, 0, 0, "url", address=row.address, thumbnail=True, private=True)

    def _works_of_file(self, path: str, planned: Plan) -> Iterator[Work]:
        if self.reading.is_folder(path) if is_address(path) else os.path.isdir(path):  # noqa: PTH112
            raise UsageError(f"{path} is a folder; give folders in a list, not one by one from a generator")
        one = Plan()
        self._plan_files([path], one)
        self.report.unchanged += one.unchanged
        planned.missing += one.missing
        planned.reported += one.reported
        yield from one.works()
        one.close()

    def _pipeline(
        self,
        *,
        total: int | None,
        before: Store | None = None,
        gone: Callable[[str], bool] = lambda _: False,
        prune: bool = False,
        anew: bool = False,
    ) -> Pipeline:
        return Pipeline(
            store=self.store,
            here=Describer(self.store, self.extractor, self.reading),
            before=before or self.store,
            gone=gone,
            prune=prune,
            anew=anew,
            total=total,
            failed=self.failed,
            progress=self.progress,
        )

    def _gone(self, planned: Plan) -> Callable[[str], bool]:
        """Whether a picture's own file is gone for good, and not merely out of sight."""
        vanished = frozenset(planned.vanished)

        def gone(id_: str) -> bool:
            if id_ in vanished:
                return True
            record = self.store.get([id_])[0]
            path = path_of(id_, self.root)
            return (
                record is not None
                and record.source == "file"
                and not is_address(id_)
                and not self.access.refusal(id_)
                and not any(under(id_, prefix) for prefix in planned.unseen)
                and os.path.isdir(os.path.dirname(path))  # noqa: PTH112, PTH120
                and not os.path.lexists(path)
            )

        return gone

    def _works_of(self, before: Store) -> Iterator[Work | Memory]:
        pictures = (state for state in before.states() if state.status == "picture")
        for states in batches(pictures):
            done = self.store.get([state.id for state in states])
            left = [state for state, record in zip(states, done, strict=True) if record is None]
            kept = self._kept([state for state in left if state.source not in FILES], before)
            for state in left:
                if (memory := kept.get(state.id)) is not None:
                    yield memory
                elif state.source in FILES or state.id in kept:
                    thumbnail = self.reading.keeps_thumbnail(state.id)
                    yield Work(state.id, state.size, state.mtime_ns, state.source, thumbnail=thumbnail)

    def _kept(self, states: Sequence[State], before: Store) -> dict[str, Memory | None]:
        """Pictures that are no files, by id; None for one that its source gives again."""
        records = before.get([state.id for state in states])
        pairs = [(s, record) for s, record in zip(states, records, strict=True) if record is not None]
        return {state.id: self._kept_of(state, record) for state, record in pairs}

    def _kept_of(self, state: State, record: Record) -> Memory | None:
        if state.source == Packed.name and (memory := self.packs.picture(state.id)) is not None:
            return memory._replace(metadata={})  # what it has may have been corrected since
        if self.reading.source_of(state.id) is not None:
            return None
        return Memory(state.id, record.thumbnail or b"", state.source)

    def _count(self, counts: Counts) -> None:
        self.report.added += counts.added
        self.report.updated += counts.updated
        self.report.unchanged += counts.unchanged
        self.report.moved += counts.moved
        self.report.missing += counts.missing

    def _clear(self, planned: Plan) -> None:
        """Delete what is gone; what the pipeline recognised elsewhere is deleted already."""
        for start in range(0, len(planned.vanished), _BATCH):
            self.report.removed += self.store.delete(planned.vanished[start : start + _BATCH])
        if planned.forget:
            self.store.forget(planned.forget)
        if planned.faults:
            self.store.skip(planned.faults)
        if planned.walked:
            self.store.touch(planned.walked)

    def _describe(self, metadata: Mapping[str, Mapping[str, Value]]) -> None:
        by_id = {self._id(key): fields for key, fields in metadata.items()}
        known = self.store.update(by_id)
        if known < len(by_id):
            self.report.notes.append(
                f"{len(by_id) - known:,} of {len(by_id):,} rows of metadata name no picture of the gallery"
            )

    def _id(self, key: str) -> str:
        if self.store.get([key])[0] is not None:
            return key
        return id_of(os.path.normpath(os.path.join(self.root, os.path.expanduser(key))), self.root)  # noqa: PTH111, PTH118


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield what there is in lists of at most 1,024."""
    items = iter(items)
    while batch := list(islice(items, _BATCH)):
        yield batch

"""The pipeline from files to rows: read ahead on threads, run the network, write in batches.

Loader threads read, digest and decode chunks of files in a bounded window; `extractor.parallel`
threads run the network; the calling thread alone writes, one transaction a batch. So memory does
not depend on how many pictures there are, and what a batch committed stays whatever happens next.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike.loading import Loader, Memory, chunks
from lookalike.results import Progress, Skip
from lookalike.types import Skipped, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lookalike.images import ImageLimits
    from lookalike.loading import Loaded
    from lookalike.plan import Work
    from lookalike.types import Extraction, Extractor, Floats, Record, Store

_COMMIT_ROWS = 256
_COMMIT_BYTES = 32 << 20
_COMMIT_SECONDS = 2.0
_KEPT_SCORES = 20


class _Row(NamedTuple):
    """A picture described, to be written."""

    record: Record
    vector: Floats


@dataclass(slots=True)
class Counts:
    """What a pipeline has written so far."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    missing: int = 0
    skipped: int = 0
    described: int = 0

    @property
    def done(self) -> int:
        """How many of the works are dealt with and safe on disk."""
        return self.added + self.updated + self.unchanged + self.moved + self.missing + self.skipped


@dataclass
class Pipeline:
    """Reads, describes and writes pictures.

    store: where to write; the caller holds the right to.
    extractor: gives the model when the first picture needs it.
    root: of the gallery, an absolute path.
    limits: on what is opened.
    before: where to look for what was known of a picture: the store, or the one it replaces.
    gone: tells of an id with the digest of a new file whether its own file is gone for good, so
        that the new one is that picture moved.
    prune: whether a picture whose file can't be read any more goes; else it is kept, as missing.
    anew: whether pictures of `before` are described again; those that are no files by their thumbnail.
    total: how many works there will be, if known.
    failed: gathers what could not be read and is not for the store to remember.
    progress: called after every commit.
    """

    store: Store
    extractor: Callable[[], Extractor]
    root: str
    limits: ImageLimits
    before: Store
    gone: Callable[[str], bool] = lambda _: False
    prune: bool = False
    anew: bool = False
    total: int | None = None
    failed: list[Skip] = field(default_factory=list)
    progress: Callable[[Progress], object] | None = None
    counts: Counts = field(default_factory=Counts)
    _rows: list[_Row] = field(default_factory=list)
    _skips: list[Skipped] = field(default_factory=list)
    _same: list[Loaded] = field(default_factory=list)
    _again: list[Work | Memory] = field(default_factory=list)
    _renamed: dict[bytes, str] = field(default_factory=dict)
    _in_flight: set[bytes] = field(default_factory=set)
    _told: int = 0
    _started: float = field(default_factory=time.monotonic)
    _committed: float = field(default_factory=time.monotonic)

    def run(self, works: Iterable[Work | Memory]) -> None:
        """Deal with every work; whatever ends it early, what was described is written first."""
        with ExitStack() as ending:
            ending.callback(self._commit)
            loaders = ThreadPoolExecutor(_cores(), "lookalike-load")
            ending.callback(loaders.shutdown, cancel_futures=True)
            self._run(chunks(works), loaders, ending)
            while self._again:
                works, self._again = self._again, []
                self._run(chunks(works), loaders, ending)

    def _run(
        self, parts: Iterator[list[Work | Memory]], loaders: ThreadPoolExecutor, ending: ExitStack
    ) -> None:
        ahead = 2 * _cores() + 2
        loading: deque[Future[list[Loaded | Skipped]]] = deque()
        running: deque[tuple[list[Loaded], Future[Extraction]]] = deque()
        network: ThreadPoolExecutor | None = None
        load = Loader(self.store, self.extractor, self.root, self.limits).load
        while True:
            while len(loading) < ahead and (chunk := next(parts, None)) is not None:
                loading.append(loaders.submit(load, chunk))
            if not loading:
                break
            fresh = self._sort(loading.popleft().result())
            if fresh:
                if network is None:
                    network = ThreadPoolExecutor(self.extractor().parallel, "lookalike-network")
                    ending.callback(network.shutdown, cancel_futures=True)
                prepared = [loaded.prepared for loaded in fresh if loaded.prepared is not None]
                running.append((fresh, network.submit(self.extractor().extract, prepared)))
            while len(running) > ahead:
                self._gather(*running.popleft())
        while running:
            self._gather(*running.popleft())
        self._commit()

    def _sort(self, loaded: list[Loaded | Skipped]) -> list[Loaded]:
        """Put aside what is skipped or has a known digest; the rest is for the network."""
        fresh = []
        for item in loaded:
            if isinstance(item, Skipped):
                self._skips.append(item)
            elif item.prepared is None or item.record.digest in self._in_flight:
                self._same.append(item)
            else:
                self._in_flight.add(item.record.digest)
                fresh.append(item)
        if len(self._same) + len(self._skips) >= _COMMIT_ROWS:
            self._commit()
        return fresh

    def _gather(self, items: list[Loaded], extraction: Future[Extraction]) -> None:
        done = extraction.result()
        for row, item in enumerate(items):
            scores = () if done.scores is None else self._best_classes(done.scores[row])
            self._rows.append(_Row(replace(item.record, scores=scores), done.vectors[row]))
        size = sum(row.vector.nbytes for row in self._rows)
        late = time.monotonic() - self._committed > _COMMIT_SECONDS
        if len(self._rows) >= _COMMIT_ROWS or size >= _COMMIT_BYTES or late:
            self._commit()

    def _best_classes(self, scores: Floats) -> list[tuple[str, float]]:
        import numpy as np

        classes = self.extractor().classes
        if classes is None:
            return []
        best = np.argsort(-scores, kind="stable")[:_KEPT_SCORES]
        return [(classes.ids[i], float(scores[i])) for i in best.tolist() if scores[i] > 0]

    def _commit(self) -> None:
        """Write what has gathered, then what has the same bytes as something written."""
        rows, self._rows = self._rows, []
        skips, self._skips = self._skips, []
        if rows:
            self._write(rows)
        if skips:
            self._skip(skips)
        self._in_flight.difference_update(row.record.digest for row in rows)
        waiting = [item for item in self._same if item.record.digest in self._in_flight]
        same = [item for item in self._same if item.record.digest not in self._in_flight]
        self._same = waiting
        for start in range(0, len(same), _COMMIT_ROWS):
            self._reuse(same[start : start + _COMMIT_ROWS])
        self._committed = time.monotonic()
        if self.progress is not None and self.counts.done != self._told:
            self._told = self.counts.done
            seconds = self._committed - self._started
            self.progress(Progress(self.counts.done, self.total, self.counts.skipped, seconds))

    def _skip(self, skips: list[Skipped]) -> None:
        """Remember what could not be read; a picture known from before is kept, unless told to prune."""
        known = [record is not None for record in self.store.get([skip.id for skip in skips])]
        kept = {skip.id for skip, there in zip(skips, known, strict=True) if there and not self.prune}
        self.counts.missing += len(kept)
        self.counts.skipped += len(skips) - len(kept)
        told = kept | {skip.id for skip in skips if (skip.size, skip.mtime_ns) == (0, 0)}
        self.failed += (Skip(skip.id, skip.reason) for skip in skips if skip.id in told)
        self.store.skip([skip for skip in skips if skip.id not in told])

    def _write(self, rows: list[_Row]) -> None:
        import numpy as np

        records, known = self._keeping_metadata([row.record for row in rows])
        refused = self.store.write(records, np.stack([row.vector for row in rows]))
        out = {skip.id for skip in refused}
        if refused:
            self._skip(refused)
        self.counts.described += len(rows) - len(out)
        self.counts.updated += len(known - out)
        self.counts.added += len(rows) - len(known | out)

    def _keeping_metadata(self, records: list[Record]) -> tuple[list[Record], set[str]]:
        """Records that replace others keep the user's own fields of those; the ids of these others."""
        before = self.before.get([record.id for record in records])
        known = {old.id for old in before if old is not None}
        kept = [
            record if old is None else self._keeping(record, old)
            for record, old in zip(records, before, strict=True)
        ]
        return kept, known

    def _keeping(self, record: Record, old: Record) -> Record:
        own = {name: value for name, value in old.metadata.items() if name != "taken"}
        both = {**own, **record.metadata}
        if not self.anew or record.thumbnail is None:
            return replace(record, metadata=both)
        # Its thumbnail was all there was to look at: the rest stays as it was.
        self._renamed[record.digest] = record.id
        return replace(
            record,
            metadata=both,
            digest=old.digest,
            width=old.width,
            height=old.height,
            thumbnail=old.thumbnail,
        )

    def _reuse(self, items: list[Loaded]) -> None:
        """Give pictures whose bytes are known the vector of those; tell moves from copies."""
        known = self.store.by_digest([item.record.digest for item in items])
        moved: set[str] = set()
        copies: list[_Copy] = []
        same: list[Record] = []
        for item in items:
            renamed = self._renamed.get(item.record.digest)
            ids = [renamed] if renamed is not None else known.get(item.record.digest, [])
            if not ids:
                # The picture with these bytes was replaced in the meantime.
                self._again.append(item.again())
            elif item.record.id in ids and self._same_source(item):
                same.append(item.record)
            else:
                origin = next((id_ for id_ in ids if id_ not in moved and self.gone(id_)), None)
                moved |= set() if origin is None else {origin}
                copies.append(_Copy(item, origin or ids[0], moved=origin is not None))
        if same:
            self._touch(same)
        if copies:
            self._copy(copies)

    def _same_source(self, item: Loaded) -> bool:
        record = self.store.get([item.record.id])[0] if isinstance(item.work, Memory) else None
        return record is None or record.source == item.record.source

    def _touch(self, records: list[Record]) -> None:
        self.store.touch([State(r.id, "picture", r.source, r.size, r.mtime_ns) for r in records])
        fields = {record.id: record.metadata for record in records if record.metadata}
        if fields:
            self.store.update(fields)
        self.counts.unchanged += len(records)

    def _copy(self, copies: list[_Copy]) -> None:
        origins = self.store.get([copy.origin for copy in copies])
        vectors = self.store.vectors([copy.origin for copy in copies])
        records = [copy.record(old) for copy, old in zip(copies, origins, strict=True) if old is not None]
        records, known = self._keeping_metadata(records)
        self.store.write(records, vectors)
        self.store.delete([copy.origin for copy in copies if copy.moved])
        moved = {copy.item.record.id for copy in copies if copy.moved}
        self.counts.moved += len(moved)
        self.counts.updated += len(known - moved)
        self.counts.added += len(copies) - len(moved | known)


@dataclass(frozen=True, slots=True)
class _Copy:
    """A picture whose bytes are those of another, its origin, which is gone if this is a move."""

    item: Loaded
    origin: str
    moved: bool

    def record(self, origin: Record) -> Record:
        """The new picture's record; a move takes the user's own fields along."""
        mine = self.item.record
        taken = {name: value for name, value in origin.metadata.items() if name == "taken"}
        both = {**(origin.metadata if self.moved else taken), **mine.metadata}
        return replace(
            origin,
            id=mine.id,
            source=mine.source,
            size=mine.size,
            mtime_ns=mine.mtime_ns,
            thumbnail=mine.thumbnail,
            metadata=both,
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""The pipeline from pictures to rows: described by this process's threads or by workers, written here.

The calling thread alone writes, one transaction a batch. So memory does not depend on how many
pictures there are, and what a batch committed stays whatever happens next.
"""

from __future__ import annotations

import pickle
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lookalike import stores
from lookalike.errors import NotFound, UsageError
from lookalike.indexing.extract import Describer, Part, together
from lookalike.indexing.load import Loaded
from lookalike.indexing.plan import Work
from lookalike.indexing.replaced import keeping, users_fields, write
from lookalike.reports import Progress, Skip
from lookalike.types import State

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from lookalike.extractors.model import Model
    from lookalike.indexing.extract import Row
    from lookalike.sources.access import Access
    from lookalike.sources.memory import Memory
    from lookalike.types import Header, Record, Skipped, Store

_COMMIT_ROWS = 256
_COMMIT_BYTES = 32 << 20
_COMMIT_SECONDS = 2.0


class Job(NamedTuple):
    """What workers elsewhere must know to describe the pictures of a gallery.

    store: its address, where workers are to write; None where this process alone may.
    header: of the gallery.
    model: its model, to be built where it is needed.
    access: what is read, decided where the work began; its root is a path that the workers see, too.
    """

    store: str | None
    header: Header
    model: Model
    access: Access

    def pickled(self) -> bytes:
        """As it is sent there. Raises `UsageError` where the extractor can't be sent."""
        try:
            return pickle.dumps(self)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise UsageError(
                f"the extractor can't be sent to workers ({error}); open the gallery by the model's name"
            ) from error


class Workers(Protocol):
    """Who describes pictures elsewhere than on the threads of this process."""

    def describe(
        self, works: Iterable[Work | Memory], job: Job, here: Describer
    ) -> Generator[Part, None, None]:
        """Deal with every work; pictures that are no files may be left to this process, `here`."""
        ...


class Worker:
    """One of them: describes pictures for a job, and writes them where the job says so."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._describer: Describer | None = None
        self._ending = ExitStack()

    def describe(self, works: Iterable[Work]) -> Part:
        """What became of all of them."""
        describer = self._describer = self._describer or self._ready()
        done = together(list(describer.describe(works)))
        describer.claimed.clear()
        if describer.store is None:
            return done
        written = write(describer.store, done.rows) if done.rows else Part()
        return together([done._replace(rows=()), written])

    def close(self) -> None:
        """Let go of the store. A process that ends need not, for all that was written is durable."""
        self._ending.close()

    def _ready(self) -> Describer:
        job, store = self._job, None
        if job.store is not None:
            store = self._ending.enter_context(closing(stores.open_store(job.store)))
            # Left in the end only, for that makes the server look for all that was written.
            self._ending.enter_context(store.writing())
        return Describer(store, lambda: job.model.extractor(job.header), job.access)


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
    """Describes and writes pictures.

    store: where to write; the caller holds the right to.
    here: describes them by the threads of this process.
    before: where to look for what was known of a picture: the store, or the one it replaces.
    gone: tells of an id with the digest of a new file whether its own file is gone for good, so
        that the new one is that picture moved.
    prune: whether a picture whose file can't be read any more goes; else it is kept, as missing.
    anew: whether pictures of `before` are described again; those that are no files by their thumbnail.
    total: how many works there will be, if known.
    failed: gathers what could not be read and is not for the store to remember.
    progress: called after every commit.
    precisions: gathers those of the arithmetic that described something.
    damaged: gathers pictures that were described though something of them is missing.
    waited: seconds until workers elsewhere had begun.
    """

    store: Store
    here: Describer
    before: Store
    gone: Callable[[str], bool] = lambda _: False
    prune: bool = False
    anew: bool = False
    total: int | None = None
    failed: list[Skip] = field(default_factory=list)
    progress: Callable[[Progress], object] | None = None
    counts: Counts = field(default_factory=Counts)
    precisions: set[str] = field(default_factory=set)
    damaged: list[Skip] = field(default_factory=list)
    waited: float = 0.0
    _rows: list[Row] = field(default_factory=list)
    _skips: list[Skipped] = field(default_factory=list)
    _same: list[Loaded] = field(default_factory=list)
    _late: list[Loaded] = field(default_factory=list)
    _again: list[Work | Memory] = field(default_factory=list)
    _renamed: dict[bytes, str] = field(default_factory=dict)
    _told: int = 0
    _started: float | None = None
    _committed: float = field(default_factory=time.monotonic)

    def run(
        self,
        works: Iterable[Work | Memory],
        describe: Callable[[Iterable[Work | Memory]], Generator[Part, None, None]] | None = None,
    ) -> None:
        """Deal with every work; whatever ends it early, what was described is written first.

        Args:
            works: what to describe.
            describe: gives the parts instead of `here.describe`.
        """
        try:
            self._take_all((describe or self.here.describe)(works))
            while self._again or self._late:
                again, self._again = self._again, []
                self._take_all(self.here.describe(again))
        finally:
            self._commit()

    def _take_all(self, parts: Generator[Part, None, None]) -> None:
        with closing(parts):
            for part in parts:
                self.waited += part.waited
                if self._started is None:
                    # How long it took to get ready says nothing of how long the rest will take.
                    self._started = self._committed = time.monotonic()
                self._take(part if part.sifted else self._sifted(part))
        self._commit()

    def _take(self, part: Part) -> None:
        self._rows += part.rows
        self._same += part.same
        self._skips += part.skipped
        self.damaged += part.damaged
        self._count_written(part)
        size = sum(row.vector.nbytes for row in self._rows)
        late = time.monotonic() - self._committed > _COMMIT_SECONDS
        others = len(self._same) + len(self._skips)
        if len(self._rows) >= _COMMIT_ROWS or size >= _COMMIT_BYTES or others >= _COMMIT_ROWS or late:
            self._commit()

    def _count_written(self, part: Part) -> None:
        if part.precision:
            self.precisions.add(part.precision)
        self.counts.added += part.added
        self.counts.updated += part.updated
        self.counts.described += part.added + part.updated

    def _sifted(self, part: Part) -> Part:
        """The part of someone who did not know what the gallery holds."""
        known = self.store.by_digest([row.record.digest for row in part.rows])
        rows, same = [], list(part.same)
        for row in part.rows:
            record = row.record
            if row.anew:
                rows.append(row)
            elif record.digest in known or record.digest in self.here.claimed:
                work = Work(record.id, record.size, record.mtime_ns, record.source, row.known)
                work = work._replace(thumbnail=record.thumbnail is not None)
                same.append(Loaded(work, record))
            else:
                self.here.claimed.add(record.digest)
                rows.append(row)
        return part._replace(rows=rows, same=same)

    def _commit(self) -> None:
        """Write what has gathered, then what has the same bytes as something written."""
        rows, self._rows = self._rows, []
        skips, self._skips = self._skips, []
        if rows:
            self._write(rows)
        if skips:
            self._skip(skips)
        claimed = self.here.claimed
        claimed.difference_update(row.record.digest for row in rows)
        waiting = [item for item in self._same if item.record.digest in claimed]
        same = self._late + [item for item in self._same if item.record.digest not in claimed]
        self._same, self._late = waiting, []
        for start in range(0, len(same), _COMMIT_ROWS):
            self._reuse(same[start : start + _COMMIT_ROWS])
        self._committed = time.monotonic()
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None and self.counts.done != self._told:
            self._told = self.counts.done
            seconds = self._committed - (self._started or self._committed)
            self.progress(Progress(self.counts.done, self.total, self.counts.skipped, seconds))

    def _skip(self, skips: Sequence[Skipped]) -> None:
        """Remember what could not be read; a picture known from before is kept, unless told to prune."""
        known = [record is not None for record in self.store.get([skip.id for skip in skips])]
        kept = {skip.id for skip, there in zip(skips, known, strict=True) if there and not self.prune}
        self.counts.missing += len(kept)
        self.counts.skipped += len(skips) - len(kept)
        told = kept | {skip.id for skip in skips if (skip.size, skip.mtime_ns) == (0, 0)}
        self.failed += (Skip(skip.id, skip.reason) for skip in skips if skip.id in told)
        self.store.skip([skip for skip in skips if skip.id not in told])

    def _write(self, rows: Sequence[Row]) -> None:
        written = write(self.store, rows, self.before, self._keeping if self.anew else keeping)
        if written.skipped:
            self._skip(written.skipped)
        self._count_written(written)

    def _keeping(self, record: Record, old: Record) -> Record:
        """A picture of which its thumbnail was all there was to look at: the rest stays as it was."""
        kept = keeping(record, old)
        if record.thumbnail is None:
            return kept
        self._renamed[record.digest] = record.id
        return replace(
            kept,
            digest=old.digest,
            width=old.width,
            height=old.height,
            thumbnail=old.thumbnail,
            format=old.format,
            metadata=old.metadata,
            from_picture=old.from_picture,
        )

    def _reuse(self, items: list[Loaded]) -> None:
        """Give pictures whose bytes are known the vector of those; tell moves from copies."""
        if self.store.limits.writers != 1:
            self.store.refresh()  # others may have written what these are the same as
        known = self.store.by_digest([item.record.digest for item in items])
        moved: set[str] = set()
        copies: list[_Copy] = []
        same: list[Loaded] = []
        for item in items:
            renamed = self._renamed.get(item.record.digest)
            if renamed is not None and self.store.get([renamed])[0] is None:
                renamed = None  # it was refused
            ids = [renamed] if renamed is not None else known.get(item.record.digest, [])
            if not ids:
                # The picture with these bytes was replaced in the meantime.
                self._again.append(item.again())
            elif item.record.id in ids and self._same_source(item):
                same.append(item)
            else:
                origin = next((id_ for id_ in ids if id_ not in moved and self.gone(id_)), None)
                moved |= set() if origin is None else {origin}
                copies.append(_Copy(item, origin or ids[0], moved=origin is not None))
        if same:
            self._touch(same)
        if copies:
            self._copy(copies)

    def _same_source(self, item: Loaded) -> bool:
        record = self.store.get([item.record.id])[0] if item.record.thumbnail is not None else None
        return record is None or record.source == item.record.source

    def _touch(self, items: list[Loaded]) -> None:
        """Note new sizes and mtimes of pictures whose bytes did not change."""
        records = [item.record for item in items]
        before = self.store.get([record.id for record in records])
        for item, old in zip(items, before, strict=True):
            if item.work.known is None or old is None or _stamp(old) != _stamp(item.record):
                self.counts.unchanged += 1
            elif item.work.known:
                # It was read because it had changed: a worker that died wrote it before.
                self.counts.updated += 1
            else:
                self.counts.added += 1
        self.store.touch([State(r.id, "picture", r.source, r.size, r.mtime_ns) for r in records])
        fields = {record.id: given for record in records if (given := users_fields(record))}
        if fields:
            self.store.update(fields)

    def _copy(self, copies: list[_Copy]) -> None:
        origins = self.store.get([copy.origin for copy in copies])
        pairs = [(copy, old) for copy, old in zip(copies, origins, strict=True) if old is not None]
        try:
            vectors = self.store.vectors([copy.origin for copy, _ in pairs])
        except NotFound:
            pairs = []
        # Where somebody else has moved or deleted an origin it is looked up once more.
        there = {copy.item.record.id for copy, _ in pairs}
        self._late += (copy.item for copy in copies if copy.item.record.id not in there)
        if not pairs:
            return
        copies = [copy for copy, _ in pairs]
        records = [copy.record(old) for copy, old in pairs]
        before = self.before.get([record.id for record in records])
        keep = self._keeping if self.anew else keeping
        records = [keep(new, old) if old else new for new, old in zip(records, before, strict=True)]
        known = {old.id for old in before if old is not None}
        self.store.write(records, vectors)
        self.store.delete([copy.origin for copy in copies if copy.moved])
        moved = {copy.item.record.id for copy in copies if copy.moved}
        self.counts.moved += len(moved)
        self.counts.updated += len(known - moved)
        self.counts.added += len(copies) - len(moved | known)


def _stamp(record: Record) -> tuple[int, int]:
    return record.size, record.mtime_ns


@dataclass(frozen=True, slots=True)
class _Copy:
    """A picture whose bytes are those of another, its origin, which is gone if this is a move."""

    item: Loaded
    origin: str
    moved: bool

    def record(self, origin: Record) -> Record:
        """The new picture's record; a move takes the user's own fields along."""
        mine = self.item.record
        said = {name: origin.metadata[name] for name in origin.from_picture}
        given = users_fields(mine)
        both = {**(origin.metadata if self.moved else said), **given}
        return replace(
            origin,
            id=mine.id,
            source=mine.source,
            size=mine.size,
            mtime_ns=mine.mtime_ns,
            thumbnail=mine.thumbnail,
            metadata=both,
            from_picture=origin.from_picture - given.keys(),
        )

"""The embedded store: `Store` over one SQLite file and its cache of codes."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.errors import NotFound, StoreBusy, StoreUnavailable
from lookalike.indexes.cache import Cache
from lookalike.stores import records as record_rules
from lookalike.stores.sqlite import codec, codes_maintenance, database, filters, finding, replacing, tables
from lookalike.stores.sqlite import database as making
from lookalike.stores.sqlite.database import FILE, Database, live
from lookalike.stores.sqlite.file import WriterLock, directory_of
from lookalike.system import forks
from lookalike.types import Batch, Limits, Skipped

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lookalike.stores.sqlite.database import Live
    from lookalike.stores.sqlite.searching import Searcher
    from lookalike.stores.sqlite.vectors import Vectors
    from lookalike.types import (
        Floats,
        Folder,
        Header,
        Match,
        Neighbours,
        Record,
        State,
        Store,
        Term,
        Value,
        Where,
    )


class SqliteStore:
    """A gallery in a folder of its own.

    Args:
        folder: where it is.
        create: what to make there if nothing is there yet.
        file: the name of the SQLite file.
        lock: the right to write, where it is shared with another store.
        coded: rows from which on there are codes, where a search may go by them.

    Raises:
        NotFound, StoreCorrupt, StoreUnavailable: as `lookalike.stores.open_store` says.
    """

    def __init__(
        self,
        folder: Path,
        *,
        create: Header | None = None,
        file: str = FILE,
        lock: WriterLock | None = None,
        coded: int = codes_maintenance.LEAST_ROWS,
    ) -> None:
        self.folder = folder
        self.directory = directory_of(folder)
        self.lock = lock or WriterLock(self.directory, "lock")
        self.path = folder / file
        if create is not None and self.directory.status(file) is None:
            self._create(create)
        self.database = Database(self.directory, file)
        self.cache = Cache(self.directory.child("cache" if file == FILE else f"{file}.cache"))
        self._mutex = forks.lock()
        self._known: _Known | None = None
        self._codes = codes_maintenance.Upkeep(self.database, self.cache, self._header, coded)
        try:
            self.header  # noqa: B018 - a header that can't be read is found at once
        except BaseException:
            self.database.close()
            raise

    def _create(self, header: Header) -> None:
        codec.check_dim(header.space.dim)
        try:
            self.directory.make()
        except OSError as error:
            raise StoreUnavailable(
                f"{self.folder} can't be made ({error.strerror}); "
                "keep the gallery elsewhere with --gallery FOLDER"
            ) from error
        with self.lock.held():
            if self.directory.status(self.path.name) is None:
                making.create(self.directory, self.path.name, header)

    @property
    def header(self) -> Header:
        """What the gallery says of itself, now."""
        with self.database.reading() as connection:
            return self._header(connection)

    @property
    def limits(self) -> Limits:
        """What the store can do."""
        return Limits(None, codec.MAX_DIM, None)

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.folder)

    def writing(self) -> AbstractContextManager[None]:
        """Hold the right to write; see `lookalike.types.Store`."""
        return self.lock.held()

    def write(self, records: Sequence[Record], vectors: Floats) -> list[Skipped]:
        """Add or replace pictures; vectors are (n, dim). Raises `UsageError` for what can't be kept."""
        with self.writing():
            header = self.header
            record_rules.check_shape(vectors, len(records), header)
            keeper, numbers = _vectors(header), record_rules.class_numbers(header)
            # Of several records with one id the last counts.
            places = {record.id: place for place, record in enumerate(records)}
            misfits = keeper.misfits(vectors, normalized=header.space.normalized)
            faults = {
                place: record_rules.fault(records[place], numbers) or misfits.get(place)
                for place in places.values()
            }
            good = [place for place, reason in faults.items() if reason is None]
            if good:
                chosen, blobs = [records[place] for place in good], keeper.blobs(vectors[good])
                with self.database.changing() as change:
                    change.pictures = tables.pictures(change.connection, chosen, blobs, numbers)
                self._codes.keep_up(tail=codes_maintenance.TAIL_ROWS)
            refused = {place: reason for place, reason in faults.items() if reason is not None}
            return [record_rules.refused(records[place], reason) for place, reason in refused.items()]

    def search(self, queries: Floats, k: int, *, where: Where = (), exact: bool = False) -> list[Neighbours]:
        """The k best pictures for each row of queries (q, dim); see `lookalike.types.Store`."""
        import numpy as np

        queries = np.ascontiguousarray(queries, np.float32)
        record_rules.check_k(k)
        self._look_after_codes()
        with self.database.reading() as connection:
            now = live(connection)
            header = self._header(connection, now)
            record_rules.check_queries(queries, header)
            return self._searcher(header).search(connection, now, queries, k, where=where, everything=exact)

    def find(
        self, terms: Sequence[Term], k: int, *, where: Where = (), only: str | None = None
    ) -> list[Match]:
        """The k best pictures that satisfy every term; the score is stated in `finding`."""
        record_rules.check_k(k)
        with self.database.reading() as connection:
            numbers = record_rules.class_numbers(self._header(connection))
            return finding.find(connection, terms, k, where=where, only=only, numbers=numbers)

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Records in the order asked for; None for an id that is not there."""
        with self.database.reading() as connection:
            known = self._read(connection)
            return tables.records(connection, ids, known.header.classes, known.kinds)

    def vectors(self, ids: Sequence[str]) -> Floats:
        """Stored vectors (n, dim) in the order asked for. Raises `NotFound` for an unknown id."""
        with self.database.reading() as connection:
            keeper = _vectors(self._header(connection))
            known = tables.rows_of(connection, ids)
            if missing := [id_ for id_ in ids if id_ not in known]:
                raise NotFound(f"the gallery has no picture {missing[0]!r}")
            return keeper.each(connection, [known[id_] for id_ in ids])

    def scan(self, *, where: Where = (), batch: int = 1024) -> Iterator[Batch]:
        """Every picture that passes, with its vector, in the order of ids: one snapshot throughout."""
        with self.database.reading() as connection:
            known = self._read(connection)
            keeper = _vectors(known.header)
            size = max(1, min(batch, keeper.block))
            for numbers, records in tables.scan(connection, where, size, known.header.classes, known.kinds):
                yield Batch(records, keeper.each(connection, numbers))

    def states(self) -> Iterator[State]:
        """Every path the store remembers, sorted by id: one snapshot throughout."""
        with self.database.reading() as connection:
            yield from tables.states(connection)

    def by_digest(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """The ids of the pictures whose file has one of these digests."""
        with self.database.reading() as connection:
            return tables.by_digest(connection, digests)

    def touch(self, states: Sequence[State]) -> None:
        """Set size, mtime and source of pictures whose bytes did not change."""
        with self.writing(), self.database.changing() as change:
            tables.touch(change.connection, states)

    def update(self, metadata: Mapping[str, Mapping[str, Value]]) -> int:
        """Merge metadata into pictures; how many there were. Raises `UsageError` for a misfit."""
        with self.writing(), self.database.changing() as change:
            return tables.update(change.connection, metadata)

    def skip(self, files: Sequence[Skipped]) -> None:
        """Remember files that could not be indexed, in place of what was known of them."""
        with self.writing(), self.database.changing() as change:
            change.pictures = -tables.skip(change.connection, files)

    def skipped(self) -> list[Skipped]:
        """The files that could not be indexed, sorted by id."""
        with self.database.reading() as connection:
            return tables.skipped(connection)

    def forget(self, ids: Sequence[str]) -> None:
        """Forget that these paths were skipped or removed."""
        with self.writing(), self.database.changing() as change:
            tables.forget(change.connection, ids)

    def delete(self, ids: Sequence[str], *, keep_out: bool = False) -> int:
        """Delete pictures; with keep_out their ids stay out. How many there were."""
        with self.writing(), self.database.changing() as change:
            gone = tables.delete(change.connection, ids, keep_out=keep_out)
            change.pictures = -gone
            return gone

    def outdated(self, decoder: int) -> Iterator[str]:
        """The ids of pictures with a file, which a decoder of a lower version has read: one snapshot."""
        with self.database.reading() as connection:
            yield from tables.outdated(connection, decoder)

    def note_decoder(self, formats: Mapping[str, str], decoder: int) -> None:
        """Remember of pictures the format of their file and the version that would read it the same."""
        if formats:
            with self.writing(), self.database.changing() as change:
                tables.note_decoder(change.connection, formats, decoder)

    def removed(self) -> list[str]:
        """The ids that are to stay out, sorted."""
        with self.database.reading() as connection:
            return tables.removed(connection)

    def define(self, types: Mapping[str, str]) -> None:
        """Give fields of the metadata their types, unless they have one."""
        with self.writing(), self.database.changing() as change:
            tables.define(change.connection, types)

    def folders(self) -> list[Folder]:
        """The folders that were indexed."""
        with self.database.reading() as connection:
            return tables.folders(connection)

    def set_folders(self, folders: Sequence[Folder], *, seen: Sequence[Folder] | None = None) -> None:
        """Remember the folders that were indexed, in place of those before."""
        known = self.folders()
        if (wanted := record_rules.folders_after(known, folders, seen)) != known:
            with self.writing(), self.database.changing() as change:
                tables.set_folders(change.connection, wanted)

    def fields(self) -> dict[str, str]:
        """The fields a filter can name, with their types."""
        with self.database.reading() as connection:
            return filters.fields(connection)

    def values(self, field: str, k: int) -> list[Value]:
        """The k most frequent values of a field, of equally many the smaller first."""
        with self.database.reading() as connection:
            return filters.values(connection, field, k)

    @contextmanager
    def replacement(self, header: Header) -> Iterator[Store]:
        """A new store beside this one, which takes its place when the block ends well.

        What an earlier attempt with an equal header left is gone on with. Ids that are to stay out, folders
        and fields are taken over; everything else is for the caller to write.
        """
        with self.writing():
            new = replacing.beside(self, header)
            try:
                with self.database.reading() as connection:
                    carried = replacing.carried(connection)
                with new.database.changing() as change:
                    replacing.carry(change.connection, carried)
                yield new
                self.database.replace_by(new.database)
            finally:
                new.close()
            replacing.take_over(self, new)

    @property
    def token(self) -> str:
        """The gallery's identity, which a rebuilding leaves as it is."""
        with self.database.reading() as connection:
            return database.identity(connection).token

    @property
    def indexed_ns(self) -> int:
        """When the last complete indexing ended, in nanoseconds since 1970; 0 if that is not known."""
        with self.database.reading() as connection:
            return database.identity(connection).indexed_ns

    def note_indexed(self, time_ns: int) -> None:
        """Remember when an indexing ended."""
        with self.writing(), self.database.changing() as change:
            change.connection.execute("UPDATE live SET indexed_ns = ?", (time_ns,))

    def count(self) -> int:
        """How many pictures there are."""
        with self.database.reading() as connection:
            return tables.count(connection, live(connection).count)

    def bytes(self) -> int:
        """What it takes on disk, codes included."""
        return self.database.bytes() + self.cache.bytes()

    def check(self, *, repair: bool = False, told: Callable[[str], object] | None = None) -> list[str]:
        """Every fault found, in words; with repair, those left once what can be made again is."""
        from lookalike.stores.sqlite import checking, repairing

        with ExitStack() as held:
            if repair:
                held.enter_context(self.writing())
                for line in repairing.put_right(self.database, self.header, self.cache, self._codes):
                    if told is not None:
                        told(line)
            with self.database.reading() as connection:
                header = self._header(connection)
                return checking.faults(connection, header, self.cache)

    def refresh(self) -> None:
        """Bring the codes up to date with everything written, so that searches are fast."""
        with self.writing():
            self._codes.keep_up(tail=0)

    def close(self) -> None:
        """Close every connection; a second time does nothing."""
        self.database.close()

    def _header(self, connection: sqlite3.Connection, now: Live | None = None) -> Header:
        """The header in a snapshot."""
        return self._read(connection, now).header

    def _read(self, connection: sqlite3.Connection, now: Live | None = None) -> _Known:
        """What is known of the gallery in a snapshot; read again when everything was replaced."""
        generation = database.generation(connection) if now is None else now.generation
        with self._mutex:
            if self._known is None or self._known.generation != generation:
                self._known = _Known(generation, codec.read_header(connection))
            return self._known

    def _searcher(self, header: Header) -> Searcher:
        from lookalike.stores.sqlite.searching import Searcher

        with self._mutex:
            known = self._known
            if known is None or known.header is not header:
                # Replaced between two lines, by another thread's look: nothing of it is shared then.
                return Searcher(header, _vectors(header), self.cache, coded=self._codes.least)
            if known.searcher is None:
                known.searcher = Searcher(header, _vectors(header), self.cache, coded=self._codes.least)
            return known.searcher

    def _look_after_codes(self) -> None:
        """Make codes that are missing or far behind, if this process may; a search works without."""
        if self.database.writable and self._codes.are_due():
            with suppress(StoreBusy, StoreUnavailable), self.writing():
                self._codes.keep_up(tail=codes_maintenance.TAIL_ROWS)


@dataclass(slots=True)
class _Known:
    """What was read of one generation of a gallery."""

    generation: object
    header: Header
    kinds: filters.Kinds = field(default_factory=filters.Kinds)
    searcher: Searcher | None = None


def _vectors(header: Header) -> Vectors:
    from lookalike.stores.sqlite.vectors import Vectors

    return Vectors(header.space.dim, header.space.row_type)

"""The store in a cluster: `Store` over the live index of a gallery."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import NotFound
from lookalike.stores import records as record_rules
from lookalike.stores.elasticsearch import alias, checking, filters, indices, layout, reading, searching
from lookalike.stores.elasticsearch import searching as pit
from lookalike.stores.elasticsearch import writing as adding
from lookalike.stores.elasticsearch.alias import Live
from lookalike.stores.elasticsearch.bulk import Bulk
from lookalike.stores.elasticsearch.layout import Stemmer, Writer
from lookalike.stores.elasticsearch.searching import Finder, Searcher
from lookalike.stores.elasticsearch.server import Server
from lookalike.stores.elasticsearch.writing import Changer, Fields
from lookalike.types import BUILT_IN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.stores.elasticsearch.address import Address
    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.types import (
        Batch,
        Floats,
        Folder,
        Header,
        Limits,
        Match,
        Neighbours,
        Record,
        Skipped,
        State,
        Store,
        Term,
        Value,
        Where,
    )


class ElasticsearchStore:
    """A gallery in a cluster. Several processes may write to it at once.

    Args:
        place: where it is.
        create: what to make there if nothing is there yet.
        beside: an index to use in place of the live one, beside which it is built.

    Raises:
        NotFound, StoreCorrupt, StoreUnavailable, UsageError: as `lookalike.stores.open_store` says.
    """

    def __init__(
        self, place: Address, *, create: Header | None = None, beside: alias.Building | None = None
    ) -> None:
        self._place = place
        self._server = Server(place)
        self._bulk = Bulk(self._server)
        self._stemmer = Stemmer()
        self._fields = Fields(self._server)
        self._depth = threading.local()
        try:
            index = beside.index if beside is not None else self._opened(create)
            self._live = Live(self._server, index, beside=beside.claim if beside is not None else None)
        except BaseException:
            self._let_go()
            raise

    def _opened(self, create: Header | None) -> Index:
        try:
            return indices.live(self._server, self._place.name)
        except NotFound:
            if create is None:
                raise
        options = layout.options_of(self._place)
        indices.create(self._server, create, options=options, types={"taken": "text"})
        return indices.live(self._server, self._place.name)

    @property
    def header(self) -> Header:
        """What the gallery says of itself."""
        return self._live.index.header

    @property
    def limits(self) -> Limits:
        """What the store can do."""
        return layout.LIMITS

    @property
    def address(self) -> str:
        """The address as it was given; it holds no secret."""
        return self._place.text

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is written in it is found by every process when it ends.

        Raises:
            StoreBusy: another process is building the gallery anew.
        """
        depth = getattr(self._depth, "now", 0)
        if not depth and self._live.beside is None:
            self._live.read(lambda index: alias.lift(self._server, index))
        self._depth.now = depth + 1
        try:
            yield
            if not depth:
                self._live.catch_up()
        finally:
            self._depth.now = depth

    def write(self, records: Sequence[Record], vectors: Floats) -> list[Skipped]:
        """Add or replace pictures; vectors are (n, dim). Raises `UsageError` for what can't be kept."""

        def work(index: Index) -> list[Skipped]:
            writer = Writer(index.header, self._stemmer)
            written, refused = adding.add(self._bulk, index, self._fields, writer, records, vectors)
            self._live.recent.add(written)
            return refused

        refused = self._live.write(work)
        if self._live.recent.full:
            self._live.catch_up()
        return refused

    def search(self, queries: Floats, k: int, *, where: Where = (), exact: bool = False) -> list[Neighbours]:
        """The k best pictures for each row of queries (q, dim); see `lookalike.types.Store`."""
        queries = np.ascontiguousarray(queries, np.float32)
        record_rules.check_k(k, layout.LIMITS.k)

        def work(index: Index) -> list[Neighbours]:
            record_rules.check_queries(queries, index.header)
            searcher = Searcher(self._server, index)
            return searcher.search(queries, k, self._filters(index, where), exact=exact)

        return self._live.search(work)

    def find(
        self, terms: Sequence[Term], k: int, *, where: Where = (), only: str | None = None
    ) -> list[Match]:
        """The k best pictures that satisfy every term, with the numbers of the embedded store."""
        record_rules.check_k(k, layout.LIMITS.k)
        record_rules.check_terms(terms, only)

        def work(index: Index) -> list[Match]:
            query = self._filters(index, where)
            numbers = record_rules.class_numbers(index.header)
            finder = Finder(self._server, index.alias, numbers, self._stemmer)
            return finder.find(terms, k, query, only) if terms and k else []

        return self._live.search(work)

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Records in the order asked for; None for an id that is not there."""
        return self._live.read(lambda index: reading.records(self._server, index, ids))

    def vectors(self, ids: Sequence[str]) -> Floats:
        """Stored vectors (n, dim) in the order asked for. Raises `NotFound` for an unknown id."""
        return self._live.search(lambda index: reading.vectors(self._server, index, ids))

    def scan(self, *, where: Where = (), batch: int = 1024) -> Iterator[Batch]:
        """Every picture that passes, with its vector, in the order of ids: one snapshot throughout."""
        size = reading.page_size(self.header.space.dim, max(1, batch))
        for index, hits in self._live.pages(
            lambda index: [searching.PICTURES, *self._filters(index, where)], size, reading.WHOLE
        ):
            yield reading.batch(hits, index)

    def states(self) -> Iterator[State]:
        """Every path the store remembers, sorted by id: one snapshot throughout."""
        known: dict[str, Any] = {"terms": {"status": ["picture", "skipped", "removed"]}}
        for _, hits in self._live.pages(lambda _: [known], pit.STATES, reading.STATE):
            for hit in hits:
                yield layout.state(hit["sort"][0], hit.get("fields", {}))

    def by_digest(self, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
        """The ids of the pictures whose file has one of these digests, sorted."""
        if not digests:
            return {}
        # What was written in this moment is known here, so that the server need not be made to look.
        stale, recent = self._live.recent.stale, self._live.recent.ids(digests)
        found = self._live.read(lambda index: reading.by_digest(self._server, index, digests))
        ids = sorted(recent.union(*found.values()))
        if not stale or not ids:
            return found
        return self._live.read(lambda index: reading.still(self._server, index, ids, digests))

    def touch(self, states: Sequence[State]) -> None:
        """Set size, mtime and source of pictures whose bytes did not change."""

        def change(state: State) -> Callable[[Record], Record]:
            return lambda record: replace(
                record, size=state.size, mtime_ns=state.mtime_ns, source=state.source
            )

        self._rewrite({state.id: change(state) for state in states})

    def update(self, metadata: Mapping[str, Mapping[str, Value]]) -> int:
        """Merge metadata into pictures; how many there were. Raises `UsageError` for a misfit."""

        def change(fields: Mapping[str, Value]) -> Callable[[Record], Record]:
            return lambda record: replace(
                record,
                metadata={**record.metadata, **fields},
                from_picture=record.from_picture - fields.keys(),
            )

        def learn(index: Index) -> dict[str, Mapping[str, Value]]:
            about = reading.known(self._server, index, metadata)
            known = {id_: metadata[id_] for id_ in about if about[id_]["status"] == "picture"}
            self._fields.learn(index, known.values())
            return known

        known = self._live.write(learn)
        return self._rewrite({id_: change(fields) for id_, fields in known.items()})

    def skip(self, files: Sequence[Skipped]) -> None:
        """Remember files that could not be indexed, in place of what was known of them."""
        if files:
            self._live.write(lambda index: self._changer(index).skip(files))

    def skipped(self) -> list[Skipped]:
        """The files that could not be indexed, sorted by id."""
        return [file for hits in self._aside("skipped", reading.SKIPPED) for file in reading.skipped(hits)]

    def forget(self, ids: Sequence[str]) -> None:
        """Forget that these paths were skipped or removed."""
        if ids:
            self._live.write(lambda index: self._changer(index).forget(ids))

    def delete(self, ids: Sequence[str], *, keep_out: bool = False) -> int:
        """Delete pictures; with keep_out their ids stay out. How many there were."""
        if not ids:
            return 0
        return self._live.write(lambda index: self._changer(index).delete(ids, keep_out=keep_out))

    def outdated(self, decoder: int) -> Iterator[str]:
        """The ids of pictures with a file, which a decoder of a lower version has read: one snapshot."""
        for _, hits in self._live.pages(
            lambda index: reading.outdated(index, decoder), pit.STATES, pit.values()
        ):
            yield from (hit["sort"][0] for hit in hits)

    def note_decoder(self, formats: Mapping[str, str], decoder: int) -> None:
        """Remember of pictures the format of their file and the version that would read it the same."""

        def change(form: str) -> Callable[[Record], Record]:
            return lambda record: replace(record, decoder=decoder, format=form)

        self._rewrite({id_: change(form) for id_, form in formats.items()})

    def removed(self) -> list[str]:
        """The ids that are to stay out, sorted."""
        return [hit["sort"][0] for hits in self._aside("removed", pit.values()) for hit in hits]

    def define(self, types: Mapping[str, str]) -> None:
        """Give fields of the metadata their types, unless they have one."""
        self._live.write(lambda index: self._fields.define(index, self._fields.unknown(index, types)))

    def folders(self) -> list[Folder]:
        """The folders that were indexed."""
        return self._live.read(lambda index: reading.folders(self._server, index.alias)[0])

    def set_folders(self, folders: Sequence[Folder], *, seen: Sequence[Folder] | None = None) -> None:
        """Remember the folders that were indexed, in place of those before."""
        self._live.write(lambda index: self._changer(index).set_folders(folders, seen))

    def fields(self) -> dict[str, str]:
        """The fields a filter can name, with their types."""
        return self._live.read(self._fields.now)

    def values(self, field: str, k: int) -> list[Value]:
        """The k most frequent values of a field; none of `folder` and `name`, which can't be counted here."""
        if field in {"folder", "name"}:
            return []
        path = filters.field_path(field)
        return self._live.search(lambda index: Searcher(self._server, index).values(path, k))

    @contextmanager
    def replacement(self, header: Header) -> Iterator[Store]:
        """A new store beside this one, which takes its place when the block ends well.

        What an earlier attempt with an equal header left is gone on with. Ids that are to stay out,
        folders and fields are taken over; everything else is for the caller to write. Until it ends,
        nobody writes to this one.

        Raises:
            StoreBusy: another process is building.
            UsageError: vectors that can't be kept here.
        """
        with self.writing():
            options = layout.options_of(self._place)
            with alias.beside(self._server, self._live.index, header, options) as new:
                fresh = type(self)(self._place, beside=new)
                with closing(fresh):
                    fresh.take_over(self)
                    yield fresh
                    fresh.refresh()
            self._live.index = new.index

    def take_over(self, other: ElasticsearchStore) -> None:
        """Remember what another store remembers beside its pictures, but for what was skipped."""
        types = {name: type_ for name, type_ in other.fields().items() if name not in BUILT_IN_FIELDS}
        self._live.write(lambda index: self._fields.define(index, types))
        self.set_folders(other.folders())
        if other.indexed_ns:
            self.note_indexed(other.indexed_ns)
        self.delete(other.removed(), keep_out=True)

    @property
    def token(self) -> str:
        """The gallery's identity, which a rebuilding leaves as it is."""
        return self._live.index.token

    @property
    def indexed_ns(self) -> int:
        """When the last complete indexing ended, in nanoseconds since 1970; 0 if that is not known."""
        return self._live.read(lambda index: reading.indexed_ns(self._server, index.alias))

    def note_indexed(self, time_ns: int) -> None:
        """Remember when an indexing ended."""
        entry = layout.system(layout.INDEXED_KEY, {"time_ns": time_ns})
        self._live.write(lambda index: self._changer(index).put([entry]))

    def count(self) -> int:
        """How many pictures there are."""
        return self._live.search(lambda index: Searcher(self._server, index).count([]))

    def bytes(self) -> int:
        """What it takes on the disks of all nodes, copies of shards included."""
        path = "_all.total.store.size_in_bytes"
        answer = self._live.read(
            lambda index: self._server.call(
                lambda es: es.indices.stats(index=index.alias, metric="store", filter_path=path)
            )
        )
        return int(answer["_all"]["total"]["store"]["size_in_bytes"])

    def check(self, *, repair: bool = False, told: Callable[[str], object] | None = None) -> list[str]:
        """Every fault found, in words; with repair, what a process that was killed left is cleared away."""
        if repair:
            cleared = self._live.read(lambda index: checking.repair(self._server, index))
            if told is not None:
                for line in cleared:
                    told(line)
        return self._live.search(lambda index: checking.faults(self._server, index))

    def refresh(self) -> None:
        """Make everything written findable by every process."""
        self._live.recent.add()
        self._live.catch_up()

    def close(self) -> None:
        """Close every connection; a second time does nothing."""
        self._live.close()
        self._let_go()

    def _let_go(self) -> None:
        self._bulk.close()
        self._server.close()
        self._stemmer.close()

    def _aside(self, status: str, wanted: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        query: dict[str, Any] = {"term": {"status": status}}
        for _, hits in self._live.pages(lambda _: [query], pit.STATES, wanted):
            yield hits

    def _rewrite(self, changes: Mapping[str, Callable[[Record], Record]]) -> int:
        def work(index: Index) -> int:
            return self._changer(index).rewrite(Writer(index.header, self._stemmer), changes)

        return self._live.write(work) if changes else 0

    def _changer(self, index: Index) -> Changer:
        return Changer(self._server, self._bulk, index)

    def _filters(self, index: Index, where: Where) -> list[dict[str, Any]]:
        return filters.queries(where, self._fields.of(index, where)) if where else []

"""Search by vectors: by codes where they reach the recall, exactly everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.errors import StoreCorrupt, UsageError
from lookalike.indexes import approximate, distances, exact
from lookalike.indexes import codes as coding
from lookalike.indexes.approximate import Twins
from lookalike.indexes.codes import SPREAD, Bounds
from lookalike.stores.records import UNIT_TOLERANCE
from lookalike.stores.sqlite import filters, tables
from lookalike.stores.sqlite.vectors import Resident
from lookalike.system import forks, tracing
from lookalike.types import Neighbours

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lookalike.indexes.cache import Cache, Codes, Head
    from lookalike.indexes.exact import Found
    from lookalike.stores.sqlite.database import Live
    from lookalike.stores.sqlite.vectors import Vectors
    from lookalike.types import Floats, Header, Where

    Blocks = Iterable[exact.Block | tuple[NDArray[np.int64], Floats]]

_NARROW = 0.4
"""Of the rows from which on there are codes: so few that pass a filter are all scored exactly."""

_SHARE = 8
"""Where more than this part of all rows is asked for, all are compared."""

_KEPT_FILTERS = 4


class _Coded(NamedTuple):
    """The codes in use: where they come from, which are of zero vectors or equal, and what makes them."""

    head: Head
    codes: Codes
    zeros: NDArray[np.intp]
    twins: Twins
    coder: coding.Coder


class Searcher:
    """Searches the snapshots of one gallery; what it keeps between searches is safe to share.

    Args:
        header: of the gallery.
        vectors: reads its rows.
        cache: its codes.
        coded: rows from which on there are codes.
    """

    def __init__(self, header: Header, vectors: Vectors, cache: Cache, *, coded: int) -> None:
        try:
            distances.check(header.space.metric)
        except UsageError as error:
            raise StoreCorrupt(f"the gallery's header can't be meant: {error}; index again") from error
        self.header = header
        self._vectors = vectors
        self._cache = cache
        self._narrow = int(_NARROW * coded)
        self._resident = Resident(vectors)
        self._mutex = forks.lock()
        self._stamp: tuple[object, str] | None = None
        self._coded: _Coded | None = None
        self._searched = False
        self._passed: dict[tuple[Live, str], NDArray[np.int64]] = {}

    def search(
        self,
        connection: sqlite3.Connection,
        live: Live,
        queries: Floats,
        k: int,
        *,
        where: Where = (),
        everything: bool = False,
    ) -> list[Neighbours]:
        """The k best pictures for each query (q, dim); compared with every row if asked to."""
        passing = self._passing(connection, live, where)
        k = k if passing is None else min(k, len(passing))
        coded = self._current(connection, live)
        plain = everything or not queries.any(axis=1).all()
        if tracing.heard():
            rows = f"{live.count if passing is None else len(passing):,} pictures"
            way = "exact" if plain or coded is None else "by codes, the best ones exactly"
            tracing.tell(f"compared with {rows}: {way}")
        if k == 0:
            found = [exact.NOTHING] * len(queries)
        elif plain or coded is None:
            blocks = self._blocks(connection, live, passing, keep=self._coded is None)
            found = exact.search(queries, blocks, k, self.header.space.metric)
        else:
            found = self._by_codes(connection, live, queries, k, passing, coded)
        return self._named(connection, found)

    def _passing(self, connection: sqlite3.Connection, live: Live, where: Where) -> NDArray[np.int64] | None:
        """The rows that pass a filter, ascending; None where all do."""
        if not where:
            return None
        key = (live, repr(where))
        with self._mutex:
            if key in self._passed:
                return self._passed[key]
        condition, values = filters.compiled(connection, where)
        cursor = connection.execute(f"SELECT row FROM pictures WHERE {condition}", values)
        rows = np.sort(np.fromiter((row for (row,) in cursor), np.int64))
        with self._mutex:
            self._passed[key] = rows
            while len(self._passed) > _KEPT_FILTERS:
                del self._passed[next(iter(self._passed))]
        return rows

    def _current(self, connection: sqlite3.Connection, live: Live) -> _Coded | None:
        """The codes on disk, read again when they changed."""
        stamp = (self._cache.stamp(), live.generation)
        with self._mutex:
            if stamp != self._stamp:
                head = self._cache.head(live.generation, self.header.space.dim)
                loaded = self._cache.codes(head) if head is not None and head.useful else None
                self._coded = None
                if head is not None and loaded is not None and self._covers(connection, live, head):
                    codes, mean = loaded
                    twins = Twins(codes.firsts)
                    zeros = twins.first(np.flatnonzero(codes.factors == 0))
                    self._coded = _Coded(head, codes, zeros, twins, coding.Coder(mean, head.seed))
                self._stamp = stamp
            # Codes made after this snapshot lack the rows that were there in it and are gone since.
            later = self._coded is not None and self._coded.head.commits > live.commits
            return None if later else self._coded

    def _covers(self, connection: sqlite3.Connection, live: Live, head: Head) -> bool:
        """Whether there can be a code of every row up to the last that was looked at."""
        behind = connection.execute("SELECT count(*) FROM pictures WHERE row > ?", (head.last,)).fetchone()[0]
        return live.count - int(behind) <= head.rows

    def _blocks(
        self,
        connection: sqlite3.Connection,
        live: Live,
        passing: NDArray[np.int64] | None,
        *,
        after: int = 0,
        keep: bool = True,
    ) -> Blocks:
        """Every row that passes, above one; from memory where they are kept there."""
        held = self._resident.rows(connection, live, after=after) if keep else None
        if held is not None:
            if passing is None:
                return [held]
            return [held.take(np.flatnonzero(np.isin(held.keys, passing, assume_unique=True)))]
        if passing is None:
            return self._vectors.blocks(connection, after=after)
        return self._vectors.blocks_of(connection, passing[passing > after])

    def _by_codes(
        self,
        connection: sqlite3.Connection,
        live: Live,
        queries: Floats,
        k: int,
        passing: NDArray[np.int64] | None,
        coded: _Coded,
    ) -> list[Found]:
        codes, among = coded.codes, None if passing is None else _places(coded.codes.keys, passing)
        if max(self._narrow, _SHARE * k) >= len(codes.keys if among is None else among):
            blocks = self._blocks(connection, live, passing, keep=False)
            return exact.search(queries, blocks, k, self.header.space.metric)
        tail = self._blocks(connection, live, passing, after=coded.head.last)
        others = exact.search(queries, tail, k, self.header.space.metric)
        if self._searched or len(queries) > 1:
            coding.expect_more()
        self._searched = True
        index = self._index(connection, coded)
        asked = coded.coder.queries(queries)
        found = [
            approximate.search(index, vector, query, k, others=other, among=among)
            for vector, query, other in zip(queries, asked, others, strict=True)
        ]
        unsure = [place for place, one in enumerate(found) if one is None]
        if not unsure:
            return [one for one in found if one is not None]
        blocks = self._blocks(connection, live, passing, keep=False)
        compared = iter(exact.search(queries[unsure], blocks, k, self.header.space.metric))
        return [next(compared) if one is None else one for one in found]

    def _index(self, connection: sqlite3.Connection, coded: _Coded) -> approximate.Index:
        head = coded.head
        return approximate.Index(
            coded.codes,
            coded.zeros,
            coded.twins,
            Bounds(max(head.spread, SPREAD), head.nearest, head.farthest),
            self.header.space.metric,
            UNIT_TOLERANCE,
            lambda keys: self._vectors.of(connection, keys.tolist()),
        )

    def _named(self, connection: sqlite3.Connection, found: list[Found]) -> list[Neighbours]:
        ids = tables.ids_of(connection, sorted({row for f in found for row in f.keys.tolist()}))
        return [Neighbours([ids[row] for row in f.keys.tolist()], f.scores) for f in found]


def _places(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where those of the wanted keys that are there stand among ascending keys, ascending."""
    if not len(keys):
        return np.empty(0, np.intp)
    wanted = np.sort(wanted)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: NDArray[np.intp] = places[keys[places] == wanted]
    return found

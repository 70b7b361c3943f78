"""Search by vectors: by codes where they reach the recall, exactly everywhere else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike import distances
from lookalike.indexes import calibration, exact
from lookalike.indexes import codes as coding
from lookalike.stores.sqlite import filters, reading
from lookalike.stores.sqlite.resident import Resident
from lookalike.types import Neighbours

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lookalike.indexes.cache import Cache, Codes, Depth, Head
    from lookalike.indexes.exact import Found
    from lookalike.stores.sqlite.database import Live
    from lookalike.stores.sqlite.vectors import Vectors
    from lookalike.types import Floats, Header, Where

    Blocks = Iterable[tuple[NDArray[np.int64], Floats]]

_NARROW = 2_000
"""Rows passing a filter that are scored exactly at once."""

_FILTERED = 4
"""How much deeper to go behind a filter: the neighbours are farther, and less well told apart."""

_ALIVE = 0.8
_RESCORED_BYTES = 64 << 20
_KEPT_FILTERS = 4


class _Coded(NamedTuple):
    """The codes in use: where they come from, what they are, and what makes them."""

    head: Head
    codes: Codes
    coder: coding.Coder


class Searcher:
    """Searches the snapshots of one gallery; what it keeps between searches is safe to share.

    Args:
        header: of the gallery.
        vectors: reads its rows.
        cache: its codes.
    """

    def __init__(self, header: Header, vectors: Vectors, cache: Cache) -> None:
        self.header = header
        self._vectors = vectors
        self._cache = cache
        self._resident = Resident(vectors)
        self._mutex = threading.Lock()
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
        k = min(k, live.count if passing is None else len(passing))
        coded = self._current(live)
        plain = everything or (self.header.metric == "cosine" and not queries.any(axis=1).all())
        if k == 0:
            found = [exact.NOTHING] * len(queries)
        elif plain or coded is None:
            blocks = self._blocks(connection, live, passing, keep=coded is None)
            found = exact.search(queries, blocks, k, self.header.metric)
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
        condition, values = filters.expression(where, filters.fields(connection))
        cursor = connection.execute(f"SELECT row FROM pictures WHERE {condition}", values)
        rows = np.sort(np.fromiter((row for (row,) in cursor), np.int64))
        with self._mutex:
            self._passed[key] = rows
            while len(self._passed) > _KEPT_FILTERS:
                del self._passed[next(iter(self._passed))]
        return rows

    def _current(self, live: Live) -> _Coded | None:
        """The codes on disk, read again when they changed."""
        stamp = (self._cache.stamp(), live.generation)
        with self._mutex:
            if stamp != self._stamp:
                head = self._cache.head(live.generation, self.header.dim)
                loaded = self._cache.codes(head) if head is not None and head.useful else None
                self._coded = None
                if head is not None and loaded is not None:
                    codes, mean = loaded
                    self._coded = _Coded(head, codes, coding.Coder(mean, head.seed))
                self._stamp = stamp
            return self._coded

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
            keys, rows = held
            if passing is None:
                return [(keys, rows)]
            chosen = np.flatnonzero(np.isin(keys, passing, assume_unique=True))
            return [(keys[chosen], rows[chosen])]
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
        # The depth was measured for neighbours besides the query itself, which is often asked for, too.
        times = max(1, -(-(k - 1) // calibration.NEIGHBOURS))
        # Among more rows than it was measured on there are more that come before the true ones.
        growth = max(1.0, coded.head.rows / max(coded.head.calibrated, 1))
        codes, depth, among = coded.codes, coded.head.depth.times(times * growth), None
        if passing is not None:
            among, depth = _places(codes.keys, passing), depth.times(_FILTERED)
        most = _RESCORED_BYTES // (4 * self.header.dim)
        available = len(codes.keys if among is None else among)
        if available <= max(_NARROW, 2 * depth.rescored) or depth.rescored > most:
            blocks = self._blocks(connection, live, passing, keep=False)
            return exact.search(queries, blocks, k, self.header.metric)
        tail = self._blocks(connection, live, passing, after=coded.head.last)
        found = exact.search(queries, tail, k, self.header.metric)
        if self._searched or len(queries) > 1:
            coding.expect_more()
        self._searched = True
        step = max(1, most // depth.rescored)
        for start in range(0, len(queries), step):
            part = coded.coder.queries(queries[start : start + step])
            candidates = self._candidates(connection, part, codes, depth, among)
            if candidates is None:
                blocks = self._blocks(connection, live, passing, keep=False)
                return exact.search(queries, blocks, k, self.header.metric)
            keys, rows, own = candidates
            for i, places in enumerate(own, start):
                one = self._scored(queries[i], keys[places], rows[places], k)
                found[i] = exact.merge(found[i], one, k)
        return found

    def _candidates(
        self,
        connection: sqlite3.Connection,
        queries: list[coding.Query],
        codes: Codes,
        depth: Depth,
        among: NDArray[np.intp] | None,
    ) -> tuple[NDArray[np.int64], Floats, list[NDArray[np.intp]]] | None:
        """Keys (n,) and rows (n, dim) that any of the queries is to be compared with, and which each is.

        Only the codes at the positions `among` are looked at, or all of them. Rows that were replaced
        or deleted still have their codes. Where many of those are among the best, it looks deeper, as
        behind a filter; None where that would be too deep.
        """
        enough = _ALIVE * depth.rescored
        available = len(codes.keys if among is None else among)
        while 2 * depth.rescored <= available:
            lists = coding.scan(queries, codes, min(depth.scanned, available), among)
            kept = [
                codes.keys[coding.ranked(query, codes, near, depth.estimated)[: depth.rescored]]
                for query, near in zip(queries, lists, strict=True)
            ]
            # Not `unique` where it is not needed: its first call imports a tenth of numpy.
            wanted = np.unique(np.concatenate(kept)) if len(kept) > 1 else np.sort(kept[0])
            keys, rows = self._vectors.of(connection, wanted.tolist())
            own = [_places(keys, candidates) for candidates in kept]
            if min(map(len, own)) >= enough:
                return keys, rows, own
            enough = max(enough, _FILTERED * depth.rescored)
            depth = depth.times(_FILTERED)
        return None

    def _scored(self, query: Floats, keys: NDArray[np.int64], rows: Floats, k: int) -> Found:
        scores = distances.scores(query, rows, self.header.metric)
        order = distances.best(scores, keys, k)
        return exact.Found(keys[order], scores[order])

    def _named(self, connection: sqlite3.Connection, found: list[Found]) -> list[Neighbours]:
        ids = reading.ids_of(connection, sorted({row for f in found for row in f.keys.tolist()}))
        return [Neighbours([ids[row] for row in f.keys.tolist()], f.scores) for f in found]


def _places(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where those of the wanted keys that are there stand among ascending keys, ascending."""
    if not len(keys):
        return np.empty(0, np.intp)
    wanted = np.sort(wanted)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: NDArray[np.intp] = places[keys[places] == wanted]
    return found

"""Search by codes: a first look finds k rows, and what they score tells where else one must look.

Whatever scores as much as the k-th of them has codes that are at most so far from the query's (`Bounds`).
So the second look takes all rows with such codes, estimates their scores, and scores exactly those that may
be among the k best. It is as wide as the answer is uncertain: a few hundred rows for a query with near
neighbours, every row where none is near. Of rows that are equal one stands for all (`Twins`) until it is
among the best.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from lookalike.indexes import codes as coding
from lookalike.indexes import distances
from lookalike.indexes.cache import FIRST_SIGNS
from lookalike.indexes.exact import NOTHING, Found, merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lookalike.indexes.cache import Codes
    from lookalike.indexes.codes import Bounds, EncodedQuery
    from lookalike.types import Floats

    Fetch = Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], Floats]]

_SCANNED, _SCANNED_FOR_EACH = 300, 30
_ESTIMATED, _ESTIMATED_FOR_EACH = 80, 8
"""How many rows a first look is to take, at least and for each that is asked for."""

_SPARE = 4
"""Rows that a first look scores beyond those that are asked for."""

_DEEPER = 4

_RESCORED, _RESCORED_SHARE = 1_000, 8
"""Rows are scored one by one up to so many, or to this part of all: beyond, reading all is as quick."""

_SAMPLED = 1 << 11

_NEVER = FIRST_SIGNS + 1
"""Differing signs of a row for which another one stands: more than there are."""


@dataclass(frozen=True, slots=True)
class Index:
    """What a search goes by.

    codes: of n rows.
    zeros: positions of those that are zero vectors, whose signs say nothing.
    twins: which of them are equal.
    bounds: what their codes tell.
    metric: `cosine`, or `euclidean` for rows of unit length.
    tolerance: how far the length of a row may be from 1.
    fetch: gives those of some keys (m,) whose rows are there, ascending, and the rows (≤ m, dim).
    """

    codes: Codes
    zeros: NDArray[np.intp]
    twins: Twins
    bounds: Bounds
    metric: str
    tolerance: float
    fetch: Fetch


def search(
    index: Index,
    vector: Floats,
    query: EncodedQuery,
    k: int,
    *,
    others: Found = NOTHING,
    among: NDArray[np.intp] | None = None,
) -> Found | None:
    """The k best of the rows that have codes and of some others; None where an exact search is quicker.

    Args:
        index: the codes.
        vector: the query, ndarray of shape (dim,), not zero.
        query: its code.
        k: how many, 1 or more.
        others: the k best of other rows.
        among: positions to look at, ascending; all of them unless said otherwise.
    """
    look = _Look(index, vector, query, k, among)
    found = look.first(others)
    return None if found is None else look.second(found)


def within(
    query: EncodedQuery,
    codes: Codes,
    limits: Bounds,
    least: float,
    *,
    apart: NDArray[np.int32] | None = None,
    among: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """Positions of all codes that rows of at least a cosine with the query can have.

    Args:
        query: the query.
        codes: n of them.
        limits: what they tell.
        least: the cosine.
        apart: what `codes.apart` gives, if that is known.
        among: positions to look at; all of them unless said otherwise.
    """
    apart = coding.apart(query, codes, among) if apart is None else apart
    share, dim = limits.share(query.away, least), codes.fine.shape[1]
    first = min(dim, FIRST_SIGNS)
    places = np.flatnonzero(apart <= limits.most(share, first))
    positions = places if among is None else among[places]
    if first < dim:
        in_all = coding.apart_in_all(query, codes, positions, apart[places])
        positions = positions[in_all <= limits.most(share, dim)]
    return positions


class _Look:
    """One search."""

    def __init__(
        self, index: Index, vector: Floats, query: EncodedQuery, k: int, among: NDArray[np.intp] | None
    ) -> None:
        self._index = index
        self._codes = index.codes
        self._vector = vector
        self._query = query
        self._k = k
        self._passing = among
        self._among = among if among is None else index.twins.first(among)
        self._apart = coding.apart(query, index.codes, self._among)
        self._count = len(self._apart)
        if among is None and len(index.twins.others):
            self._apart[index.twins.others] = _NEVER
            self._count -= len(index.twins.others)
        self._most = max(_RESCORED, len(index.codes.keys if among is None else among) // _RESCORED_SHARE)
        self._seen = np.empty(0, np.intp)
        self._estimated = (np.empty(0, np.intp), np.empty(0, np.float32))

    def first(self, others: Found) -> Found | None:
        """The k best of others and of the rows with the nearest codes; None where most of those are gone."""
        wanted = max(_SCANNED, _SCANNED_FOR_EACH * self._k)
        estimated = max(_ESTIMATED, _ESTIMATED_FOR_EACH * self._k)
        found = others
        while True:
            places = np.flatnonzero(self._apart <= _threshold(self._apart, wanted))
            found = self._best(self._ordered(places, estimated), found)
            if len(found.keys) >= self._k:
                return found
            if len(places) == self._count or len(self._seen) > self._most:
                return None
            wanted, estimated = _DEEPER * wanted, _DEEPER * estimated

    def second(self, found: Found) -> Found | None:
        """The k best of all, from k that are good; None where too many may be among them."""
        least = self._least_cosine(float(found.scores[-1]))
        positions = self._within(least)
        estimates = self._estimates(positions)
        rounding = coding.rounding(1.0) * self._codes.factors.take(positions)
        maybe = positions[estimates + rounding >= least - coding.SURE]
        if len(maybe) > self._most:
            return None
        found = merge(found, self._score(maybe), self._k)
        return self._with_zeros(found)

    def _best(self, order: NDArray[np.intp], found: Found) -> Found:
        """The k best of what is found and of the first of an order; more of it where some are gone."""
        step = self._k + _SPARE
        for start in range(0, len(order), step):
            found = merge(found, self._score(order[start : start + step]), self._k)
            if len(found.keys) >= self._k:
                break
        return found

    def _ordered(self, places: NDArray[np.intp], estimated: int) -> NDArray[np.intp]:
        """Positions, those estimated closest first, of the places that differ in the fewest signs."""
        positions = self._positions(places)
        if estimated < len(positions):
            apart = coding.apart_in_all(self._query, self._codes, positions, self._apart[places])
            positions = positions[np.argpartition(apart, estimated)[:estimated]]
        positions.sort()
        self._estimated = positions, coding.estimated(self._query, self._codes, positions)
        return positions[np.argsort(-self._estimated[1])]

    def _estimates(self, positions: NDArray[np.intp]) -> Floats:
        """Estimates at some positions, ascending; those of the first look are known."""
        known, estimates = self._estimated
        found = np.empty(len(positions), np.float32)
        there = _holds(known, positions)
        found[there] = estimates[np.searchsorted(known, positions[there])]
        found[~there] = coding.estimated(self._query, self._codes, positions[~there])
        return found

    def _within(self, least: float) -> NDArray[np.intp]:
        """Positions of all codes that rows of at least this cosine can have, without zero vectors."""
        index = self._index
        positions = within(
            self._query, self._codes, index.bounds, least, apart=self._apart, among=self._among
        )
        if len(index.zeros):
            positions = positions[self._codes.factors.take(positions) > 0]
        return positions

    def _positions(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        return places if self._among is None else self._among[places]

    def _least_cosine(self, score: float) -> float:
        if self._index.metric == "cosine":
            return score
        length = float(np.sqrt(np.einsum("i,i->", self._vector, self._vector, dtype=np.float64)))
        return coding.least_cosine(score, length, self._index.tolerance)

    def _with_zeros(self, found: Found) -> Found:
        """The k best of what is found and of the zero vectors."""
        zeros = self._index.zeros
        if not len(zeros):
            return found
        nothing = np.zeros((1, len(self._vector)), np.float32)
        if distances.scores(self._vector, nothing, self._index.metric)[0] < found.scores[-1]:
            return found
        if self._among is not None:
            zeros = zeros[_holds(self._among, zeros)]
        return merge(found, self._score(zeros), self._k)

    def _score(self, positions: NDArray[np.intp]) -> Found:
        """The k best of some rows and of those for which they stand, but for what was scored before."""
        if len(self._seen):
            positions = positions[~_holds(self._seen, positions)]
        if not len(positions):
            return NOTHING
        self._seen = np.sort(np.concatenate([self._seen, positions]))
        if not len(self._index.twins.others):
            return self._rows(positions)
        alone = self._index.twins.stand_alone(positions)
        found = self._rows(positions[alone])
        for position in positions[~alone].tolist():
            found = merge(found, self._group(position), self._k)
        return found

    def _group(self, position: int) -> Found:
        """The k first of a row and of those for which it stands, all of which are as good as each other."""
        members = self._index.twins.all_of(position)
        if self._passing is not None:
            members = members[_holds(self._passing, members)]
        step, found = self._k + _SPARE, NOTHING
        for start in range(0, len(members), step):
            found = merge(found, self._rows(members[start : start + step]), self._k)
            if len(found.keys) >= self._k:
                break
        return found

    def _rows(self, positions: NDArray[np.intp]) -> Found:
        """The k best of those of some rows that are there."""
        if not len(positions):
            return NOTHING
        keys, rows = self._index.fetch(self._codes.keys.take(positions))
        scores = distances.scores(self._vector, rows, self._index.metric)
        order = distances.best(scores, keys, self._k)
        return Found(keys[order], scores[order])


def _holds(known: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some numbers are among those that are known, which ascend: (m,)."""
    if not len(known):
        return np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    there: NDArray[np.bool_] = known[places] == wanted
    return there


def _threshold(apart: NDArray[np.int32], wanted: int) -> int:
    """In how many signs some wanted number of codes differ at most, as nearly as a sample tells."""
    step = max(1, len(apart) // _SAMPLED)
    counts = np.cumsum(np.bincount(apart[::step])) * step
    return min(int(np.searchsorted(counts, min(wanted, int(counts[-1])))), FIRST_SIGNS)


class Twins:
    """Which of n rows are equal.

    others: positions of the rows for which another one stands, ndarray of shape (m,), ascending.

    Args:
        firsts: for each row the position of the first that is equal to it, ndarray of shape (n,).
    """

    def __init__(self, firsts: NDArray[np.int64]) -> None:
        self.others = np.flatnonzero(firsts != np.arange(len(firsts)))
        self._firsts = firsts
        of = firsts[self.others]
        order = np.argsort(of, kind="stable")
        self._of, self._sorted = of[order], self.others[order]

    def first(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the rows that stand for some, each once, ascending."""
        if not len(self.others):
            return positions
        firsts = np.sort(self._firsts[positions])  # not `unique`: its first call imports a tenth of numpy
        return firsts[np.flatnonzero(np.diff(firsts, prepend=-1))]

    def all_of(self, position: int) -> NDArray[np.intp]:
        """Return the positions of a row and of those for which it stands, ascending."""
        low, high = np.searchsorted(self._of, (position, position + 1))
        return np.concatenate([[position], self._sorted[low:high]])

    def stand_alone(self, positions: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Tell which of some rows stand for no other."""
        if not len(self.others):
            return np.ones(len(positions), np.bool_)
        places = np.minimum(np.searchsorted(self._of, positions), len(self._of) - 1)
        alone: NDArray[np.bool_] = self._of[places] != positions
        return alone


class Digests:
    """The digests of rows as they are met, to find the first of equal ones.

    Args:
        known: of the rows before, ndarray of shape (n,), uint64.
    """

    def __init__(self, known: NDArray[np.uint64]) -> None:
        self._count = len(known)
        numbers = known.tolist()
        self._first = dict(zip(reversed(numbers), range(len(numbers) - 1, -1, -1), strict=True))

    def add(self, rows: Floats) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Take rows (m, dim) that come next: their digests (m,), and the positions of their firsts (m,)."""
        made = digests(rows)
        places = enumerate(made.tolist(), self._count)
        firsts = [self._first.setdefault(digest, place) for place, digest in places]
        self._count += len(made)
        return made, np.array(firsts, np.int64)


def digests(rows: Floats) -> NDArray[np.uint64]:
    """Return a number for each row (n, dim), the same for equal ones: ndarray of shape (n,)."""
    rows = rows + np.float32(0)  # no negative zeros, which are equal to others
    return np.frombuffer(b"".join(blake2b(row, digest_size=8).digest() for row in rows), np.uint64)

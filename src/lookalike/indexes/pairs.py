"""The nearest neighbours of every row: each pair is compared once, for both of its rows.

Rows are compared block by block, by matrix products that estimate the scores; each row keeps the
best of what it saw in a pool, and those are scored exactly. The products are of the rows
themselves, or of short sketches of them (`lookalike.indexes.sketches`).

Compared as they are, the answer is exact: a row counts as done only if nothing outside its pool can
be among its neighbours, whatever the products lost by rounding; the others are compared in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike.indexes import distances, sketches
from lookalike.indexes.exact import Found
from lookalike.indexes.pools import Pool
from lookalike.indexes.threads import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.indexes.rows import Rows
    from lookalike.types import Floats

    Positions = NDArray[np.int64]
    Numbers: TypeAlias = NDArray[np.floating[Any]]

_MARGIN = 13
"""Rows beyond k that an exact search scores: enough that few are left in doubt."""

_FIRST = 8
"""Rows beyond k that are compared whole before it is known how good the k-th is."""

_SKETCHED = 32_768
"""Rows from which sketches pay: at 18,322 they took 15 to 16 s, all pairs 12 to 14 (benches/neighbors.py)."""

_BLOCK_ROWS = 1024
_BLOCK_BYTES = 64 << 20
_POOL_BYTES = 256 << 20
_COMPARED_BYTES = 64 << 20
_CHUNK = 64


@dataclass(frozen=True)
class Task:
    """Whose neighbours are wanted, and which may be neighbours.

    rows: n of them.
    metric: any that `lookalike.indexes.distances.scores` knows.
    k: how many neighbours.
    codes: for each field an ndarray of shape (n,), int64: rows of equal code are never neighbours,
        and of the neighbours no two have the same code.
    """

    rows: Rows
    metric: str
    k: int
    codes: Sequence[Positions] = ()

    @property
    def looked_at(self) -> int:
        """How many neighbours are looked for, so that with codes there are k to choose."""
        return min(max(4 * self.k, 16) if self.codes else self.k, max(len(self.rows) - 1, 1))

    @cached_property
    def tolerance(self) -> Floats:
        """How far a float32 product may be off for each row, in the units of estimates: (n,)."""
        # Rounding grows as the root of the length of the sum; four times that is never seen.
        unit = np.float32(4 * np.sqrt(self.rows.dim) * np.finfo(np.float32).eps / 2)
        lengths = np.sqrt(self.rows.squares)
        largest = lengths.max(initial=0)
        scale = {"cosine": np.ones_like(lengths), "euclidean": np.full_like(lengths, largest**2)}
        tolerance: Floats = (unit * scale.get(self.metric, lengths * largest)).astype(np.float32)
        return tolerance

    @cached_property
    def _halves(self) -> NDArray[np.float64]:
        return self.rows.squares / 2

    @cached_property
    def _factors(self) -> NDArray[np.float64]:
        squares = self.rows.squares
        return np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)

    def estimates(self, a: Numbers, b: Numbers, of_a: Positions, of_b: Positions) -> Numbers:
        """What orders rows as their scores do, larger is closer; −∞ for pairs that are no neighbours.

        Args:
            a: rows or sketches, ndarray of shape (m, d).
            b: others, ndarray of shape (n, d).
            of_a: their positions, ndarray of shape (m,).
            of_b: those of the others, ndarray of shape (n,).

        Returns:
            ndarray of shape (m, n): cosines, inner products, or −L2²/2.
        """
        estimates = self.scaled(a @ b.T, of_a, of_b)
        self.exclude(estimates, of_a, of_b)
        return estimates

    def scaled(self, products: Numbers, of_a: Positions, of_b: Positions) -> Numbers:
        """Products (m, n) turned into estimates, in place, of pairs that may be neighbours."""
        kind = products.dtype
        if self.metric == "cosine":
            products *= self._factors[of_a, None].astype(kind)
            products *= self._factors[of_b].astype(kind)
        elif self.metric == "euclidean":
            products -= self._halves[of_a, None].astype(kind)
            products -= self._halves[of_b].astype(kind)
        return products

    def exclude(self, estimates: Numbers, of_a: Positions, of_b: Positions) -> None:
        """Put −∞ where two rows are the same or share a code."""
        if of_a.min() <= of_b.max() and of_b.min() <= of_a.max():
            estimates[of_a[:, None] == of_b] = -np.inf
        for code in self.codes:
            estimates[code[of_a, None] == code[of_b]] = -np.inf

    def own_score(self, position: int) -> np.float32:
        """The score of a row against an equal one."""
        row = self.rows.take(np.array([position]))
        score: np.float32 = distances.scores(row[0], row, self.metric)[0]
        return score

    def chosen(self, found: Found) -> Found:
        """The k best of an answer; of each code only the best."""
        if not self.codes:
            return Found(found.keys[: self.k], found.scores[: self.k])
        kept: list[int] = []
        seen: list[set[int]] = [set() for _ in self.codes]
        for place, key in enumerate(found.keys.tolist()):
            values = [int(code[key]) for code in self.codes]
            if len(kept) < self.k and not any(v in s for v, s in zip(values, seen, strict=True)):
                kept.append(place)
                for value, known in zip(values, seen, strict=True):
                    known.add(value)
        return Found(found.keys[kept], found.scores[kept])


class _Seen(NamedTuple):
    """What one row saw: positions and estimates, best first, and whether that is everything."""

    position: int
    keys: Positions
    estimates: Numbers
    everything: bool


def nearest(
    task: Task, *, exact: bool = False, progress: Callable[[float], object] | None = None
) -> Iterator[Found]:
    """The k nearest others of each row, in the order of rows: best first, ties by position.

    Args:
        task: what is wanted.
        exact: compare the rows themselves, even where sketches would do.
        progress: called with the share of pairs that are compared, 0 to 1.
    """
    n = len(task.rows)
    if task.metric not in distances.CORE:
        yield from _one_by_one(task, np.arange(n), progress)
        return
    sketch = None if exact or n < _SKETCHED else sketches.fitting(task)
    compared = task.rows if sketch is None else sketch
    depth = task.looked_at + _MARGIN if sketch is None else sketch.depth
    margin = None if sketch is None else sketch.margin
    for strip in _strips(task, compared, depth, progress):
        chunks = [strip[i : i + _CHUNK] for i in range(0, len(strip), _CHUNK)]
        score = partial(_scored, task, margin=margin)
        # The few rows of an exact search are scored sooner than two threads agree on who goes on.
        scored = map(score, chunks) if sketch is None else spread(score, chunks)
        found = [one for some in scored for one in some]
        doubtful = [i for i, one in enumerate(found) if one is None]
        again = _one_by_one(task, np.array([strip[i].position for i in doubtful], np.int64), None)
        for one in found:
            yield next(again) if one is None else one


def _strips(
    task: Task, compared: sketches.Blocks, depth: int, progress: Callable[[float], object] | None
) -> Iterator[list[_Seen]]:
    """What each row saw, for as many rows at a time as there is memory for pools.

    Within a strip a block of pairs serves the rows on both of its sides.
    """
    n = len(task.rows)
    step = min(_BLOCK_ROWS, max(64, _BLOCK_BYTES // (4 * compared.dim)))
    height = max(step, _POOL_BYTES // Pool.row_bytes(depth) // step * step)
    for start in range(0, n, height):
        strip = range(start, min(start + height, n))
        pool = Pool(len(strip), depth)
        compare = partial(_compare, task, compared, pool, strip, step)
        jobs = [
            (a, b)
            for a in range(start, strip.stop, step)
            for b in (*range(a, n, step), *range(0, start, step))
        ]
        for done, _ in enumerate(spread(compare, jobs), start=1):
            if progress is not None:
                progress((start + len(strip) * done / len(jobs)) / n)
        keys, values = pool.best()
        yield [
            _Seen(start + i, keys[i][seen], values[i][seen], everything=not seen.all() or depth >= n - 1)
            for i, seen in enumerate(values > -np.inf)
        ]


def _compare(
    task: Task, compared: sketches.Blocks, pool: Pool, strip: range, step: int, job: tuple[int, int]
) -> None:
    """Offer the pairs of two blocks of rows to the pool of a strip, that has the first and may have both."""
    a, b = job
    of_a = np.arange(a, min(a + step, strip.stop))
    of_b = np.arange(b, min(b + step, strip.stop if b in strip else len(task.rows)))
    left, right = (compared.block(int(some[0]), int(some[-1]) + 1) for some in (of_a, of_b))
    estimates = task.estimates(left, right, of_a, of_b)
    pool.take(a - strip.start, b, estimates)
    if b in strip and b != a:
        pool.take(b - strip.start, a, estimates.T)


def _scored(task: Task, seen: Sequence[_Seen], *, margin: float | None) -> list[Found | None]:
    return [_settled(task, one, margin) for one in seen]


def _settled(task: Task, seen: _Seen, margin: float | None) -> Found | None:
    """The neighbours of one row by exact scores of what it saw; None if others may be nearer."""
    query = task.rows.block(seen.position, seen.position + 1)[0]
    keys, estimates = seen.keys, seen.estimates
    if margin is not None:
        keys, estimates = _narrowed(task, query, seen, margin)
    k = task.looked_at
    # Whatever rounding did, the k best are among these.
    least = estimates[min(k, len(keys)) - 1] if len(keys) else np.inf
    near = estimates >= least - 2 * task.tolerance[seen.position]
    if margin is None and near.all() and not seen.everything:
        return None
    keys = keys[near]
    scores = distances.scores(query, task.rows.take(keys), task.metric)
    order = distances.best(scores, keys, k)
    chosen = task.chosen(Found(keys[order], scores[order]))
    complete = len(chosen.keys) == task.k or not task.codes or (seen.everything and len(seen.keys) <= k)
    return chosen if complete else None


def _narrowed(task: Task, query: Floats, seen: _Seen, margin: float) -> tuple[Positions, Numbers]:
    """Keys and estimates by whole rows, best first, of what one row saw by sketches and is worth it."""
    k, of_query = task.looked_at, np.array([seen.position])
    first = k + _FIRST

    def whole(keys: Positions) -> Numbers:
        products: Numbers = (task.rows.take(keys) @ query)[None]
        estimates: Numbers = task.scaled(products, of_query, keys)[0]
        return estimates

    keys, estimates = seen.keys[:first], whole(seen.keys[:first])
    if len(seen.keys) > first:
        least = np.partition(estimates, -k)[-k]
        more = seen.keys[first:][seen.estimates[first:] >= least - margin]
        if len(more):
            keys, estimates = np.concatenate([keys, more]), np.concatenate([estimates, whole(more)])
    order = np.argsort(-estimates, kind="stable")
    return keys[order], estimates[order]


def _one_by_one(
    task: Task, positions: Positions, progress: Callable[[float], object] | None
) -> Iterator[Found]:
    """The neighbours of some rows, each compared with all in float64 or by a metric of its own."""
    n = len(task.rows)
    height = max(1, _COMPARED_BYTES // (8 * max(n, task.rows.dim)))
    for start in range(0, len(positions), height):
        some = positions[start : start + height]
        for position, estimates in zip(some.tolist(), _compared(task, some), strict=True):
            yield _best(task, position, estimates)
        if progress is not None:
            progress((start + len(some)) / len(positions))


def _compared(task: Task, positions: Positions) -> Numbers:
    """Estimates of some rows against all, or scores where the metric is none of ours: (m, n)."""
    core, n = task.metric in distances.CORE, len(task.rows)
    rows = task.rows.take(positions)
    found = np.empty((len(positions), n), np.float64 if core else np.float32)
    step = min(_BLOCK_ROWS, max(16, _BLOCK_BYTES // (8 * task.rows.dim)))
    for start in range(0, n, step):
        block, of_b = task.rows.block(start, min(start + step, n)), np.arange(start, min(start + step, n))
        if core:
            wide = (rows.astype(np.float64), block.astype(np.float64))
            found[:, start : start + step] = task.estimates(*wide, positions, of_b)
        else:
            part = distances.estimates(rows, block, task.metric)
            task.exclude(part, positions, of_b)
            found[:, start : start + step] = part
    return found


def _best(task: Task, position: int, estimates: Numbers) -> Found:
    """The neighbours of one row of which all estimates (n,) are known; looks deeper until there are k."""
    may = int((estimates > -np.inf).sum())
    depth = min(task.looked_at, may)
    while True:
        least = np.partition(estimates, -depth)[-depth] if depth else np.inf
        # All that may tie with the last by their scores, so that positions decide.
        keys = (
            np.flatnonzero(estimates >= least - task.tolerance[position]) if depth else np.empty(0, np.int64)
        )
        keys = keys[estimates[keys] > -np.inf]
        scores: Floats = estimates[keys].astype(np.float32)
        if task.metric in distances.CORE:
            query = task.rows.take(np.array([position]))[0]
            scores = distances.scores(query, task.rows.take(keys), task.metric)
        order = distances.best(scores, keys, depth)
        chosen = task.chosen(Found(keys[order], scores[order]))
        if len(chosen.keys) == task.k or depth == may:
            return chosen
        depth = min(4 * depth, may)

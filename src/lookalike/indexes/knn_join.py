"""The k-nearest-neighbour join: the nearest others of every row, each pair compared once for both.

Rows are compared block by block, by matrix products that estimate the scores; each row keeps the
best of what it saw in a pool, and those are scored exactly. The answer is exact: a row counts as done
only if nothing outside its pool can be among its neighbours, whatever the products lost by rounding;
the others are compared in float64.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from lookalike.errors import StoreUnavailable
from lookalike.indexes import distances
from lookalike.indexes.exact import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.types import Floats, RowType

    Job = TypeVar("Job")
    Result = TypeVar("Result")
    Positions = NDArray[np.int64]
    Numbers: TypeAlias = NDArray[np.floating[Any]]


def spread(work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
    """Yield the results of jobs, in their order; a few are worked on ahead of the one that is asked for.

    Each job has one thread of BLAS: several of them wait for each other at every step, awake.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    cores = os.cpu_count() or 1
    under_way: deque[Future[Result]] = deque()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores) as threads:
        for job in jobs:
            under_way.append(threads.submit(work, job))
            if len(under_way) > 2 * cores:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


_MEMORY = 5 << 28
"""Bytes of float32 rows that are kept in memory: 1.25 GiB."""


class Rows:
    """Vectors that grow one block at a time, read by position.

    Args:
        dim: numbers in a vector.
        expected: how many rows will come, as far as is known.
        row_type: what a number fits in without loss; decides only how it is kept in a file.
        memory: bytes from which on the rows lie in a file.
    """

    def __init__(self, dim: int, expected: int, row_type: RowType, *, memory: int = _MEMORY) -> None:
        self.dim = dim
        self._count = 0
        self._squares: list[NDArray[np.float64]] = []
        self._file = tempfile.TemporaryFile() if 4 * dim * expected > memory else None  # noqa: SIM115
        self._type = np.dtype(np.float32 if self._file is None else row_type)
        self._held: NDArray[np.floating[Any]] = np.empty((0, dim), self._type)
        if self._file is None:
            self._held = np.empty((expected, dim), self._type)

    def __len__(self) -> int:
        return self._count

    def append(self, vectors: Floats) -> None:
        """Add rows (m, dim) at the end.

        Raises:
            StoreUnavailable: there is no room for the temporary file.
        """
        if len(vectors) == 0:
            return
        end = self._count + len(vectors)
        if self._file is not None:
            self._write(self._file, vectors.astype(self._type), end)
        else:
            if end > len(self._held):
                more = np.empty((end // 8 + len(vectors), self.dim), self._type)
                self._held = np.concatenate([self._held[: self._count], more])
            self._held[self._count : end] = vectors
        self._squares.append(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        self._count = end

    def block(self, start: int, stop: int) -> Floats:
        """Rows of consecutive positions, ndarray of shape (stop − start, dim)."""
        block: Floats = self._held[start : min(stop, self._count)].astype(np.float32, copy=False)
        return block

    def take(self, positions: NDArray[np.int64]) -> Floats:
        """Rows of any positions, ndarray of shape (m, dim)."""
        taken: Floats = self._held.take(positions, axis=0).astype(np.float32, copy=False)
        return taken

    @property
    def squares(self) -> NDArray[np.float64]:
        """Their squared lengths, ndarray of shape (n,)."""
        if len(self._squares) != 1:
            self._squares = [np.concatenate([np.empty(0), *self._squares])]
        return self._squares[0]

    def close(self) -> None:
        """Let go of memory and file."""
        self._held = np.empty((0, self.dim), self._type)
        self._count, self._squares = 0, []
        if self._file is not None:
            self._file.close()

    def _write(self, file: IO[bytes], rows: NDArray[np.floating[Any]], count: int) -> None:
        """Append to the file and map it anew: written through a map, a full disk would end the process."""
        try:
            file.seek(0, os.SEEK_END)
            file.write(rows.tobytes())
            file.flush()
        except OSError as error:
            raise StoreUnavailable(
                f"no room for a temporary file of vectors in {tempfile.gettempdir()} ({error.strerror}); "
                "name a folder that has it by TMPDIR"
            ) from error
        self._held = np.memmap(file, self._type, "r", shape=(count, self.dim))


class Pool:
    """For each of m rows the `depth` largest values it was offered, and their keys.

    A row has twice the room it needs: new values above its least are appended, and only when there
    is no more room are the best sorted out. Several threads may offer values.

    Args:
        m: how many rows.
        depth: how many values each is to keep.
    """

    def __init__(self, m: int, depth: int) -> None:
        self._depth = depth
        self._room = 2 * depth
        self._keys = np.zeros((m, self._room), np.int32)
        self._values = np.full((m, self._room), -np.inf, np.float32)
        self._filled = np.zeros(m, np.int64)
        self._least = np.full(m, -np.inf, np.float32)
        self._lock = Lock()

    @staticmethod
    def row_bytes(depth: int) -> int:
        """Memory that a row takes."""
        return 16 * depth

    def take(self, first: int, first_key: int, values: Numbers) -> None:
        """Offer a block of values (r, c): to r rows from `first` on, under c keys from `first_key` on."""
        r, c = values.shape
        least = self._least[first : first + r]
        passing = values > least[:, None]
        if c > self._depth and np.isneginf(least).any():
            # Rows that have seen little would let everything pass.
            floor = np.partition(np.ascontiguousarray(values), c - self._depth, axis=1)[:, c - self._depth]
            passing &= values >= floor[:, None]
        else:
            floor = None
        # In the order of memory, which for a transposed block is by columns.
        found = np.flatnonzero(passing.ravel(order="K"))
        if passing.flags.c_contiguous:
            rows, columns = np.divmod(found, c)
        else:
            columns, rows = np.divmod(found, r)
            # Short integers are sorted by radix, in a tenth of the time.
            order = np.argsort(rows.astype(np.uint16), kind="stable")
            rows, columns = rows[order], columns[order]
        offered = values[rows, columns]
        with self._lock:
            self._add(first, r, rows, columns + first_key, offered)
            if floor is not None:
                # There are `depth` values now that are no less.
                np.maximum(least, floor, out=least)

    def best(self) -> tuple[Positions, Floats]:
        """Keys and values (m, depth), largest first, ties by key; −∞ where a row saw fewer."""
        self._compress(np.arange(len(self._filled)))
        keys, values = self._keys[:, : self._depth], self._values[:, : self._depth]
        order = np.lexsort((keys, -values), axis=1)
        return np.take_along_axis(keys, order, 1).astype(np.int64), np.take_along_axis(values, order, 1)

    def _add(self, first: int, r: int, rows: Positions, keys: Positions, values: Numbers) -> None:
        """Append values to rows, sorted and counted from `first`, making room as often as it takes."""
        filled = self._filled[first : first + r]
        while len(rows):
            counts = np.bincount(rows, minlength=r)
            offsets = filled - np.cumsum(counts) + counts
            places = offsets[rows] + np.arange(len(rows))
            fits = places < self._room
            if fits.all():
                here, there, left = rows, places, rows[:0]
            else:
                here, there, left = rows[fits], places[fits], rows[~fits]
            into = here + first
            self._keys[into, there] = keys if len(left) == 0 else keys[fits]
            self._values[into, there] = values if len(left) == 0 else values[fits]
            np.minimum(filled + counts, self._room, out=filled)
            if len(left):
                keys, values = keys[~fits], values[~fits]
                self._compress(np.unique(left) + first)
                above = values > self._least[left + first]
                left, keys, values = left[above], keys[above], values[above]
            rows = left

    def _compress(self, rows: Positions) -> None:
        """Keep the best of some rows, and remember the least of them."""
        if len(rows) == 0:
            return
        values, keys, depth = self._values[rows], self._keys[rows], self._depth
        order = np.argpartition(-values, depth - 1, axis=1)[:, :depth]
        values = np.take_along_axis(values, order, 1)
        self._values[rows, :depth], self._values[rows, depth:] = values, -np.inf
        self._keys[rows, :depth] = np.take_along_axis(keys, order, 1)
        self._filled[rows] = np.minimum(self._filled[rows], depth)
        self._least[rows] = values.min(axis=1)


_MARGIN = 13
"""Rows beyond k that an exact search scores: enough that few are left in doubt."""

_BLOCK_ROWS = 1024
_BLOCK_BYTES = 64 << 20
_POOL_BYTES = 256 << 20
_COMPARED_BYTES = 64 << 20


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
            a: rows, ndarray of shape (m, dim).
            b: others, ndarray of shape (n, dim).
            of_a: their positions, ndarray of shape (m,).
            of_b: those of the others, ndarray of shape (n,).

        Returns:
            ndarray of shape (m, n): cosines, inner products, or −L2²/2.
        """
        products: Numbers = a @ b.T
        kind = products.dtype
        if self.metric == "cosine":
            products *= self._factors[of_a, None].astype(kind)
            products *= self._factors[of_b].astype(kind)
        elif self.metric == "euclidean":
            products -= self._halves[of_a, None].astype(kind)
            products -= self._halves[of_b].astype(kind)
        self.exclude(products, of_a, of_b)
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


def nearest(task: Task, *, progress: Callable[[float], object] | None = None) -> Iterator[Found]:
    """Yield the k nearest others of each row, in the order of rows: best first, ties by position.

    Args:
        task: what is wanted.
        progress: called with the share of pairs that are compared, 0 to 1.
    """
    if task.metric not in distances.CORE:
        yield from _one_by_one(task, np.arange(len(task.rows)), progress)
        return
    for strip in _strips(task, progress):
        # So few rows are scored sooner than two threads agree on who goes on.
        found = [_settled(task, seen) for seen in strip]
        doubtful = [i for i, one in enumerate(found) if one is None]
        again = _one_by_one(task, np.array([strip[i].position for i in doubtful], np.int64), None)
        for one in found:
            yield next(again) if one is None else one


def _strips(task: Task, progress: Callable[[float], object] | None) -> Iterator[list[_Seen]]:
    """Yield what each row saw, for as many rows at a time as there is memory for pools.

    Within a strip a block of pairs serves the rows on both of its sides.
    """
    n, depth = len(task.rows), task.looked_at + _MARGIN
    step = min(_BLOCK_ROWS, max(64, _BLOCK_BYTES // (4 * task.rows.dim)))
    height = max(step, _POOL_BYTES // Pool.row_bytes(depth) // step * step)
    for start in range(0, n, height):
        strip = range(start, min(start + height, n))
        pool = Pool(len(strip), depth)
        compare = partial(_compare, task, pool, strip, step)
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


def _compare(task: Task, pool: Pool, strip: range, step: int, job: tuple[int, int]) -> None:
    """Offer the pairs of two blocks of rows to the pool of a strip, that has the first and may have both."""
    a, b = job
    of_a = np.arange(a, min(a + step, strip.stop))
    of_b = np.arange(b, min(b + step, strip.stop if b in strip else len(task.rows)))
    left, right = (task.rows.block(int(some[0]), int(some[-1]) + 1) for some in (of_a, of_b))
    estimates = task.estimates(left, right, of_a, of_b)
    pool.take(a - strip.start, b, estimates)
    if b in strip and b != a:
        pool.take(b - strip.start, a, estimates.T)


def _settled(task: Task, seen: _Seen) -> Found | None:
    """Return the neighbours of one row by exact scores of what it saw; None if others may be nearer."""
    query = task.rows.block(seen.position, seen.position + 1)[0]
    keys, estimates = seen.keys, seen.estimates
    k = task.looked_at
    # Whatever rounding did, the k best are among these.
    least = estimates[min(k, len(keys)) - 1] if len(keys) else np.inf
    near = estimates >= least - 2 * task.tolerance[seen.position]
    if near.all() and not seen.everything:
        return None
    keys = keys[near]
    scores = distances.scores(query, task.rows.take(keys), task.metric)
    order = distances.best(scores, keys, k)
    chosen = task.chosen(Found(keys[order], scores[order]))
    complete = len(chosen.keys) == task.k or not task.codes or (seen.everything and len(seen.keys) <= k)
    return chosen if complete else None


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

"""Sketches: a few hundred numbers for each row whose products estimate those of whole rows.

The first numbers are the row's share in the main directions of the gallery; the others are some
coordinates of what is left, after a random rotation (Johnson and Lindenstrauss; the rotation is a
random flip of signs, then the Fourier transform). Either alone is much worse on vectors of pictures:
main directions miss what only a few pictures have in common, which is what makes them neighbours,
and random coordinates alone must estimate what all pictures have in common, too.

How long a sketch must be and how many rows must be scored is measured on rows of the gallery.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lookalike.indexes.pools import Pool
from lookalike.indexes.threads import one_thread, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.indexes.pairs import Task
    from lookalike.indexes.rows import Rows
    from lookalike.types import Floats

    Positions = NDArray[np.int64]

SAMPLE = 512
"""Rows whose neighbours are found exactly, to measure by."""

_LENGTHS = (256, 512, 768, 1024)
_DEEPEST = 512
_HEAD = 128
_HEAD_ROWS = 2048
_TARGET = 0.9995
"""Of the sampled neighbours: leaves room for the error of the sample above .999."""

_SAFETY = 1.25
"""How much deeper a search goes than the sample asks for."""

_HEAD_BYTES = 128 << 20
_BLOCK_BYTES = 4 << 20
_SKETCH_BYTES = 1 << 30

_PAIR, _PRODUCT, _SCORED = 0.6, 0.0067, 0.5
"""Nanoseconds, roughly, on two cores: to look at a pair, to multiply a number of it, to score a number
of a candidate. Only how they compare matters."""


class Blocks(Protocol):
    """Rows or sketches, read block by block."""

    @property
    def dim(self) -> int:
        """Numbers in each."""
        ...

    def block(self, start: int, stop: int) -> Floats:
        """Those of consecutive positions, ndarray of shape (stop − start, dim)."""
        ...


@dataclass(frozen=True, slots=True)
class Sketch:
    """Sketches of all rows, and what a search by them needs.

    rows: ndarray of shape (n, dim).
    depth: how many rows of largest estimate are candidates.
    margin: how far below the k-th score an estimate may be, for its row to be worth scoring.
    cost: of the search, nanoseconds a row.
    """

    rows: Floats
    depth: int
    margin: float
    cost: float

    @property
    def dim(self) -> int:
        """Numbers in a sketch."""
        return int(self.rows.shape[1])

    def block(self, start: int, stop: int) -> Floats:
        """Sketches of consecutive positions."""
        return self.rows[start:stop]


@dataclass(frozen=True, slots=True)
class _Truth:
    """Some rows (q,), the positions of their neighbours (q, k), and the k-th neighbours' scores (q,)."""

    positions: Positions
    neighbours: Positions
    edges: Floats


def fitting(task: Task, *, seed: int = 0) -> Sketch | None:
    """The cheapest sketches that find the neighbours; None if to compare whole rows is cheaper.

    Args:
        task: whose neighbours are wanted.
        seed: of the sample and the projections.
    """
    rows, n = task.rows, len(task.rows)
    lengths = [m for m in _LENGTHS if 2 * m <= rows.dim and 4 * m * n <= _SKETCH_BYTES]
    if not lengths or n < 8 * SAMPLE:
        return None
    rng = np.random.default_rng(seed)
    projected = _projected(rows, lengths[-1], rng)
    truth = _truth(task, np.sort(rng.choice(n, SAMPLE, replace=False)))
    best: Sketch | None = None
    cost = _compared(n, rows.dim)
    for length in lengths:
        if _compared(n, length) >= cost:
            break
        # The random part is scaled so that its products are right on average, whatever its length.
        scale = np.full(length, np.sqrt(2 / (length - _HEAD)), np.float32)
        scale[:_HEAD] = 1
        sketch = _measured(task, projected[:, :length] * scale, truth)
        if sketch is not None and sketch.cost < cost:
            best, cost = sketch, sketch.cost
    return best


def _compared(n: int, dim: int) -> float:
    """What it costs to compare a row with n others by so many numbers."""
    return n * (_PRODUCT * dim + _PAIR)


def _projected(rows: Rows, length: int, rng: np.random.Generator) -> Floats:
    """Shares in the main directions, and random coordinates of what is left: (n, length)."""
    head = _main_directions(rows, rng)
    signs = rng.choice(np.array([-1, 1], np.float32), rows.dim)
    # The first number of a transform and, of an even length, the last have no imaginary part.
    waves = 1 + rng.permutation((rows.dim - 1) // 2)[: (length - _HEAD) // 2]

    def rotated(block: Floats) -> Floats:
        spectrum = np.fft.rfft(block * signs)[:, waves]
        return np.ascontiguousarray(spectrum, np.complex64).view(np.float32)

    rotated_head = rotated(head.T)  # (_HEAD, length − _HEAD)
    projected = np.empty((len(rows), length), np.float32)

    def project(start: int) -> None:
        block = rows.block(start, start + step)
        into = projected[start : start + step]
        into[:, :_HEAD] = shares = block @ head
        np.subtract(rotated(block), shares @ rotated_head, out=into[:, _HEAD:])

    step = _step(rows.dim)
    deque(spread(project, range(0, len(rows), step)), maxlen=0)
    return projected


def _main_directions(rows: Rows, rng: np.random.Generator) -> Floats:
    """Directions in which rows are longest, at right angles to each other: (dim, _HEAD)."""
    count = min(_HEAD_ROWS, len(rows), max(2 * _HEAD, _HEAD_BYTES // (4 * rows.dim)))
    some = rows.take(np.sort(rng.choice(len(rows), count, replace=False)))
    head: Floats = rng.standard_normal((rows.dim, _HEAD), np.float32)
    with one_thread():
        for _ in range(2):  # power iterations, on rows instead of their much larger covariance
            head = np.linalg.qr(some.T @ (some @ head))[0]
    return head


def _truth(task: Task, positions: Positions) -> _Truth:
    """The neighbours of a sample of rows, by comparing whole rows."""
    pool = Pool(len(positions), task.looked_at)
    queries = task.rows.take(positions)
    step = _step(task.rows.dim)

    def compare(start: int) -> None:
        block = task.rows.block(start, start + step)
        of_b = np.arange(start, start + len(block))
        pool.take(0, start, task.estimates(queries, block, positions, of_b))

    deque(spread(compare, range(0, len(task.rows), step)), maxlen=0)
    neighbours, values = pool.best()
    complete = np.isfinite(values).all(axis=1)
    return _Truth(positions[complete], neighbours[complete], values[complete, -1])


def _measured(task: Task, sketches: Floats, truth: _Truth) -> Sketch | None:
    """How deep a search by these sketches must go; None if deeper than it may."""
    queries = sketches[truth.positions]
    near = np.stack(
        [
            task.estimates(query[None], sketches[keys], np.array([position]), keys)[0]
            for query, position, keys in zip(queries, truth.positions, truth.neighbours, strict=True)
        ]
    )  # (q, k)
    margin = _SAFETY * max(float(np.quantile(truth.edges[:, None] - near, _TARGET)), 0.0)
    edges = np.column_stack([near, truth.edges - margin])
    step = _step(sketches.shape[1])

    def count(start: int) -> Positions:
        block = sketches[start : start + step]
        of_b = np.arange(start, start + len(block))
        estimates = task.estimates(queries, block, truth.positions, of_b)
        return np.stack([np.count_nonzero(estimates > edge[:, None], axis=1) for edge in edges.T], axis=1)

    ahead = np.zeros(edges.shape, np.int64)
    for counts in spread(count, range(0, len(sketches), step)):
        ahead += counts
    depth = int(_SAFETY * np.quantile(ahead[:, :-1], _TARGET, method="higher")) + task.looked_at + 1
    if depth > min(_DEEPEST, len(sketches) - 1):
        return None
    scored = np.minimum(ahead[:, -1], depth).mean()
    cost = _compared(len(sketches), sketches.shape[1]) + _SCORED * scored * task.rows.dim
    return Sketch(sketches, depth, margin, float(cost))


def _step(dim: int) -> int:
    """Rows looked at together."""
    return int(np.clip(_BLOCK_BYTES // (4 * dim), 16, 2048))

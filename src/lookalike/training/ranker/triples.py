"""Triples of pictures that a network learns from: a query, a better and a worse answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.evaluation import measures
from lookalike.training.batches import Shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from lookalike.types import Floats

    Rows = NDArray[np.intp]
    Draw = Callable[[np.random.Generator, Rows], Rows]

_HARDEST = 40
"""Worse pictures are drawn from so many of other labels that score highest before the training."""


class OfLabels:
    """Draws a better picture of the query's label and a worse one of the hardest others.

    Args:
        vectors: as the base gives them, of unit length, ndarray of shape (n, dim).
        labels: n of them.
        among: the rows that answers are drawn from.
    """

    def __init__(self, vectors: Floats, labels: Sequence[Hashable], among: Rows) -> None:
        self._vectors = vectors
        self._alike = measures.Relevance(labels)
        self._among = among

    def asking(self, rows: Rows) -> Rows:
        """Those that there is a better and a worse answer for."""
        found = self._alike.between(rows, self._among)
        others = found & (rows[:, None] != self._among)
        asking: Rows = rows[others.any(1) & ~found.all(1)]
        return asking

    def __call__(self, random: np.random.Generator, rows: Rows) -> Rows:
        """A triple for each query: (rows, 3)."""
        right = self._alike.between(rows, self._among)
        scores = np.where(right, -np.inf, self._vectors[rows] @ self._vectors[self._among].T)
        right &= rows[:, None] != self._among
        better = np.where(right, random.random(right.shape), -1.0).argmax(1)
        hardest = np.argsort(-scores, axis=1)[:, :_HARDEST]
        possible = np.take_along_axis(scores, hardest, 1) > -np.inf
        chosen = np.where(possible, random.random(possible.shape), -1.0).argmax(1)
        worse = hardest[np.arange(len(rows)), chosen]
        return np.stack([rows, self._among[better], self._among[worse]], axis=1)


class OfTable:
    """Draws from triples that are given.

    Args:
        triples: rows of query, better and worse, ndarray of shape (t, 3).
    """

    def __init__(self, triples: Rows) -> None:
        self._triples = triples

    def __call__(self, random: np.random.Generator, rows: Rows) -> Rows:  # noqa: ARG002  # nothing by chance
        """The triples of these numbers: (rows, 3)."""
        return self._triples[rows]


class TripleBatches(Shuffled):
    """Triples in batches; what is drawn follows from the seed, the epoch and the query alone.

    Args:
        pictures: ndarray of shape (n, height, width, 3), uint8.
        draw: gives triples for some rows.
        rows: of what is drawn for.
        batch: triples at a time.
        seed: of the chance.
        fixed: whether every epoch has the same triples in the same order, to measure by.
    """

    def __init__(
        self,
        pictures: NDArray[np.uint8],
        draw: Draw,
        rows: Rows,
        *,
        batch: int,
        seed: int,
        fixed: bool = False,
    ) -> None:
        super().__init__(rows.tolist(), batch=batch, seed=None if fixed else seed)
        self._pictures = pictures
        self._draw = draw
        self._chance = seed
        self._fixed = fixed

    def take(self, rows: Rows) -> tuple[Any, Any]:
        """Pixels of queries, better and worse ones, each (rows, height, width, 3), and 1 for each triple."""
        epoch = 0 if self._fixed else self.epoch
        random = np.random.default_rng([self._chance, epoch, *rows[:1].tolist()])
        triples = self._draw(random, rows)
        pixels = tuple(self._pictures[triples[:, i]].astype(np.float32) for i in range(3))
        return pixels, np.ones((len(rows), 1), np.float32)

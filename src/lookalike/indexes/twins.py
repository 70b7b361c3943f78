"""Rows with equal vectors: one of them stands for all in a search by codes, so that they can't fill it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Floats


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

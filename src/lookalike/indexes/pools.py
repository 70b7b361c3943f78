"""The best of what each of many rows has seen, block by block."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Floats

    Places = NDArray[np.int64]
    Numbers: TypeAlias = NDArray[np.floating[Any]]


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

    def best(self) -> tuple[Places, Floats]:
        """Keys and values (m, depth), largest first, ties by key; −∞ where a row saw fewer."""
        self._compress(np.arange(len(self._filled)))
        keys, values = self._keys[:, : self._depth], self._values[:, : self._depth]
        order = np.lexsort((keys, -values), axis=1)
        return np.take_along_axis(keys, order, 1).astype(np.int64), np.take_along_axis(values, order, 1)

    def _add(self, first: int, r: int, rows: Places, keys: Places, values: Numbers) -> None:
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

    def _compress(self, rows: Places) -> None:
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

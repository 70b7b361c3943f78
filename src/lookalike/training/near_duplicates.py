"""Pictures that are next to identical: a model that has learnt from one has seen the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.types import Floats

    Pixels = NDArray[np.uint8]

# On 796 cliparts and photographs: copies, the same coin of another year, letters of both cases.
_COARSE, _COARSE_SIDE = 0.97, 8  # cosine of 8x8 colours, each picture less its mean
_FINE, _FINE_SIDE = 0.95, 32  # of 32x32 greys, for those alone
_BLOCK = 2048  # rows compared with as many others at a time
_READ = 1 << 23  # numbers of pictures made small at a time; of large pictures it is one

_FLAT = 0.02
"""What a picture's mean counts beside all of its differences: only where there are next to none."""


def groups(pixels: Pixels, among: Sequence[int]) -> list[list[int]]:
    """Rows of pictures that are next to identical, directly or by way of others.

    Args:
        pixels: ndarray of shape (n, height, width, 3), uint8.
        among: the rows that are looked at.

    Returns:
        Groups of two or more, each a list of places in `among`.
    """
    rows, count = np.asarray(among, np.intp), len(among)
    at_once = max(1, _READ // max(1, int(np.prod(pixels.shape[1:]))))
    parts = [_described(pixels[rows[block]], _COARSE_SIDE) for block in _blocks(count, at_once)]
    coarse = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    greys = _Greys(pixels, rows)
    return linked(coarse, _COARSE, greys.same)


def linked(
    unit: Floats, least: float, same: Callable[[int, int], bool] = lambda _one, _other: True
) -> list[list[int]]:
    """Rows of vectors that point the same way, directly or by way of others.

    Args:
        unit: ndarray of shape (n, dim), of unit length.
        least: the cosine from which on two may be linked.
        same: whether two such are; asked only where it decides.

    Returns:
        Groups of two or more.
    """
    leader = np.arange(len(unit))
    for ours in _blocks(len(unit), _BLOCK):
        for theirs in _blocks(ours.stop, _BLOCK):
            close = np.argwhere(unit[ours] @ unit[theirs].T >= least) + np.array([ours.start, theirs.start])
            for one, other in close[close[:, 0] > close[:, 1]].tolist():
                above, below = _leader(leader, one), _leader(leader, other)
                if above != below and same(one, other):
                    leader[above] = below
    found: dict[int, list[int]] = {}
    for row in range(len(unit)):
        found.setdefault(_leader(leader, row), []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


class _Greys:
    """The fine description of pictures, each made once: scans and icons are alike by the thousand.

    Args:
        pixels: ndarray of shape (n, height, width, 3), uint8.
        rows: those that places stand for.
    """

    def __init__(self, pixels: Pixels, rows: NDArray[np.intp]) -> None:
        self._pixels = pixels
        self._rows = rows
        self._made: dict[int, Floats] = {}

    def same(self, one: int, other: int) -> bool:
        """Whether the pictures of two places are next to identical."""
        return bool(self._of(one) @ self._of(other) >= _FINE)

    def _of(self, place: int) -> Floats:
        if place not in self._made:
            picture = self._pixels[self._rows[[place]]]
            greys = picture.mean(axis=3, keepdims=True, dtype=np.float32)
            self._made[place] = _described(greys, _FINE_SIDE)[0]
        return self._made[place]


def _described(pictures: NDArray[np.generic], side: int) -> Floats:
    """Small pictures less their means, at unit length; what is of one colour is like others of that colour.

    Args:
        pictures: ndarray of shape (n, height, width, channels), of numbers from 0 to 255.
        side: of the small pictures, in pixels.

    Returns:
        ndarray of shape (n, side * side * channels + 1).
    """
    count, height, width, _channels = pictures.shape
    down, across = (np.linspace(0, size, min(side, size) + 1).astype(int)[:-1] for size in (height, width))
    small = np.add.reduceat(np.add.reduceat(pictures.astype(np.float32), down, 1), across, 2)
    areas = np.diff([*down, height])[:, None, None] * np.diff([*across, width])[:, None]
    flat = (small / areas).reshape(count, -1)  # (n, side * side * channels)
    mean = flat.mean(1, keepdims=True)
    flat = np.concatenate([flat - mean, _FLAT * mean], axis=1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, np.float32(1e-6)), np.float32)


def _leader(leader: NDArray[np.intp], row: int) -> int:
    while leader[row] != row:
        leader[row] = leader[leader[row]]
        row = leader[row]
    return int(row)


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))

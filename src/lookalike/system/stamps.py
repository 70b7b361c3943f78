"""Numbers of the operating system, made to fit the 64 bits that every store has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""The whole numbers that fit."""


def fitting(number: int) -> int:
    """Return the number, or its lowest 64 bits as a signed number where it is larger than those.

    A time after the year 2262 does not fit, nor do some numbers of devices. Two that differ are told apart
    all the same, which is all that is asked of them.

    >>> fitting(1 << 63)
    -9223372036854775808
    """
    return number if LEAST <= number <= MOST else (number - LEAST) % (1 << 64) + LEAST


def stamp(status: os.stat_result) -> tuple[int, int]:
    """Return size and mtime_ns of a file as a store remembers them."""
    return fitting(status.st_size), fitting(status.st_mtime_ns)

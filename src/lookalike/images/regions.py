"""Regions of pictures: a box, given in pixels or in shares of the upright picture."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from lookalike.errors import ImageError, UsageError

_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*")
_EXPECTED = (
    "expected left, top, width and height, in pixels (40,30,200,150) or in percent of the upright picture "
    "(10%,20%,50%,60%)"
)


class Box(NamedTuple):
    """A region of an upright picture.

    left, top, width, height: in pixels; or in shares of the picture's width and height, 0 to 1.
    shares: whether they are such shares.
    """

    left: float
    top: float
    width: float
    height: float
    shares: bool = False

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read `left,top,width,height`, in whole pixels or, each with a sign, in percent.

        Raises:
            UsageError: it says something else, or a box without area.

        >>> Box.parse("10%,20%,50%,60%")
        Box(left=0.1, top=0.2, width=0.5, height=0.6, shares=True)
        """
        found = [_NUMBER.fullmatch(part) for part in text.split(",")]
        numbers = [float(match[1]) for match in found if match]
        signs = {match[2] for match in found if match}
        whole = "%" in signs or all(number.is_integer() for number in numbers)
        if len(found) != 4 or None in found or len(signs) != 1 or not whole:
            raise UsageError(f"the box {text!r} can't be read; {_EXPECTED}")
        shares = signs == {"%"}
        left, top, width, height = (number / 100 if shares else number for number in numbers)
        return cls(left, top, width, height, shares).checked()

    def checked(self) -> Box:
        """Return the box.

        Raises:
            UsageError: it has no area, or is in shares that are more than a picture.
        """
        numbers = self[:4]
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or 0 in numbers[2:]:
            raise UsageError(f"{self} has no area, or begins left of or above the picture; {_EXPECTED}")
        if self.shares and max(self.left + self.width, self.top + self.height) > 1 + 1e-9:
            raise UsageError(f"{self} reaches beyond the picture: what it has of it is more than 100%")
        return self

    def __str__(self) -> str:
        """The box as `parse` reads it."""
        if self.shares:
            return "the box " + ",".join(f"{100 * number:g}%" for number in self[:4])
        return "the box " + ",".join(f"{number:g}" for number in self[:4])

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, width and height in whole pixels of a picture of this size, upright.

        Raises:
            ImageError: the box lies outside of the picture, at least in part.
        """
        across, down = (width, height) if self.shares else (1, 1)
        left, top = math.floor(self.left * across + 1e-6), math.floor(self.top * down + 1e-6)
        right = math.ceil((self.left + self.width) * across - 1e-6)
        bottom = math.ceil((self.top + self.height) * down - 1e-6)
        if right > width or bottom > height:
            raise ImageError(f"{self} lies outside of the picture, which has {width:,} × {height:,} pixels")
        return left, top, max(1, right - left), max(1, bottom - top)

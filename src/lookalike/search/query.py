"""Queries as values: pictures, ids, vectors and words, added up with weights.

>>> from lookalike import Picture, Words
>>> str(Picture("beach.jpg") + 0.5 * Words("at night") - Words("people"))
'beach.jpg + 0.5:text:at night - text:people'
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.errors import UsageError
from lookalike.system.text import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from lookalike.images import Box
    from lookalike.images.given import Picture as Pixels
    from lookalike.types import Floats

    Crop: TypeAlias = Box | str | Sequence[float]
    Part: TypeAlias = "Picture | Id | Vector | Words"
    QueryLike: TypeAlias = "str | os.PathLike[str] | Pixels | NDArray[np.floating[Any]] | Part | Query"

ID_PREFIX = "id:"
"""What a text begins with that means a picture of the gallery and nothing else."""

WORDS_PREFIX = "text:"
"""What a text begins with that means words and nothing else."""

_LEAST_LENGTH = 1e-6
"""A sum of unit vectors shorter than this is rounding error."""


class Summand:
    """What can be added, taken away and weighted; the result is a `Query`."""

    __slots__ = ()
    __array_ufunc__ = None  # so that a weight may be a number of numpy

    def weighted(self) -> tuple[tuple[float, Part], ...]:
        """Return the parts, each behind its weight."""
        return ((1.0, self),)  # type: ignore[return-value]

    def __add__(self, other: Summand) -> Query:
        """Return the query of both."""
        if not isinstance(other, Summand):
            return NotImplemented
        return Query((*self.weighted(), *other.weighted()))

    def __sub__(self, other: Summand) -> Query:
        """Return the query of this one without what the other shows."""
        return self + -other if isinstance(other, Summand) else NotImplemented

    def __neg__(self) -> Query:
        """Return the query with every weight turned round."""
        return -1 * self

    def __mul__(self, weight: float) -> Query:
        """Return the query with every weight multiplied.

        Raises:
            UsageError: the weight is not finite.
        """
        try:
            factor = float(weight)
        except (TypeError, ValueError):
            return NotImplemented
        if not math.isfinite(factor):
            raise UsageError(f"a part of a query has the weight {weight}; expected a finite number")
        return Query(tuple((factor * own, part) for own, part in self.weighted()))

    __rmul__ = __mul__


@dataclass(frozen=True, slots=True)
class Query(Summand):
    """Several parts that make one vector: the sum of theirs, each with its weight.

    parts: (weight, part) pairs; a negative weight takes away what the part shows.
    """

    parts: tuple[tuple[float, Part], ...]

    def weighted(self) -> tuple[tuple[float, Part], ...]:
        """Return the parts, each behind its weight."""
        return self.parts

    def __str__(self) -> str:
        """The query as the command line takes it."""
        return in_words([(weight, str(part)) for weight, part in self.parts])


@dataclass(frozen=True, slots=True, eq=False)
class Picture(Summand):
    """A picture from anywhere.

    picture: the path of a file, the address of one, bytes of an encoded picture, a binary file object, a PIL
        image, or an array of shape (h, w, 3), uint8. A text is a path unless it begins as an address does.
    crop: the region to go by, cut from the upright picture before anything else is done to it: left, top,
        width and height, as `"40,30,200,150"` in pixels or `"10%,20%,50%,60%"`; four whole numbers in
        pixels; four numbers of which one is a float, as shares of 0 to 1; or a `lookalike.images.Box`.
    """

    picture: str | os.PathLike[str] | Pixels
    crop: Crop | None = None

    def box(self) -> Box | None:
        """Return the region to go by. Raises `UsageError` for one that can't be meant."""
        return None if self.crop is None else _box(self.crop)

    def __str__(self) -> str:
        """The path or the address without its secrets, or `a picture`."""
        path = self.picture if isinstance(self.picture, str | os.PathLike) else None
        name = "a picture" if path is None else redact(os.fspath(path))
        return name if self.crop is None else f"{name} ({self.box()})"


@dataclass(frozen=True, slots=True)
class Id(Summand):
    """A picture of the gallery: by its id, by its file's name without the ending, or by the field `id`."""

    id: str

    def __str__(self) -> str:
        """The id behind `id:`."""
        return ID_PREFIX + self.id


@dataclass(frozen=True, slots=True, eq=False)
class Vector(Summand):
    """A vector of the gallery's own kind, array of shape (dim,)."""

    numbers: ArrayLike = field(repr=False)

    def __str__(self) -> str:
        """What it is; the numbers are too many."""
        return "a vector"


@dataclass(frozen=True, slots=True)
class Words(Summand):
    """Words that name what a picture shows, or that stand in its name or metadata."""

    text: str

    def __str__(self) -> str:
        """The words behind `text:`."""
        return WORDS_PREFIX + self.text


def in_words(parts: Sequence[tuple[float, str]]) -> str:
    """Return weighted parts as the command line takes them.

    >>> in_words([(1, "a.jpg"), (0.5, "b.jpg"), (-1, "c.jpg")])
    'a.jpg + 0.5:b.jpg - c.jpg'
    """
    text = ""
    for weight, name in parts:
        sign = ("- " if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
        text += sign + ("" if abs(weight) == 1 else f"{abs(weight):g}:") + name
    return text


def combined(vectors: Floats, weights: Floats, spreads: Floats, *, normalized: bool) -> Floats:
    """Return the one vector that several parts of a query make, Σ wᵢ·vᵢ/σᵢ.

    Args:
        vectors: of the parts, array of shape (parts, dim).
        weights: of the parts, array of shape (parts,).
        spreads: σ, how widely the scores of each part lie, array of shape (parts,); 1 where all parts are
            pictures, since their scores are of one kind.
        normalized: whether the gallery's vectors have unit length. The sum then gets it, too; else it is
            divided by the sum of the weights where that is above 0, so that a picture added to itself is
            itself.

    Returns:
        Array of shape (dim,), float32.

    Raises:
        UsageError: the parts cancel each other out.
    """
    import numpy as np

    scale = weights / spreads
    total = scale @ vectors  # (dim,)
    length = float(np.linalg.norm(total))
    if length <= _LEAST_LENGTH * float(np.abs(scale).sum()) * float(np.linalg.norm(vectors, axis=1).max()):
        raise UsageError("the parts of the query cancel each other out; give them other weights")
    if normalized:
        return np.asarray(total / length, np.float32)
    return np.asarray(total / max(float(scale.sum()), 0) if scale.sum() > 0 else total, np.float32)


def _box(crop: Crop) -> Box:
    from lookalike.images import Box

    if isinstance(crop, Box):
        return crop.checked()
    if isinstance(crop, str):
        return Box.parse(crop)
    numbers = tuple(crop)
    try:
        left, top, width, height = map(float, numbers)
    except (TypeError, ValueError):
        raise UsageError(f"the crop {crop!r} can't be read; expected left, top, width and height") from None
    return Box(left, top, width, height, any(isinstance(number, float) for number in numbers)).checked()

"""What a researcher may change of a network's own settings, behind the `?` of its name."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from lookalike.errors import UsageError
from lookalike.extractors.cards import LARGEST_SIDE, Channels, Resize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lookalike.extractors.cards import Card

OPTIONS = {
    "scale": "a number or a fraction as 1/255, or three by commas: pixels are multiplied by it",
    "mean": "a number, or three by commas in the network's order of channels: taken off the pixels before",
    "channels": "RGB or BGR",
    "resize": ", ".join(get_args(Resize)),
    "size": "140 or 140x120 (width x height)",
    "top-classes": "how many of the largest class scores are kept",
}
"""The options, and what each takes."""


def overridden(card: Card, options: Iterable[tuple[str, str]], *, own: Iterable[str] = ()) -> Card:
    """A card with the settings that stand behind a model's name.

    `scale` or `mean` given replaces the network's own scaling altogether: pixels, 0 to 255, go in as
    (x - mean) * scale, mean 0 and scale 1 unless given. A `resize` that is given is followed to the
    letter: pictures are decoded whole, and not shrunk by whole factors before.

    Args:
        card: the network's own.
        options: (key, value) pairs, as `Name.options`.
        own: more options, which the loader has seen to itself.

    Raises:
        UsageError: an unknown option, or a value that can't be read; the message lists what there is.
    """
    given = dict(options)
    own = tuple(own)
    changes: dict[str, Any] = {}
    if {"scale", "mean"} & given.keys():
        changes = {"mean": (0.0,), "scale": (1.0,)}
    for key, value in given.items():
        if key in own:
            continue
        if key not in OPTIONS:
            raise UsageError(_unknown(card, key, own))
        try:
            changes |= _READERS[key](value)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise UsageError(
                f"{card.name} can't be used with {key}={value}; expected {OPTIONS[key]}"
            ) from error
    return replace(card, **changes) if changes else card


def _unknown(card: Card, key: str, own: tuple[str, ...]) -> str:
    known = [f"{option} ({what})" for option, what in OPTIONS.items()] + list(own)
    return f"{card.name} has no option {key!r}; there are {', '.join(known)}"


def _numbers(text: str) -> tuple[float, ...]:
    parts = [part.partition("/") for part in text.split(",")]
    numbers = tuple(float(above) / float(below or "1") for above, _, below in parts)
    if len(numbers) not in {1, 3} or not all(map(math.isfinite, numbers)):
        raise ValueError(text)
    return numbers


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text, re.ASCII)
    if found is None:
        raise ValueError(text)
    width, height = int(found[1]), int(found[2] or found[1])
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise ValueError(text)
    return width, height


def _one_of(text: str, kind: Any) -> str:
    if text not in get_args(kind):
        raise ValueError(text)
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


# A card divides by its scale, as most papers write it; in a name one multiplies, as Keras' `rescale` does.
_READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "scale": lambda text: {"scale": tuple(1 / number for number in _numbers(text))},
    "mean": lambda text: {"mean": _numbers(text)},
    "channels": lambda text: {"channels": _one_of(text, Channels)},
    "resize": lambda text: {"resize": _one_of(text, Resize), "exact": True},
    "size": lambda text: {"size": _size(text)},
    "top-classes": lambda text: {"top_classes": _count(text)},
}

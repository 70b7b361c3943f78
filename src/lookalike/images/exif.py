"""What a photograph's EXIF says: which side is up, when, by what and where it was taken.

Every value is read by its type, in the block's own byte order. Pillow's own reader parses every tag and warns
where one is damaged; a dozen are needed here, and a damaged block is no reason to refuse a picture.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from struct import Struct, calcsize, iter_unpack
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lookalike.types import PICTURE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Number: TypeAlias = int | float

_ORIENTATION, _DETAILS, _GPS = 0x0112, 0x8769, 0x8825
_TIMES = ((_DETAILS, 0x9003), (_DETAILS, 0x9004), (0, 0x0132))  # taken, digitised, changed
_MAKE, _MODEL, _LENS = 0x010F, 0x0110, 0xA434

# How a number of each of TIFF's types is unpacked; a fraction is two of them.
_NUMBERS = {
    1: "B", 3: "H", 4: "I", 5: "I", 6: "b", 8: "h", 9: "i", 10: "i", 11: "f", 12: "d", 13: "I",
    16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
_FRACTIONS = (5, 10)
_SIZES = {2: 1, 7: 1} | {
    kind: calcsize(f"<{letter}") * (2 if kind in _FRACTIONS else 1) for kind, letter in _NUMBERS.items()
}
_HEADER = 16  # bytes
_MOST_VALUES = 1_000  # of a tag; those that are needed have a few
_MOST_ENTRIES = 4_096  # of a directory
_LONGEST_TEXT = 100
_TIME = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Exif:
    """What an EXIF block says, as far as it is needed; None for what it does not say.

    orientation: 1 to 8; 1 is upright.
    taken: `YYYY-MM-DDTHH:MM:SS`, the camera's own time.
    camera, lens: their names.
    latitude, longitude: of the camera, in degrees, north and east above 0.
    """

    orientation: int = 1
    taken: str | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    def facts(self) -> dict[str, str | float]:
        """What it says but for the orientation, as fields of a picture's metadata."""
        values = {name: getattr(self, name) for name in PICTURE_FIELDS}
        return {name: value for name, value in values.items() if value is not None}


def read_exif(exif: bytes) -> Exif:
    """Read an EXIF block, or a whole TIFF file; nothing is said by what is damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    layout = _LAYOUTS.get(exif[:4])
    if layout is None or len(exif) < _HEADER:
        return Exif()
    main = _Directory(exif, layout, layout.first.unpack_from(exif, layout.where_first)[0])
    details, gps = main.below(_DETAILS), main.below(_GPS)
    latitude, longitude = _position(gps)
    return Exif(
        orientation=_orientation(main),
        taken=_taken({0: main, _DETAILS: details}),
        camera=_camera(main.text(_MAKE), main.text(_MODEL)),
        lens=_named(details.text(_LENS)),
        latitude=latitude,
        longitude=longitude,
    )


class _Layout(NamedTuple):
    """How a block is laid out, by its byte order and the width of its offsets (TIFF or BigTIFF)."""

    order: str
    first: Struct
    where_first: int
    counted: Struct
    entry: Struct
    inline: int


def _layout(order: str, offset: str, where_first: int, count: str, inline: int) -> _Layout:
    compiled = (
        Struct(order + offset),
        where_first,
        Struct(order + count),
        Struct(f"{order}HH{offset}{inline}s"),
    )
    return _Layout(order, *compiled, inline)


_LAYOUTS = {
    b"II*\0": _layout("<", "I", 4, "H", 4),
    b"MM\0*": _layout(">", "I", 4, "H", 4),
    b"II+\0": _layout("<", "Q", 8, "Q", 8),
    b"MM\0+": _layout(">", "Q", 8, "Q", 8),
    **dict.fromkeys((b"IIU\0", b"IIRO", b"IIRS"), _layout("<", "I", 4, "H", 4)),  # raw files
    b"MMOR": _layout(">", "I", 4, "H", 4),
}


class _Directory:
    """The tags of an image file directory; none where there is no directory."""

    def __init__(self, exif: bytes, layout: _Layout, at: int | None) -> None:
        self._exif = exif
        self._layout = layout
        self._tags: dict[int, tuple[int, int, bytes]] = {}
        if at is None or not 0 <= at <= len(exif) - layout.counted.size:
            return
        (entries,) = layout.counted.unpack_from(exif, at)
        start, size = at + layout.counted.size, layout.entry.size
        entries = min(entries, _MOST_ENTRIES, (len(exif) - start) // size)
        lines = layout.entry.iter_unpack(exif[start : start + size * entries])
        self._tags = {tag: (kind, length, value) for tag, kind, length, value in lines}

    def below(self, tag: int) -> _Directory:
        """The directory that a tag names."""
        at = self.number(tag)
        return _Directory(self._exif, self._layout, at if isinstance(at, int) else None)

    def number(self, tag: int) -> Number | None:
        """The first value of a tag as a number."""
        return next(iter(self.numbers(tag)), None)

    def numbers(self, tag: int) -> Sequence[Number]:
        """The values of a tag as numbers; a fraction of nothing is not a number."""
        kind, content = self._content(tag)
        letter = _NUMBERS.get(kind)
        if letter is None:
            return ()
        numbers = [number for (number,) in iter_unpack(self._layout.order + letter, content)]
        if kind not in _FRACTIONS:
            return numbers
        return [
            above / below if below else math.nan
            for above, below in zip(numbers[::2], numbers[1::2], strict=True)
        ]

    def text(self, tag: int) -> str:
        """The value of a tag as text, up to the first NUL; empty where there is none."""
        content = self._content(tag)[1].partition(b"\0")[0]
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        if not text.isprintable():
            text = "".join(letter if letter.isprintable() else " " for letter in text)
        return " ".join(text.split())[:_LONGEST_TEXT]

    def _content(self, tag: int) -> tuple[int, bytes]:
        """Type and bytes of a tag's value; no bytes where it has none."""
        kind, length, value = self._tags.get(tag, (0, 0, b""))
        size = _SIZES.get(kind, 0) * min(length, _MOST_VALUES)
        if size > self._layout.inline:
            (at,) = self._layout.first.unpack(value)
            value = self._exif[at : at + size]
        return kind, value[:size] if len(value) >= size else b""


def _orientation(main: _Directory) -> int:
    value = main.number(_ORIENTATION)
    return int(value) if value is not None and value in range(1, 9) else 1


def _taken(directories: Mapping[int, _Directory]) -> str | None:
    times = (_iso(directories[directory].text(tag)) for directory, tag in _TIMES)
    return next((time for time in times if time is not None), None)


def _iso(text: str) -> str | None:
    found = _TIME.match(text)
    try:
        return datetime(*map(int, found.groups())).isoformat() if found else None  # type: ignore[arg-type]  # noqa: DTZ001  EXIF has no zone
    except ValueError:
        return None


def _camera(make: str, model: str) -> str | None:
    """Make and model as one name; most models begin with their make."""
    first, _, _ = make.partition(" ")
    own = model.partition(" ")[0].casefold() == first.casefold()
    return _named(model if own and model else f"{make} {model}".strip())


def _named(text: str) -> str | None:
    """A name; None for nothing, and for what fills its place, such as `----`."""
    return text if any(letter.isalpha() for letter in text) and text.strip("mf/. 0") else None


def _position(gps: _Directory) -> tuple[float | None, float | None]:
    latitude = _degrees(gps, 1, 2, "NS", 90)
    longitude = _degrees(gps, 3, 4, "EW", 180)
    # A camera that does not know where it is often says 0, 0, which is in the sea.
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):
        return None, None
    return latitude, longitude


def _degrees(gps: _Directory, side: int, tag: int, sides: str, most: float) -> float | None:
    """Degrees, minutes and seconds as degrees, seven decimals (a centimetre); below 0 on the second side."""
    parts = gps.numbers(tag)[:3]
    letter = gps.text(side)[:1].upper()
    if not parts or not letter or letter not in sides:
        return None
    value = float(sum(part / 60**place for place, part in enumerate(parts)))
    if not 0 <= value <= most:  # not a number, neither
        return None
    return round(-value if letter == sides[1] else value, 7)

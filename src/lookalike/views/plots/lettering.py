"""Text for plots: any name can be written, and it is known beforehand how wide it will be.

File names are a stranger's: formulas stay text, control characters are spelled out, and a character
that no font here can draw becomes a sign, so that matplotlib has nothing to complain about.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.font_manager import FontProperties

INK, SOFT, FAINT = "#1b1c1f", "#64666d", "#e4e3dd"
ACCENT, ACCENT_SOFT, SECOND = "#0b7a6b", "#dff2ee", "#f2a541"
"""The colours of the result pages, light."""

UNIT = 1 / 96
"""Inches in one unit of length: the pixel of a page at 100 %."""

_MAIN = "DejaVu Sans"  # comes with matplotlib, so a plot looks the same on every machine
_OTHERS = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP",
    "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "IPAGothic", "NanumGothic",
    "PingFang SC", "PingFang HK", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Apple Symbols",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Segoe UI", "Segoe UI Symbol",
    "Segoe UI Emoji", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai",
    "Noto Sans Symbols", "Noto Sans Symbols2", "Noto Emoji", "Symbola", "Unifont",
)  # fmt: skip
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_BREAKS = re.compile(r"(?<=[\s_/@?&+:;,.=-])")


@dataclass(frozen=True, slots=True)
class Style:
    """How a text looks; size in units."""

    size: float
    bold: bool = False
    colour: str = INK

    def options(self, text: str) -> dict[str, Any]:
        """What `Text` is to be given for this text, beside its place."""
        options = {"fontproperties": _font(text, self), "color": self.colour}
        return options | {"parse_math": False, "usetex": False}


TITLE = Style(18, bold=True)
HEADING = Style(13, bold=True, colour=ACCENT)
NAME = Style(12.5, bold=True)
TEXT = Style(12.5)
NOTE = Style(12, colour=SOFT)
SMALL = Style(11, colour=SOFT)
"""One scale of letters for every plot."""


def drawable(text: str) -> str:
    """The text with nothing in it that can't be drawn, on one line."""
    shown = visible(unicodedata.normalize("NFC", text))
    return "".join(c if _family(c) else "" if _invisible(c) else _UNKNOWN for c in shown)


def width(text: str, style: Style) -> float:
    """The length of a drawable text in units."""
    from matplotlib.textpath import TextToPath

    font = _font(text, style)
    font.set_size(style.size)
    wide, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(wide)


def shortened(text: str, style: Style, room: float) -> str:
    """The text made drawable, and fitting: its middle is left out, since names differ at both ends."""
    text = drawable(text)
    if _fits(text, style, room):
        return text

    def without_middle(kept: int) -> str:
        return text[: kept - kept // 2].rstrip() + _ELLIPSIS + text[len(text) - kept // 2 :].lstrip()

    most = min(len(text) - 1, int(room))
    return without_middle(_largest(most, lambda kept: _fits(without_middle(kept), style, room)))


def wrapped(text: str, style: Style, room: float, *, lines: int) -> list[str]:
    """The text made drawable, on so many lines at most; what is too long for them loses its middle."""
    pieces = _BREAKS.split(drawable(text))
    done: list[str] = []
    line = ""
    for number, piece in enumerate(pieces):
        if line and not _fits((line + piece).rstrip(), style, room):
            if len(done) == lines - 1:
                return [*done, shortened("".join([line, *pieces[number:]]), style, room)]
            done.append(shortened(line.rstrip(), style, room))
            line = ""
        line += piece
    return [*done, shortened(line.rstrip(), style, room)]


def _fits(text: str, style: Style, room: float) -> bool:
    # No letter is narrower than a unit: a name of a megabyte need not be measured.
    return len(text) <= room and width(text, style) <= room


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _invisible(character: str) -> bool:
    """Whether leaving it out can't be noticed: joiners and variation selectors."""
    return unicodedata.category(character) in {"Cf", "Mn"}


def _font(text: str, style: Style) -> FontProperties:
    from matplotlib.font_manager import FontProperties

    families = dict.fromkeys([_MAIN, *(family for c in text if (family := _family(c)))])
    weight = "bold" if style.bold else "normal"
    return FontProperties(family=[*families], weight=weight, size=style.size * UNIT * 72)


@cache
def _family(character: str) -> str | None:
    """The first of the families that has the character; None where none has it."""
    return next((family for family in _installed() if ord(character) in _characters(family)), None)


@cache
def _installed() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    return (_MAIN, *(family for family in _OTHERS if family in known))


@cache
def _characters(family: str) -> frozenset[int]:
    """The characters that both the bold and the plain letters of a family have."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    faces = [findfont(FontProperties(family=[family], weight=weight)) for weight in ("normal", "bold")]
    plain, bold = (frozenset(get_font(face).get_charmap()) for face in faces)
    return plain & bold

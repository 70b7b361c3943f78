"""The paper that plots are drawn on: a figure measured in the pixels of a page, and how it is kept."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import visible
from lookalike.system import files, forks, imports

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from typing import Literal

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from PIL.Image import Image

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


MARGIN = 24
"""Units left free around every plot."""

_DPI = 144  # 1.5 pixels a unit: sharp on most screens, and nine pictures in a line fit on a wide one
_MOST_PIXELS = 80_000_000  # a plot of very many rows gets a coarser raster rather than all the memory
_MOST_HIGH = 60_000  # and matplotlib draws no more than 65,536 in a column
_WITHOUT_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_FORMATS = ("png", "svg", "pdf")
_LOADING = forks.lock()


@dataclass(frozen=True, slots=True)
class Plot:
    """A finished plot; a notebook shows it.

    figure: matplotlib's own, for whoever wants to change something.
    """

    figure: Figure

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plot to a file, replacing it: PNG, SVG or PDF, by the ending of its name.

        Raises:
            UsageError: another ending, or the file can't be written.
        """
        path = Path(path)
        check_file(path)
        content = self._rendered(path.suffix.lower().removeprefix("."))
        with files.replacing(path) as part:
            part.write_bytes(content)

    def _rendered(self, kind: str) -> bytes:
        out = BytesIO()
        options: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "transparent": False}
        # Without the date, the same results give the same file.
        self.figure.savefig(out, format=kind, dpi="figure", metadata=_WITHOUT_DATE.get(kind), **options)
        return out.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """What a notebook shows, with its size in the pixels of a page."""
        across, high = self.figure.get_size_inches() / UNIT
        return self._rendered("png"), {"width": round(across), "height": round(high)}


def check_file(path: str | os.PathLike[str]) -> None:
    """Make sure that a plot can be saved there, before the long work begins.

    Raises:
        MissingExtra: matplotlib is not installed.
        UsageError: its ending is none of a plot, or its place can't be written.
    """
    load()
    files.check_file(path, [f".{kind}" for kind in _FORMATS], "a plot")


def save(plot: Plot, path: str | os.PathLike[str]) -> None:
    """The same as `plot.save(path)`."""
    plot.save(path)


class Sheet:
    """A white figure. Places are in units from its upper left corner, x to the right and y down.

    A text stands on its y, so lines of different sizes can share one.
    """

    def __init__(self, across: float, high: float) -> None:
        figure_class = load()
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        size = (across * UNIT, high * UNIT)
        dpi = min(_DPI, _MOST_HIGH / max(size), (_MOST_PIXELS / (size[0] * size[1])) ** 0.5)
        self.size = (across, high)
        self.figure = figure_class(figsize=size, dpi=dpi, facecolor="white", layout=None)
        self.figure.set_layout_engine("none")  # whatever the user's own settings are
        self.figure.suppressComposite = True  # each picture stays one of its own in SVG and PDF
        FigureCanvasAgg(self.figure)
        self.ground = self.figure.add_axes((0, 0, 1, 1))
        self._fix()
        self.ground.set_axis_off()
        self.ground.set_zorder(1)  # words stand above the lines of a chart

    def text(self, x: float, y: float, text: str, style: Style, *, align: str = "left") -> None:
        """One line of drawable text."""
        self.ground.text(x, y, text, ha=align, va="baseline", **style.options(text))

    def title(self, lines: Sequence[str]) -> None:
        """The lines of a title at the top."""
        for number, line in enumerate(lines):
            self.text(MARGIN, MARGIN + 17 + LINE * number, line, TITLE)

    def box(self, x: float, y: float, across: float, high: float, radius: float = 12, **style: Any) -> None:
        """A box with round corners."""
        from matplotlib.patches import FancyBboxPatch

        shape = f"round,pad=0,rounding_size={radius}"
        drawn: dict[str, Any] = {"facecolor": "none", "edgecolor": "none", "linewidth": points(1)}
        self.ground.add_patch(FancyBboxPatch((x, y), across, high, boxstyle=shape, **drawn | style))

    def pill(self, x: float, y: float, across: float, high: float, **style: Any) -> None:
        """A box with half circles for its sides, its left end in the middle at this place."""
        # A line with round ends; one of no length at all would not be drawn.
        ends = [x + high / 2 - 0.25, x + max(across, high) - high / 2 + 0.25]
        self.line(ends, [y, y], linewidth=points(high), zorder=3, snap=False, **style)

    def line(self, xs: Sequence[float], ys: Sequence[float], **style: Any) -> None:
        """A line through these places."""
        drawn: dict[str, Any] = {"color": FAINT, "linewidth": points(1), "linestyle": "-"}
        self.ground.plot(xs, ys, marker="", solid_capstyle="round", **drawn | style)
        self._fix()

    def picture(self, image: Image, x: float, y: float, across: float, high: float) -> None:
        """A picture as large as it can be in the middle of a box, nothing cut off."""
        import numpy as np
        from PIL import Image as Images

        scale = min(across / image.width, high / image.height)
        wide, tall = max(1.0, image.width * scale), max(1.0, image.height * scale)
        # Twice as many pixels as units: a raster is made from it, SVG and PDF keep it as it is.
        pixels = image.resize((max(1, round(2 * wide)), max(1, round(2 * tall))), Images.Resampling.LANCZOS)
        left, top = x + (across - wide) / 2, y + (high - tall) / 2
        extent = (left, left + wide, top + tall, top)
        self.ground.imshow(np.asarray(pixels), extent=extent, aspect="auto", interpolation="auto", zorder=2)
        self._fix()

    def axes(self, x: float, y: float, across: float, high: float) -> Axes:
        """An empty coordinate system in a box: no frame, no ticks yet."""
        from matplotlib.ticker import NullFormatter, NullLocator

        whole, tall = self.size
        axes = self.figure.add_axes((x / whole, 1 - (y + high) / tall, across / whole, high / tall))
        axes.set_facecolor("none")
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(NullLocator())
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(NullFormatter())
        return axes

    def _fix(self) -> None:
        """Units stay units, whatever is drawn."""
        self.ground.set(xlim=(0, self.size[0]), ylim=(self.size[1], 0))

    def finished(self) -> Plot:
        """The plot."""
        return Plot(self.figure)


LINE = 24
"""Units from one line of a title to the next."""


def title_lines(title: str, across: float) -> list[str]:
    """A title wrapped for a sheet of that width; no lines for no title."""
    return wrapped(title, TITLE, across - 2 * MARGIN, lines=3) if title else []


def points(units: float) -> float:
    """A length in units as matplotlib counts widths of lines."""
    return units * UNIT * 72


def set_ticks(
    axes: Axes, which: Literal["x", "y"], ticks: Sequence[float], labels: Sequence[str], *, grid: bool
) -> None:
    """Mark these places of the x or y axis, with thin lines through the whole plot where wanted."""
    from matplotlib.ticker import NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    shown = [drawable(label) for label in labels]
    axis.set_ticks(ticks, shown, **SMALL.options("".join(shown)))
    axis.set_minor_locator(NullLocator())
    axes.tick_params(axis=which, length=0, pad=points(7), bottom=True, left=True, top=False, right=False)
    axes.tick_params(axis=which, labelbottom=True, labelleft=True, labeltop=False, labelright=False)
    axes.grid(visible=False, axis=which)  # whatever the user's own settings are
    if grid:
        axes.grid(visible=True, axis=which, color=FAINT, linewidth=points(1), linestyle="-", alpha=1)


def load() -> type[Figure]:
    """Import matplotlib without its remarks on caches.

    Raises:
        MissingExtra: it is not installed.
    """
    noise = logging.getLogger("matplotlib")
    with _LOADING:
        level = noise.level
        noise.setLevel(logging.ERROR)
        try:
            from matplotlib.figure import Figure  # the fonts are looked through here, too
        except ImportError as error:
            raise imports.missing("a plot", "plot") from error
        finally:
            noise.setLevel(level)
    return Figure

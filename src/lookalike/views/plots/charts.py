"""Charts of what methods find and cost, and of how a training went."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import floor, hypot, isfinite, log10, sqrt
from typing import TYPE_CHECKING, NamedTuple

from lookalike.views.plots.sheets import (
    ACCENT,
    INK,
    LINE,
    MARGIN,
    NAME,
    NOTE,
    SECOND,
    SMALL,
    SOFT,
    TEXT,
    UNIT,
    Plot,
    Sheet,
    Style,
    load,
    points,
    set_ticks,
    shortened,
    title_lines,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Literal

    from matplotlib.axes import Axes

    _Box = tuple[float, float, float, float]  # left, top, width, height in units

_HIGH = 31  # units, of a label's two lines
_DISTANCES = (5, 14, 26, 40, 58, 80, 106, 136, 170, 210, 260)
# To the right first: that is where a label is looked for.
_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.7, -0.7), (0.7, 0.7), (-0.7, -0.7), (-0.7, 0.7))
_FAR = 12  # from there on a thin line says whose label it is


class _LabelBox(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: _LabelBox) -> float:
        """The area that two boxes have in common."""
        across = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, high)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


def place_labels(
    sheet: Sheet,
    labels: Sequence[tuple[str, str]],
    centres: Sequence[tuple[float, float]],
    radii: Sequence[float],
    *,
    line: Sequence[tuple[float, float]],
    box: tuple[float, float, float, float],
) -> None:
    """Write two lines beside each point, as near to it as there is room inside the box.

    Args:
        sheet: where to.
        labels: for each point its name and a note.
        centres: the points, in units of the sheet.
        radii: how large each is drawn.
        line: the corners of a line of level and upright pieces that no label should hide.
        box: left, top, width and height of the chart.
    """
    x, y, across, high = box
    inside = _LabelBox(x, y, x + across, y + high)
    taken = [_LabelBox(cx - r, cy - r, cx + r, cy + r) for (cx, cy), r in zip(centres, radii, strict=True)]
    taken += [
        _LabelBox(min(ax, bx) - 2, min(ay, by) - 2, max(ax, bx) + 2, max(ay, by) + 2)
        for (ax, ay), (bx, by) in pairwise(line)
    ]
    for (name, note), (cx, cy), radius in zip(labels, centres, radii, strict=True):
        wide = max(width(name, NAME), width(note, SMALL)) + 4
        far, place = _best(_places(cx, cy, radius, wide), inside, taken)
        taken.append(place)
        _write(sheet, name, note, place, (cx, cy), radius, far=far)


def _places(cx: float, cy: float, radius: float, wide: float) -> Iterator[tuple[float, _LabelBox]]:
    """Where a label may be, the nearest places first, each with its distance from the bubble."""
    for distance in _DISTANCES:
        for dx, dy in _DIRECTIONS:
            # The box touches, with its side or corner towards the point, a ring around the bubble.
            x = cx + dx * (radius + distance) + (dx > 0) * wide / 2 - (dx < 0) * wide / 2
            y = cy + dy * (radius + distance) + (dy > 0) * _HIGH / 2 - (dy < 0) * _HIGH / 2
            yield distance, _LabelBox(x - wide / 2, y - _HIGH / 2, x + wide / 2, y + _HIGH / 2)


def _best(
    places: Iterator[tuple[float, _LabelBox]], inside: _LabelBox, taken: Sequence[_LabelBox]
) -> tuple[float, _LabelBox]:
    """The first place that is free, else the one that hides least."""

    def hidden(place: tuple[float, _LabelBox]) -> float:
        box = place[1]
        # What is cut off is lost: that is worse than what lies over another.
        return 3 * (box.area - box.shared(inside)) + sum(box.shared(other) for other in taken)

    tried = []
    for place in places:
        tried.append((hidden(place), place))
        if tried[-1][0] < 1:
            break
    return min(tried, key=lambda pair: pair[0])[1]


def _write(
    sheet: Sheet,
    name: str,
    note: str,
    place: _LabelBox,
    centre: tuple[float, float],
    radius: float,
    *,
    far: float,
) -> None:
    middle = (place.left + place.right) / 2
    cx, cy = centre
    if far > _FAR:
        x = min(max(cx, place.left), place.right)
        y = min(max(cy, place.top), place.bottom)
        length = hypot(x - cx, y - cy) or 1.0
        start = (cx + (x - cx) * radius / length, cy + (y - cy) * radius / length)
        sheet.line([start[0], x], [start[1], y], color=SOFT, linewidth=points(0.8), zorder=0.5)
    align, at = "center", middle
    if place.left > cx:
        align, at = "left", place.left + 2
    elif place.right < cx:
        align, at = "right", place.right - 2
    sheet.box(*place[:2], place.right - place.left, _HIGH - 1, 3, facecolor="white", alpha=0.8)
    sheet.text(at, place.top + 13, name, NAME, align=align)
    sheet.text(at, place.top + 27, note, SMALL, align=align)


_CURVES = {"training": ACCENT, "validation": SECOND}
_ACROSS = 880  # units, of every chart
_WIDE_RANGE = 12  # times the lowest cost: from there on a linear axis would crowd the cheap ones
_LARGEST = 24  # radius of the largest bubble
_SMALLEST = 5
_CHART_HIGH = 430
_PANEL_HIGH = 240
_PANEL_BELOW = 84  # for its epochs, and the name of the next
_BAR = 34  # from one bar to the next


@dataclass(frozen=True, slots=True)
class Point:
    """A method as a chart shows it.

    quality: larger is better.
    cost: smaller is better.
    size: bytes it needs for a picture.
    """

    name: str
    quality: float
    cost: float
    size: float


def quality_and_cost(
    points: Sequence[Point], *, quality: str = "mAP@100", cost: str = "ms a search", title: str = ""
) -> Plot:
    """Draw methods by what they find and what they cost; a bubble's area is its bytes a picture.

    The line joins the methods that no other beats in both. The cost axis is logarithmic where costs
    differ much. A method without finite figures is named below the chart.

    Args:
        points: the methods.
        quality: what the quality is.
        cost: what the cost is.
        title: above the chart.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    load()
    drawn = [p for p in points if isfinite(p.quality) and isfinite(p.cost)]
    left_out = [p.name for p in points if p not in drawn]
    lines = title_lines(title, _ACROSS)
    top = MARGIN + LINE * len(lines) + (48 if lines else 32)
    sheet = Sheet(_ACROSS, top + _CHART_HIGH + 66 + (20 if left_out else 0))
    sheet.title(lines)
    sheet.text(MARGIN, top - 20, shortened(quality, NAME, 300), NAME)
    key = "area: bytes a picture  ·  line: no other method is both better and cheaper"
    sheet.text(_ACROSS - MARGIN, top - 20, key, NOTE, align="right")
    sheet.text(_ACROSS - MARGIN, top + _CHART_HIGH + 42, shortened(cost, NAME, 400), NAME, align="right")
    if left_out:
        without = shortened("Without figures: " + ", ".join(left_out), NOTE, _ACROSS - 2 * MARGIN)
        sheet.text(MARGIN, top + _CHART_HIGH + 66, without, NOTE)
    if drawn:
        _scatter(sheet, drawn, (MARGIN + 40, top, _ACROSS - 2 * MARGIN - 40, _CHART_HIGH))
    return sheet.finished()


def bars(values: Mapping[str, Mapping[str, float]], *, title: str = "") -> Plot:
    """Draw measures of methods as bars: a line for each method, a column for each measure.

    Args:
        values: for each method, its measures by name; larger is better, none is below 0. A measure
            that a method lacks is drawn as a dash.
        title: above the chart.

    Raises:
        MissingExtra: matplotlib is not installed.

    Example:
        >>> bars({"efficientnet-lite0": {"P@5": 0.58, "mAP@100": 0.39}}).save("bars.svg")  # doctest: +SKIP
    """
    load()
    measures = list(dict.fromkeys(measure for of in values.values() for measure in of))
    names = [shortened(name, TEXT, 300) for name in values]
    named = max((width(name, TEXT) for name in names), default=0)
    lines = title_lines(title, _ACROSS)
    top = MARGIN + LINE * len(lines) + (34 if lines else 26)
    sheet = Sheet(_ACROSS, top + _BAR * max(1, len(names)) + MARGIN - 6)
    sheet.title(lines)
    for number, name in enumerate(names):
        sheet.text(MARGIN, top + _BAR * (number + 0.5) + 4.5, name, TEXT)
    left = MARGIN + named + 22
    across = (_ACROSS - MARGIN - left + 22) / max(1, len(measures))
    for number, measure in enumerate(measures):
        column = [float(of.get(measure, "nan")) for of in values.values()]
        x = left + across * number
        sheet.text(x, top - 10, shortened(measure, NAME, across - 20), NAME)
        _column(sheet, column, (x, top, across - 22, _BAR * len(column)))
    return sheet.finished()


def history(epochs: Mapping[str, Sequence[float]], *, title: str = "") -> Plot:
    """Draw how the measures of a training went, epoch by epoch, each in a panel of its own.

    Args:
        epochs: for each measure its values, the first epoch's first; `val_NAME` is drawn beside
            `NAME` as the same measure on pictures kept for validation.
        title: above the chart.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    load()
    measures = list(dict.fromkeys(name.removeprefix("val_") for name in epochs))
    in_line = min(3, max(1, len(measures)))
    lines = title_lines(title, _ACROSS)
    top = MARGIN + LINE * len(lines) + (34 if lines else 20)
    deep = -(-len(measures) // in_line)
    sheet = Sheet(_ACROSS, top + (_PANEL_HIGH + _PANEL_BELOW) * max(1, deep) - 28)
    sheet.title(lines)
    across = (_ACROSS - 2 * MARGIN + 28) / in_line
    for number, measure in enumerate(measures):
        x = MARGIN + across * (number % in_line)
        y = top + (_PANEL_HIGH + _PANEL_BELOW) * (number // in_line)
        curves = dict(zip(_CURVES, (epochs.get(measure, ()), epochs.get(f"val_{measure}", ())), strict=True))
        _panel(sheet, measure, curves, (x, y, across - 28, _PANEL_HIGH))
    return sheet.finished()


def _scatter(sheet: Sheet, drawn: Sequence[Point], box: _Box) -> None:
    axes = sheet.axes(*box)
    costs, qualities = [p.cost for p in drawn], [p.quality for p in drawn]
    wide = min(costs) > 0 and max(costs) > _WIDE_RANGE * min(costs)
    axes.set_xscale("log" if wide else "linear")
    axes.set_xlim(_padded_log(costs) if wide else _padded(costs, 0.14))
    axes.set_ylim(_padded(qualities, 0.16))
    _mark(axes, "x", log=wide)
    _mark(axes, "y")
    best = front(drawn)
    axes.plot(
        [p.cost for p in best],
        [p.quality for p in best],
        color=ACCENT,
        linewidth=points(1.5),
        linestyle=(0, (4, 3)),
        marker="",
        drawstyle="steps-post",
        zorder=2,
    )
    radii = [_radius(p.size, max(q.size for q in drawn)) for p in drawn]
    unbeaten = {(p.quality, p.cost) for p in best}
    colours = [ACCENT if (p.quality, p.cost) in unbeaten else SOFT for p in drawn]
    areas = [points(2 * radius) ** 2 for radius in radii]
    axes.scatter(costs, qualities, s=areas, c=colours, alpha=0.78, edgecolors="white", zorder=3)
    steps = [(best[0].cost, best[0].quality)]
    for point in best[1:]:
        steps += [(point.cost, steps[-1][1]), (point.cost, point.quality)]
    labels = [(shortened(p.name, NAME, 340), _bytes(p.size)) for p in drawn]
    centres = _units(sheet, axes, list(zip(costs, qualities, strict=True)))
    place_labels(sheet, labels, centres, radii, line=_units(sheet, axes, steps), box=box)


def _units(sheet: Sheet, axes: Axes, places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Places of a chart in units of the sheet."""
    shown = axes.transData.transform(places) / (sheet.figure.dpi * UNIT)
    return [(float(x), sheet.size[1] - float(y)) for x, y in shown]


def front(of: Sequence[Point]) -> list[Point]:
    """The methods that no other beats in both quality and cost, the cheapest first."""
    best: list[Point] = []
    for point in sorted(of, key=lambda p: (p.cost, -p.quality)):
        if not best or point.quality > best[-1].quality:
            best.append(point)
    return best


def _radius(size: float, largest: float) -> float:
    share = size / largest if largest > 0 and isfinite(size) and isfinite(largest) else 0.0
    return max(_SMALLEST, _LARGEST * sqrt(max(0.0, share)))


def _column(sheet: Sheet, column: Sequence[float], box: _Box) -> None:
    axes = sheet.axes(*box)
    known = [value for value in column if isfinite(value)]
    # Measures of retrieval end at 1, so that bars of two columns can be compared.
    largest = max([1.0, *known])
    x, y, across, _ = box
    room = across - width("0.000", NAME) - 8
    axes.set(xlim=(0, largest * across / room), ylim=(len(column) - 0.5, -0.5))
    best = max(known, default=0.0)
    shown = [value if isfinite(value) else 0.0 for value in column]
    whole = [largest] * len(column)
    axes.barh(range(len(column)), whole, height=0.34, color="#f0efea", linewidth=0)
    colours = [ACCENT if value == best else "#7fbdb3" for value in column]
    axes.barh(range(len(column)), shown, height=0.34, color=colours, linewidth=0)
    for number, value in enumerate(column):
        style = NAME if value == best else TEXT
        text = f"{value:.3f}" if isfinite(value) else "–"
        sheet.text(x + across, y + _BAR * (number + 0.5) + 4.5, text, style, align="right")


def _panel(sheet: Sheet, measure: str, curves: Mapping[str, Sequence[float]], box: _Box) -> None:
    x, y, across, high = box
    axes = sheet.axes(x + 46, y + 16, across - 46, high - 16)
    for name, values in curves.items():
        marker = "o" if len(values) == 1 else ""
        options: dict[str, Any] = {
            "color": _CURVES[name],
            "linewidth": points(2),
            "linestyle": "-",
            "marker": marker,
        }
        axes.plot(range(1, len(values) + 1), values, **options)
    known = [value for values in curves.values() for value in values if isfinite(value)]
    longest = max(2, *(len(values) for values in curves.values()))
    axes.set_ylim(_padded(known or [0.0], 0.06))
    axes.set_xlim(1 - 0.01 * longest, 1.01 * longest)
    _mark(axes, "x", whole=True, grid=False)
    _mark(axes, "y")
    sheet.text(x, y, shortened(measure, NAME, across - 160), NAME)
    sheet.text(x + across, y + high + 38, "epoch", SMALL, align="right")
    if all(curves.values()):
        _name_curves(sheet, curves, x + across, y)


def _name_curves(sheet: Sheet, curves: Iterable[str], end: float, y: float) -> None:
    for name in reversed(list(curves)):
        style = Style(12, bold=True, colour=INK)
        sheet.text(end, y, name, style, align="right")
        end -= width(name, style) + 8
        sheet.line([end - 12, end - 2], [y - 4, y - 4], color=_CURVES[name], linewidth=points(4))
        end -= 28


def _mark(
    axes: Axes, which: Literal["x", "y"], *, log: bool = False, whole: bool = False, grid: bool = True
) -> None:
    """Round numbers on an axis, as many as can be read."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    if log:
        ticks = _log_ticks(low, high)
    else:
        locator = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=whole)
        ticks = [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]
    set_ticks(axes, which, ticks, [_plain(tick) for tick in ticks], grid=grid)


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 9:
            break
    return ticks


def _plain(number: float) -> str:
    return f"{round(number, 12):,.10g}".replace("-", "\N{MINUS SIGN}")


def _padded(values: Iterable[float], share: float) -> tuple[float, float]:
    low, high = min(values := list(values)), max(values)
    room = (high - low) * share or abs(high) * 0.1 or 0.1
    return low - room, high + room


def _padded_log(values: Sequence[float]) -> tuple[float, float]:
    factor = (max(values) / min(values)) ** 0.14
    return min(values) / factor, max(values) * factor


def _bytes(size: float) -> str:
    if not isfinite(size):
        return ""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"

"""Labels beside the points of a chart, where they hide neither one another nor a point."""

from __future__ import annotations

from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, NamedTuple

from lookalike.views.plots.lettering import NAME, SMALL, SOFT, width
from lookalike.views.plots.sheets import points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.views.plots.sheets import Sheet

_HIGH = 31  # units, of a label's two lines
_DISTANCES = (5, 14, 26, 40, 58, 80, 106, 136, 170, 210, 260)
# To the right first: that is where a label is looked for.
_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.7, -0.7), (0.7, 0.7), (-0.7, -0.7), (-0.7, 0.7))
_FAR = 12  # from there on a thin line says whose label it is


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: _Box) -> float:
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
    inside = _Box(x, y, x + across, y + high)
    taken = [_Box(cx - r, cy - r, cx + r, cy + r) for (cx, cy), r in zip(centres, radii, strict=True)]
    taken += [
        _Box(min(ax, bx) - 2, min(ay, by) - 2, max(ax, bx) + 2, max(ay, by) + 2)
        for (ax, ay), (bx, by) in pairwise(line)
    ]
    for (name, note), (cx, cy), radius in zip(labels, centres, radii, strict=True):
        wide = max(width(name, NAME), width(note, SMALL)) + 4
        far, place = _best(_places(cx, cy, radius, wide), inside, taken)
        taken.append(place)
        _write(sheet, name, note, place, (cx, cy), radius, far=far)


def _places(cx: float, cy: float, radius: float, wide: float) -> Iterator[tuple[float, _Box]]:
    """Where a label may be, the nearest places first, each with its distance from the bubble."""
    for distance in _DISTANCES:
        for dx, dy in _DIRECTIONS:
            # The box touches, with its side or corner towards the point, a ring around the bubble.
            x = cx + dx * (radius + distance) + (dx > 0) * wide / 2 - (dx < 0) * wide / 2
            y = cy + dy * (radius + distance) + (dy > 0) * _HIGH / 2 - (dy < 0) * _HIGH / 2
            yield distance, _Box(x - wide / 2, y - _HIGH / 2, x + wide / 2, y + _HIGH / 2)


def _best(places: Iterator[tuple[float, _Box]], inside: _Box, taken: Sequence[_Box]) -> tuple[float, _Box]:
    """The first place that is free, else the one that hides least."""

    def hidden(place: tuple[float, _Box]) -> float:
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
    sheet: Sheet, name: str, note: str, place: _Box, centre: tuple[float, float], radius: float, *, far: float
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

"""Queries and their hits as one picture, a row for each query or for each method."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from lookalike import images
from lookalike.errors import ImageError
from lookalike.views.plots.sheets import (
    ACCENT,
    ACCENT_SOFT,
    FAINT,
    HEADING,
    INK,
    LINE,
    MARGIN,
    NAME,
    NOTE,
    SMALL,
    SOFT,
    TEXT,
    TITLE,
    Plot,
    Sheet,
    Style,
    drawable,
    load,
    points,
    shortened,
    title_lines,
    width,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

_SIDE = 140  # of a tile
_GAP = 14  # between tiles
_APART = 30  # between the query and its hits
_MOST_ACROSS = 8  # hits in a line
_NOTHING_ACROSS = 2  # tiles that "nothing found" takes
_BETWEEN = 22  # between rows
_LABEL = 24  # the line above a row
_WIDEST_TEXT = 720  # a sheet grows this wide for its words alone


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a grid: a query or a hit.

    title: its id, or a query in words; what is before the last `/` is shown as its folder.
    thumbnail: a small encoded picture; without it a sign is drawn (for a query, its words).
    caption: a few words under the picture, such as the score.
    """

    title: str
    thumbnail: bytes | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A query and its hits, best first.

    label: the words above the row, such as the method; may be empty.
    query: None where the row goes on with the query of the one above.
    """

    label: str
    query: Tile | None
    hits: Sequence[Tile]


def grid(rows: Sequence[Row], *, title: str = "") -> Plot:
    """Draw queries and their hits: the query framed on the left, the hits by rank beside it.

    More than eight hits go on in further lines, all of them of one length.

    Raises:
        MissingExtra: matplotlib is not installed.

    Example:
        >>> sea = Row("efficientnet-lite0", Tile("beach.jpg"), [Tile("2024/sea.jpg", caption="0.931")])
        >>> grid([sea], title="Similar pictures").save("sea.png")  # doctest: +SKIP
    """
    load()
    layout = _Layout.of(rows, title)
    lines = title_lines(title, layout.width)
    top = float(MARGIN + (LINE * len(lines) + 12 if lines else 0))
    heights = [layout.height(row) for row in rows]
    sheet = Sheet(layout.width, top + sum(heights) + _BETWEEN * max(0, len(rows) - 1) + MARGIN)
    sheet.title(lines)
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        if number and row.query is not None:
            line = top - _BETWEEN / 2
            sheet.line([MARGIN, layout.width - MARGIN], [line, line])
        _draw_row(sheet, row, layout, top)
        top += height + _BETWEEN
    return sheet.finished()


@dataclass(frozen=True, slots=True)
class _Layout:
    """What all rows share, so that their columns stand under one another."""

    queries: bool
    shared: bool  # some rows go on with the query above
    labels: bool
    across: int  # hits in a line
    captions: bool
    folders: bool
    width: float

    @classmethod
    def of(cls, rows: Sequence[Row], title: str) -> _Layout:
        most = max((len(row.hits) for row in rows), default=0)
        across = ceil(most / max(1, ceil(most / _MOST_ACROSS)))
        if not all(row.hits for row in rows):
            across = max(across, _NOTHING_ACROSS)
        queries = any(row.query is not None for row in rows)
        shared = queries and not all(row.query for row in rows)
        column = _SIDE + _APART if queries else 0
        tiles = [tile for row in rows for tile in (*row.hits, *([row.query] if row.query else []))]
        labels = max((_wanted(row.label, HEADING) for row in rows), default=0.0)
        needed = max(_wanted(title, TITLE), labels + column * shared)
        return cls(
            queries=queries,
            shared=shared,
            labels=any(row.label for row in rows),
            across=across,
            captions=any(tile.caption for tile in tiles),
            folders=any(_split(tile)[0] for tile in tiles if tile.thumbnail or "/" in tile.title),
            width=2 * MARGIN + max(column + max(1, across) * (_SIDE + _GAP) - _GAP, needed),
        )

    @property
    def left(self) -> float:
        """Where the hits begin."""
        return MARGIN + (_SIDE + _APART if self.queries else 0)

    @property
    def label_left(self) -> float:
        """Where labels begin: above the query, but above the hits where those of one query follow another."""
        return self.left if self.shared else MARGIN

    @property
    def line(self) -> float:
        """The height of a tile with its words."""
        return _SIDE + 8 + 17 * (1 + self.captions) + 15 * self.folders

    def height(self, row: Row) -> float:
        """Of a row with all its lines."""
        lines = ceil(len(row.hits) / self.across) if row.hits else 1
        alone = not row.hits and (row.query is None or not row.query.thumbnail)
        tiles = _SIDE + 4 if alone else lines * (self.line + _GAP) - _GAP
        return _LABEL * self.labels + tiles


def _draw_row(sheet: Sheet, row: Row, layout: _Layout, top: float) -> None:
    if row.label:
        label = shortened(row.label, HEADING, layout.width - MARGIN - layout.label_left)
        sheet.text(layout.label_left, top + 12, label, HEADING)
    top += _LABEL * layout.labels
    if row.query is not None:
        _draw_query(sheet, row.query, layout, top)
    for place, hit in enumerate(row.hits):
        x = layout.left + place % layout.across * (_SIDE + _GAP)
        y = top + place // layout.across * (layout.line + _GAP)
        _draw_hit(sheet, hit, place + 1, layout, x, y)
    if not row.hits:
        _draw_nothing(sheet, layout, top)


def _draw_query(sheet: Sheet, query: Tile, layout: _Layout, y: float) -> None:
    image = _image(query)
    sheet.box(MARGIN - 4, y - 4, _SIDE + 8, _SIDE + 8, 15, facecolor=ACCENT_SOFT)
    face = "white" if image else ACCENT_SOFT
    sheet.box(MARGIN, y, _SIDE, _SIDE, facecolor=face, edgecolor=ACCENT, linewidth=points(2))
    if image:
        sheet.picture(image, MARGIN + 7, y + 7, _SIDE - 14, _SIDE - 14)
        _draw_words(sheet, query, layout, MARGIN, y + _SIDE + 6)
        return
    style = Style(19, bold=True, colour=ACCENT)
    lines = wrapped(query.title, style, _SIDE - 20, lines=4)
    for number, line in enumerate(lines):
        middle = y + _SIDE / 2 + 7 + 24 * (number - (len(lines) - 1) / 2)
        sheet.text(MARGIN + _SIDE / 2, middle, line, style, align="center")


def _draw_hit(sheet: Sheet, hit: Tile, rank: int, layout: _Layout, x: float, y: float) -> None:
    sheet.box(x, y, _SIDE, _SIDE, facecolor="white", edgecolor=FAINT)
    if image := _image(hit):
        sheet.picture(image, x + 7, y + 7, _SIDE - 14, _SIDE - 14)
    else:
        _draw_no_preview(sheet, x + _SIDE / 2, y + _SIDE / 2)
    number = Style(11.5, bold=True, colour="white")
    wide = max(21.0, width(str(rank), number) + 12)
    sheet.pill(x + 7, y + 17.5, wide, 21, color=INK, alpha=0.78)
    sheet.text(x + 7 + wide / 2, y + 21.6, str(rank), number, align="center")
    _draw_words(sheet, hit, layout, x, y + _SIDE + 6)


def _draw_words(sheet: Sheet, tile: Tile, layout: _Layout, x: float, y: float) -> None:
    """Name, folder and caption under a tile, the caption first: numbers of a line are compared."""
    folder, name = _split(tile)
    if tile.caption:
        y += 17
        sheet.text(x + 1, y - 3, shortened(tile.caption, NAME, _SIDE - 3), NAME)
    y += 17
    sheet.text(x + 1, y - 3, shortened(name, TEXT, _SIDE - 3), TEXT)
    if layout.folders and folder:
        sheet.text(x + 1, y + 12, shortened(folder, SMALL, _SIDE - 3), SMALL)


def _draw_nothing(sheet: Sheet, layout: _Layout, y: float) -> None:
    across = layout.width - MARGIN - layout.left
    sheet.box(layout.left, y, across, _SIDE, edgecolor="#c9c8c1", linestyle=(0, (4, 3)))
    sheet.text(layout.left + across / 2, y + _SIDE / 2 + 4, "Nothing found", NOTE, align="center")


def _draw_no_preview(sheet: Sheet, x: float, y: float) -> None:
    """A picture crossed out: a frame, a sun, mountains; said in words too."""
    stroke = {"color": SOFT, "linewidth": points(1.5), "zorder": 2}
    y -= 8
    sheet.box(x - 18, y - 14, 36, 28, 4, edgecolor=SOFT, linewidth=points(1.5))
    sheet.line([x - 17, x - 7, x - 1, x + 7, x + 17], [y + 9, y, y + 5, y - 3, y + 6], **stroke)
    sheet.box(x - 11, y - 9, 5, 5, 2.5, edgecolor=SOFT, linewidth=points(1.5))
    sheet.line([x - 20, x + 20], [y - 18, y + 18], **stroke)
    sheet.text(x, y + 36, "no preview", SMALL, align="center")


def _wanted(text: str, style: Style) -> float:
    """How wide a sheet should be for a line of words."""
    return min(_WIDEST_TEXT, width(drawable(text)[:_WIDEST_TEXT], style))


def _image(tile: Tile) -> Image | None:
    """The thumbnail's picture; None where there is none or it is broken."""
    if not tile.thumbnail:
        return None
    try:
        return images.decode(tile.thumbnail, size=(2 * _SIDE, 2 * _SIDE)).image
    except ImageError:
        return None


def _split(tile: Tile) -> tuple[str, str]:
    folder, _, name = tile.title.rpartition("/")
    return (folder, name) if name else ("", tile.title)

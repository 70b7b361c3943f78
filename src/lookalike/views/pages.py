"""Answers as one self-contained HTML page: no scripts, nothing loaded from elsewhere.

The names of files are a stranger's: everything is escaped, and the page's own content security
policy forbids whatever might slip through.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from math import floor, isfinite, log10
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_IMAGES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif"}
_LARGE = 1000
_TINY, _LEAST_TINY = 0.01, 1e-9
_LINKS = ("file://", "http://", "https://")
_LOGO = (
    '<svg viewBox="0 0 32 32" aria-hidden="true">'
    '<rect x="1" y="1" width="20" height="20" rx="5" fill="#0b7a6b"/>'
    '<rect x="11" y="11" width="20" height="20" rx="5" fill="#f2a541" fill-opacity=".9"/></svg>'
)
_NO_PREVIEW = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" '
    'stroke-linejoin="round" role="img" aria-label="no preview">'
    '<rect x="2" y="4" width="20" height="16" rx="2.5"/><circle cx="8" cy="9.5" r="1.7"/>'
    '<path d="m3 18 6-5.5 3.5 3L17 11l4.5 5M2.5 2.5l19 19"/></svg>'
)


@dataclass(frozen=True, slots=True)
class Card:
    """One picture of a page: a query or a hit.

    title: its id, or the query in words; what is before the last `/` is shown as its folder.
    thumbnail: a small JPEG, PNG, WebP or GIF; without it a sign is drawn (for a query, its words).
    link: address of the whole picture, `file://` or `http(s)://`; any other is left out.
    score: larger is closer; drawn as a bar too where all scores of a row are between 0 and 1.
    parts: what the score was made of.
    tags: (name, probability), best first.
    fields: (name, value) of the user's own.
    """

    title: str
    thumbnail: bytes | None = None
    link: str | None = None
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    tags: Sequence[tuple[str, float]] = ()
    fields: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One query with its hits, best first.

    label: the word above the query.
    notes: what the reader should know of the answer.
    """

    query: Card
    hits: Sequence[Card]
    label: str = "Query"
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table above the rows, such as what methods find and cost.

    heads: the names of its columns.
    rows: its cells, as they are to be shown; the first of a row names it.
    numbers: the places of the columns that hold numbers, counted from 0; they are set to the right.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[int] = ()


def numbers(values: Iterable[float]) -> list[str]:
    """Numbers that are compared with one another, in words: three decimals, and more if all are tiny.

    Example:
        >>> numbers([0.93, 0.0012])
        ['0.930', '0.001']
        >>> numbers([0.0012, -0.0004, 0.0])
        ['0.00120', '-0.00040', '0.00000']
    """
    held = list(values)
    places = _places(held)
    return [_plain(x, places) for x in held]


def _plain(value: float, places: int) -> str:
    # Adding nought makes a plain one of a minus nought.
    return f"{round(value, places) + 0.0:.{places}f}" if abs(value) < _LARGE else f"{value:,.0f}"


def _places(values: Sequence[float]) -> int:
    """How many decimals show three digits of the largest."""
    largest = max((abs(x) for x in values if isfinite(x)), default=0.0)
    return 3 if not _LEAST_TINY <= largest < _TINY else 2 - floor(log10(largest))


def results_page(
    rows: Sequence[Row],
    *,
    title: str = "lookalike",
    facts: Mapping[str, str] | None = None,
    table: Table | None = None,
    notes: Sequence[str] = (),
) -> str:
    """A whole HTML document; it can be written as UTF-8 whatever the names are.

    Args:
        rows: one for each query.
        title: of the page.
        facts: shown at the top: what the answers come from, such as model, metric, pictures, time.
        table: shown above the rows.
        notes: what the reader should know of the whole, below the table.

    Example:
        >>> page = results_page([Row(Card("beach.jpg"), [Card("2024/sea.jpg", score=0.93)])])
        >>> "0.930" in page
        True
    """
    above = (_table(table) if table else "") + _notes(notes)
    style = Path(__file__).with_name("pages.css").read_text(encoding="utf-8")
    allowed = f"img-src data:; style-src '{_digest(style)}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    about = "".join(
        f"<div><dt>{_text(key)}</dt><dd>{_text(value)}</dd></div>" for key, value in (facts or {}).items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{_text(title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{_LOGO}<span>{_text(title)}</span></h1>
{f'<dl class="facts">{about}</dl>' if about else ""}
</header>
<main>
{above}{"".join(_row(row, number) for number, row in enumerate(rows, start=1))}</main>
<footer>Made by lookalike. This page is complete in itself: it loads nothing and runs no scripts.</footer>
</body>
</html>
"""


def _table(table: Table) -> str:
    heads = "".join(_cell(table, n, text, "th", ' scope="col"') for n, text in enumerate(table.heads))
    rows = "".join(f"<tr>{_cells(table, row)}</tr>\n" for row in table.rows)
    # Where it is wider than the screen it is scrolled, so the keyboard must be able to reach it.
    return f"""<div class="table" tabindex="0" role="region" aria-label="Table">
<table><thead><tr>{heads}</tr></thead><tbody>
{rows}</tbody></table>
</div>
"""


def _cells(table: Table, row: Sequence[str]) -> str:
    first, *others = row
    named = _cell(table, 0, first, "th", ' scope="row"')
    return named + "".join(_cell(table, n, text, "td") for n, text in enumerate(others, start=1))


def _cell(table: Table, column: int, text: str, kind: str, scope: str = "") -> str:
    if column in table.numbers:
        return f'<{kind}{scope} class="number">{_text(text)}</{kind}>'
    return f"<{kind}{scope}>{_breakable(text)}</{kind}>"


def fragment(rows: Sequence[Row]) -> str:
    """The rows as a piece of HTML for a notebook: every style stands where it is used."""
    return "".join(_fragment_row(row) for row in rows)


def fragment_table(table: Table, notes: Sequence[str] = ()) -> str:
    """A table as a piece of HTML for a notebook."""
    right, left = ' style="text-align:right"', ' style="text-align:left"'

    def line(cells: Sequence[str], kind: str) -> str:
        texts = enumerate(map(_text, cells))
        return "".join(f"<{kind}{right if i in table.numbers else left}>{t}</{kind}>" for i, t in texts)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in table.rows)
    below = "".join(f"<p>{_text(note)}</p>" for note in notes)
    return f"<table><thead><tr>{line(table.heads, 'th')}</tr></thead><tbody>{body}</tbody></table>{below}"


def _fragment_row(row: Row) -> str:
    notes = "".join(f'<p style="margin:2px 0">{_text(note)}</p>' for note in row.notes)
    places = _places([hit.score for hit in row.hits if hit.score is not None])
    hits = "".join(_fragment_card(hit, f"{rank}", places) for rank, hit in enumerate(row.hits, start=1))
    query = _fragment_card(row.query, row.label, places, _text(row.query.title))
    line = f'<div style="width:1px;background:#d5dad8"></div>{hits or "Nothing found."}'
    style = "display:flex;flex-wrap:wrap;gap:12px;margin:8px 0"
    return f'<div style="{style}">{query}{line}</div>{notes}'


def _fragment_card(card: Card, label: str, places: int, placeholder: str = "no preview") -> str:
    source = _source(card)
    picture = "max-width:120px;max-height:120px;object-fit:contain"
    inside = f'<img src="{source}" alt="" style="{picture}">' if source else placeholder
    tile = (
        "width:120px;height:120px;display:flex;align-items:center;justify-content:center;color:#6b7672;"
        "background:#f4f6f5;border-radius:6px"
    )
    score = "" if card.score is None else f" · {_number(card.score, places)}"
    name = "overflow-wrap:anywhere;font-size:11px;line-height:1.3"
    own = "".join(f'<br><span style="color:#6b7672">{_text(value)}</span>' for _, value in card.fields)
    return (
        f'<div style="width:120px" title="{_text(card.title)}"><div style="{tile}">{inside}</div>'
        f'<div style="{name}"><b>{_text(label)}{score}</b><br>{_text(_split(card.title)[1])}{own}</div></div>'
    )


def _digest(style: str) -> str:
    return f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}"


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<p class="note">{_text(note)}</p>\n' for note in notes)


def _row(row: Row, number: int) -> str:
    barred = all(hit.score is not None and 0 <= hit.score <= 1 for hit in row.hits)
    places = _places([hit.score for hit in row.hits if hit.score is not None])
    hits = "".join(_hit(hit, rank, places, barred=barred) for rank, hit in enumerate(row.hits, start=1))
    found = f'<ol class="hits">{hits}</ol>' if hits else '<p class="none">Nothing found.</p>'
    notes = _notes(row.notes)
    name = _name(row.query) if row.query.thumbnail else ""  # otherwise the tile says it
    return f"""<section aria-labelledby="query-{number}">
<figure class="query">{_tile(row.query, _words(row.query), "The query: ")}
<figcaption><h2 id="query-{number}">{_text(row.label)}</h2>{name}{_tags(row.query)}</figcaption>
</figure>
<div>{notes}{found}</div>
</section>
"""


def _hit(hit: Card, rank: int, places: int, *, barred: bool) -> str:
    badge = f'<span class="rank" aria-label="rank {rank}">{rank}</span>'
    return (
        f"\n<li><figure>{_tile(hit, _NO_PREVIEW, '', badge)}"
        f"<figcaption>{_name(hit)}{_fields(hit)}{_score(hit, places, barred=barred)}{_tags(hit)}</figcaption>"
        "</figure></li>"
    )


def _tile(card: Card, placeholder: str, spoken: str, badge: str = "") -> str:
    inside = placeholder
    if source := _source(card):
        inside = f'<img src="{source}" alt="{_text(spoken + card.title)}" loading="lazy" decoding="async">'
    if card.link and card.link.lower().startswith(_LINKS):
        link = f'href="{_text(card.link)}" rel="noopener noreferrer" aria-label="Open {_text(card.title)}"'
        return f'<a class="tile" {link}>{inside}{badge}</a>'
    return f'<div class="tile">{inside}{badge}</div>'


def _source(card: Card) -> str:
    """The thumbnail as an address that holds it whole; empty where there is none."""
    content = card.thumbnail or b""
    kind = next((kind for magic, kind in _IMAGES.items() if content.startswith(magic)), None)
    return f"data:image/{kind};base64,{b64encode(content).decode()}" if kind else ""


def _words(query: Card) -> str:
    return f'<span class="words"><bdi>{_text(query.title)}</bdi></span>'


def _name(card: Card) -> str:
    folder, name = _split(card.title)
    above = f'<p class="folder"><bdi>{_breakable(folder)}</bdi></p>' if folder else ""
    return f'<p class="name" title="{_text(card.title)}"><bdi>{_breakable(name)}</bdi></p>{above}'


def _breakable(name: str) -> str:
    """Lines break where the words of a file name end, rather than inside one."""
    return re.sub(r"([_/-])", r"\1<wbr>", _text(name)).replace(".", "<wbr>.")


def _split(title: str) -> tuple[str, str]:
    folder, _, name = title.rpartition("/")
    return (folder, name) if name else ("", title)


def _score(card: Card, places: int, *, barred: bool) -> str:
    if card.score is None:
        return ""
    bar = ""
    if barred:
        full = f'<rect width="{100 * card.score:.1f}" height="5" fill="currentColor"/>'
        bar = f'<svg viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">{full}</svg>'
    parts = " · ".join(f"{_text(name)} {_number(value, places)}" for name, value in card.parts.items())
    made_of = f'<p class="parts">{parts}</p>' if parts else ""
    number = _number(card.score, places)
    return f'<p class="score"><b aria-label="score {number}">{number}</b>{bar}</p>{made_of}'


def _number(value: float, places: int) -> str:
    return _plain(value, places).replace("-", "\N{MINUS SIGN}")


def _fields(card: Card) -> str:
    rows = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in card.fields)
    return f'<dl class="fields">{rows}</dl>' if rows else ""


def _tags(card: Card) -> str:
    tags = "".join(f"<li>{_text(name)} <span>{100 * share:.0f}%</span></li>" for name, share in card.tags)
    return f'<ul class="tags" aria-label="what the model sees">{tags}</ul>' if tags else ""


def _text(text: str) -> str:
    """Escaped for text and for quoted attributes; what is not shown as a character is spelled out."""
    return escape(visible(text))

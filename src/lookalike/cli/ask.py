"""Commands that ask a gallery for pictures: search, find, describe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from lookalike.cli.help import command
from lookalike.cli.options import Delivery, Place, answer_options, gallery_options, json_option, k_option
from lookalike.cli.output import (
    note,
    open_page,
    print_hits,
    print_json,
    print_paths,
    print_table,
    write_page,
)
from lookalike.cli.viewing import View, view_options
from lookalike.system.text import redact

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.search.hits import Hits

STANDARD_INPUT = "-"


@command(
    short_help="Find the pictures that look like a given one.",
    epilog="""
    \b
    Examples:
      lookalike search beach.jpg -k 5
      lookalike search id:2024/beach.jpg --where folder=2024 --where 'width>=1000'
      lookalike search shoe.jpg --distinct product --html result.html
      lookalike search shoe.jpg --plot result.png
      lookalike search id:shoe-17 --rerank category
      lookalike search https://example.org/beach.jpg --json
      lookalike search beach.jpg -k 50 --min-score .6 -0 | xargs -0 -n1 basename
      lookalike search beach.jpg --copy-to ~/Desktop/beaches
      lookalike search - < beach.jpg
    """,
)
@click.argument("query")
@click.option("--exact", is_flag=True, help="Compare with every vector, without the fast index.")
@click.option("--include-self", is_flag=True, help="Leave a picture of the gallery in its own answer.")
@click.option(
    "--rerank",
    metavar="FIELD[=TEXT]",
    help="Order the nearest 20 by how alike this text of their metadata is to the query's, or to TEXT.",
)
@view_options
@answer_options
@gallery_options
def search(  # noqa: PLR0913  # an argument an option
    *,
    query: str,
    place: Place,
    k: int,
    where: tuple[str, ...],
    distinct: str | None,
    unique: bool,
    exact: bool,
    include_self: bool,
    rerank: str | None,
    min_score: float | None,
    html: Path | None,
    plot: Path | None,
    delivery: Delivery,
    view: View,
    as_json: bool,
) -> None:
    """Find the pictures that look like QUERY.

    QUERY is a file, the id of a picture of the gallery (id:ID for nothing else), a URL, a vector in
    a file .npy, or - for standard input; else, unless it looks like a path, words (text:WORDS for
    nothing else). A picture that is in the gallery is left out of its own answer.
    """
    with place.existing() as gallery:
        view.prepare(gallery)
        shown = view.fields(gallery)
        hits = gallery.search(
            _read(query),
            k,
            where=where or None,
            distinct=distinct,
            unique=unique,
            exact=exact,
            include_self=include_self,
            rerank=rerank,
            min_score=min_score,
        )
        nothing = "no picture to show; `lookalike info` says what is there"
        hits = hits.showing(shown, tags=view.tags)
        _show(hits, html, plot, delivery, as_json=as_json, empty=nothing)
        if not (as_json or delivery.paths):
            view.remind(gallery)


@command(
    short_help="Find the pictures that show what words name.",
    epilog="""
    \b
    Examples:
      lookalike find dog
      lookalike find "sports car" beach       both of them
      lookalike find n02012849                the bird crane, not the machine
      lookalike find invoice --only text
    """,
)
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--only",
    type=click.Choice(["classes", "text"]),
    help="Look only at what the model sees, or only at names, folders and metadata.",
)
@view_options
@answer_options
@gallery_options
def find(  # noqa: PLR0913  # an argument an option
    *,
    words: tuple[str, ...],
    place: Place,
    k: int,
    where: tuple[str, ...],
    distinct: str | None,
    unique: bool,
    only: Literal["classes", "text"] | None,
    min_score: float | None,
    html: Path | None,
    plot: Path | None,
    delivery: Delivery,
    view: View,
    as_json: bool,
) -> None:
    """Find the pictures that show what WORDS name, or that have them in name, folder or metadata.

    A word means every class of the model that it names, or that is a kind of it: bird means 59
    kinds of bird. Several words must all be satisfied.
    """
    with place.existing() as gallery:
        view.prepare(gallery)
        shown = view.fields(gallery)
        hits = gallery.find(
            _phrases(words),
            k,
            where=where or None,
            distinct=distinct,
            unique=unique,
            only=only,
            min_score=min_score,
        )
        hits = hits.showing(shown, tags=view.tags)
        _show(hits, html, plot, delivery, as_json=as_json, empty="nothing found")
        if not (as_json or delivery.paths):
            view.remind(gallery)


@command(
    short_help="Say what the model sees in a picture.",
    epilog="""
    \b
    Examples:
      lookalike describe beach.jpg
      lookalike describe - -k 3 --json < beach.jpg
    """,
)
@click.argument("query")
@k_option(5, "How many classes to show.")
@json_option
@gallery_options
def describe(*, query: str, place: Place, k: int, as_json: bool) -> None:
    """Say what the gallery's model sees in QUERY: its classes with their probabilities.

    QUERY is as for search. Where there is no gallery, the default model is asked.
    """
    with place.existing_or_none() as gallery:
        tags = gallery.describe(_read(query), k)
    if as_json:
        print_json({"query": redact(query), "tags": [tag._asdict() for tag in tags]})
    else:
        print_table(("score", "class", "id"), ((f"{t.score:.3f}", t.name, t.id) for t in tags), numbers=1)


def _read(query: str) -> str | bytes:
    """The query as the library takes it: standard input is read, as far as a picture may be large."""
    if query != STANDARD_INPUT:
        return query
    from lookalike.errors import UsageError
    from lookalike.images import ImageLimits

    content = sys.stdin.buffer.read(ImageLimits.from_environment().max_bytes + 1)
    if not content:
        raise UsageError("there is nothing on standard input; expected the bytes of a picture")
    return content


def _phrases(words: tuple[str, ...]) -> str:
    """Words as the library takes them: an argument of several words among others is a phrase."""
    if len(words) == 1:
        return words[0]
    return " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words)


def _show(
    hits: Hits, html: Path | None, plot: Path | None, delivery: Delivery, *, as_json: bool, empty: str
) -> None:
    if plot is not None:
        hits.plot().save(plot)
        note(f"written to {plot}")
    if html is not None:
        write_page(html, hits.html())
    _deliver(hits, html, delivery)
    if as_json:
        print_json(hits.as_dict())
    elif delivery.paths:
        print_paths(hits, end=delivery.end, empty=empty)
    else:
        print_hits(hits, empty=empty)


def _deliver(hits: Hits, html: Path | None, delivery: Delivery) -> None:
    for folder, link in ((delivery.copy_to, False), (delivery.link_to, True)):
        if folder is not None:
            from lookalike.search.delivery import gather

            places = gather(hits, folder, link=link)
            note(f"{len(places):,} {'links' if link else 'files'} in {folder}")
            if len(places) < len(hits):
                note(f"note: {len(hits) - len(places):,} of the pictures are no files on this machine")
    if delivery.opened:
        open_page(html, hits)

"""The command that finds the most similar pictures for every picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lookalike.cli import completing
from lookalike.cli.help import command
from lookalike.cli.options import (
    Place,
    gallery_options,
    html_option,
    json_option,
    k_option,
    min_score_option,
    quiet_option,
)
from lookalike.cli.output import Bar, note, notes, print_answer, print_json, print_table, write_page
from lookalike.cli.viewing import View, show_option
from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.evaluation.neighbors import Facts, Neighbor
    from lookalike.gallery import Gallery

    Answer = tuple[str, Sequence[Neighbor]]


@command(
    short_help="Find the most similar pictures for every picture.",
    epilog="""
    \b
    Examples:
      lookalike neighbors products -k 3 --out similar.csv
      lookalike neighbors products --show title,price --html similar.html
      lookalike neighbors products --distinct product --out similar.parquet
      lookalike neighbors --where folder=2024 --json

    The file has a row for each neighbour: id, rank, neighbor, score, distance, and with --show each
    field of the picture and as neighbor_FIELD of its neighbour. Parquet needs the extra `tables`.
    """,
)
@click.argument("folder", required=False, metavar="[FOLDER]")
@k_option(3, "How many for each.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them to a file instead: .csv, .parquet or .jsonl.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="TEST",
    shell_complete=completing.conditions,
    help="Only pictures that pass, on either side, as folder=2024 or 'width>=1000'.",
)
@click.option(
    "--distinct",
    metavar="FIELD",
    help="Show the best of each value of this field, the picture's own left out.",
)
@click.option("--unique", is_flag=True, help="Show one of the files that are identical, its own left out.")
@min_score_option
@html_option("Write the first 200 pictures with their neighbors as one self-contained page, too.")
@show_option
@quiet_option
@json_option
@gallery_options
def neighbors(  # noqa: PLR0913  # an argument an option
    *,
    folder: str | None,
    place: Place,
    k: int,
    out: Path | None,
    where: tuple[str, ...],
    distinct: str | None,
    unique: bool,
    min_score: float | None,
    html: Path | None,
    view: View,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find the most similar pictures for every picture of a gallery.

    FOLDER is the folder of the pictures; without it, the gallery is found as elsewhere. A picture
    is left out of its own answer. All pairs of pictures are compared exactly.
    """
    from lookalike.evaluation.neighbors import Facts, check_file, page, write
    from lookalike.evaluation.neighbors import neighbors as find
    from lookalike.search import show as showing
    from lookalike.stores import where as filtering

    if out is not None:
        check_file(out)
    with _open(folder, place) as gallery:
        # A file has what was asked for, so that a program knows its columns.
        usual = () if out is not None else showing.usual_of(gallery.store)
        facts = Facts(gallery.store, usual if view.show is None else view.fields(gallery) or ())
        with Bar("comparing", quiet=quiet) as bar:
            answers = find(
                gallery,
                k,
                where=where or None,
                distinct=distinct,
                unique=unique,
                min_score=min_score,
                progress=bar.callback,
            )
            shown: list[Answer] = []
            if out is None:
                shown += answers
            else:
                count = write(
                    out, _kept(answers, shown) if html else answers, facts if facts.fields else None
                )
        if html is not None:
            write_page(html, page(gallery, shown, facts))
        if out is not None:
            text = "" if quiet else f"{count:,} neighbors written to {visible(str(out))}"
            print_answer(text, {"path": str(out), "count": count}, as_json=as_json)
        elif as_json:
            print_json(
                {"metric": gallery.store.header.space.metric, "pictures": [_as_dict(*one) for one in shown]}
            )
        elif any(found for _, found in shown):
            _print(shown, facts)
        elif shown:
            note("no picture has another one to be compared with")
        else:
            why = filtering.no_pictures(filtering.conditions(where or None, gallery.store), gallery.store)
            note("no picture to show" if why else "no picture to show; `lookalike info` says what is there")
            notes(why)


def _open(folder: str | None, place: Place) -> Gallery:
    """The gallery of the folder told, else the one found as elsewhere."""
    from lookalike.gallery import Gallery

    if folder is None:
        return place.existing()
    source = click.get_current_context().get_parameter_source("gallery")
    # A folder that was named has its own gallery, whatever is usually searched.
    gallery = None if source is ParameterSource.ENVIRONMENT else place.gallery
    return Gallery.open(folder, name=place.name, gallery=gallery, create=False)


def _as_dict(id_: str, found: Sequence[Neighbor]) -> dict[str, Any]:
    ranked = [{"rank": rank, **neighbor._asdict()} for rank, neighbor in enumerate(found, start=1)]
    return {"id": id_, "neighbors": ranked}


def _kept(answers: Iterable[Answer], kept: list[Answer]) -> Iterator[Answer]:
    """Pass answers on, and keep as many as a page shows, and one more."""
    from lookalike.evaluation.neighbors import ON_A_PAGE

    for answer in answers:
        if len(kept) <= ON_A_PAGE:
            kept.append(answer)
        yield answer


def _print(answers: Sequence[Answer], facts: Facts) -> None:
    from lookalike.views.pages import numbers

    scores = iter(numbers(neighbor.score for _, found in answers for neighbor in found))
    rows = []
    for (id_, found), values in facts.beside(answers):
        for rank, neighbor in enumerate(found, start=1):
            own = ("" if value is None else str(value) for value in values[neighbor.id])
            rows.append((str(rank), next(scores), id_, neighbor.id, *own))
    print_table(("", "score", "picture", "neighbor", *facts.fields), rows, numbers=2)

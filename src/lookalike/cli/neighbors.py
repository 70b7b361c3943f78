"""The command that finds the most similar pictures for every picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lookalike.cli.options import (
    Place,
    gallery_options,
    json_option,
    k_option,
    min_score_option,
    quiet_option,
)
from lookalike.cli.output import Bar, note, notes, print_answer, print_json, print_table
from lookalike.escapes import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.gallery import Gallery
    from lookalike.neighbors import Neighbor


@click.command(
    short_help="Find the most similar pictures for every picture.",
    epilog="""
    \b
    Examples:
      lookalike neighbors products -k 3 --out similar.csv
      lookalike neighbors products --distinct product --out similar.parquet
      lookalike neighbors --where folder=2024 --json

    The file has a row for each neighbour: id, rank, neighbor, score, distance. Parquet needs the
    extra `tables`.
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
@click.option("--exact", is_flag=True, help="Compare whole vectors, even in a large gallery.")
@click.option(
    "--where",
    multiple=True,
    metavar="TEST",
    help="Only pictures that pass, on either side, as folder=2024 or 'width>=1000'.",
)
@click.option(
    "--distinct",
    metavar="FIELD",
    help="Show the best of each value of this field, the picture's own left out.",
)
@click.option("--unique", is_flag=True, help="Show one of the files that are identical, its own left out.")
@min_score_option
@quiet_option
@json_option
@gallery_options
def neighbors(  # noqa: PLR0913  # an argument an option
    *,
    folder: str | None,
    place: Place,
    k: int,
    out: Path | None,
    exact: bool,
    where: tuple[str, ...],
    distinct: str | None,
    unique: bool,
    min_score: float | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find the most similar pictures for every picture of a gallery.

    FOLDER is the folder of the pictures; without it, the gallery is found as elsewhere. A picture
    is left out of its own answer. In a large gallery pictures are compared by short sketches of
    their vectors, and the best by the vectors themselves: at least 999 of 1,000 neighbours are found.
    """
    from lookalike import filtering
    from lookalike.neighbors import check_file, write
    from lookalike.neighbors import neighbors as find

    if out is not None:
        check_file(out)
    with _open(folder, place) as gallery:
        with Bar("comparing", quiet=quiet) as bar:
            answers = find(
                gallery,
                k,
                exact=exact,
                where=where or None,
                distinct=distinct,
                unique=unique,
                min_score=min_score,
                progress=bar.callback,
            )
            if out is not None:
                count = write(out, answers)
            else:
                shown = list(answers)
        if out is not None:
            text = "" if quiet else f"{count:,} neighbors written to {visible(str(out))}"
            print_answer(text, {"path": str(out), "count": count}, as_json=as_json)
        elif as_json:
            print_json({"metric": gallery.store.header.metric, "pictures": [_as_dict(*one) for one in shown]})
        elif any(found for _, found in shown):
            _print(shown)
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


def _print(answers: Sequence[tuple[str, Sequence[Neighbor]]]) -> None:
    from lookalike.pages import numbers

    ranked = [(id_, *pair) for id_, found in answers for pair in enumerate(found, start=1)]
    scores = numbers(neighbor.score for _, _, neighbor in ranked)
    rows = [
        (str(rank), score, id_, neighbor.id)
        for (id_, rank, neighbor), score in zip(ranked, scores, strict=True)
    ]
    print_table(("", "score", "picture", "neighbor"), rows, numbers=2)

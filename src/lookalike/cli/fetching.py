"""The command that fills a folder from a table of addresses: fetch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.help import command
from lookalike.cli.options import Finite, json_option, quiet_option
from lookalike.cli.output import Bar, note, one_line, print_json

if TYPE_CHECKING:
    from lookalike.sources.fetch import Report

FAILED = 1
_SHOWN = 5
_PRIVATE = "not a public address"


@command(
    short_help="Fetch the pictures that a table has the addresses of.",
    epilog="""
    \b
    Examples:
      lookalike fetch flipkart.csv --image image --id uniq_id \\
          --keep product_name,brand --into products
      lookalike index products --metadata products/metadata.csv
      lookalike fetch urls.txt --into pictures
      lookalike fetch shop.parquet --image photos --all-images --into shop

    Run it again to go on where it stopped, and to try again what failed.
    """,
)
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the pictures go; made if need be.",
)
@click.option(
    "--image",
    metavar="COLUMN",
    help="The column with an address, or a list of them; by default one with a usual name, as image or url.",
)
@click.option(
    "--id",
    "id_column",
    metavar="COLUMN",
    help="The column with the ids, which name the files; by default id, else a digest of the address.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMNS",
    help="Columns to keep in metadata.csv, with commas between; COLUMN=FIELD renames one.",
)
@click.option(
    "--all-images", is_flag=True, help="Take every address of a list, as ID_1, ID_2 …, not the first alone."
)
@click.option(
    "--per-host",
    type=click.IntRange(min=1, max=1024),
    default=4,
    show_default=True,
    metavar="N",
    help="Requests to one host at the same time.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=1024),
    default=32,
    show_default=True,
    metavar="N",
    help="Requests at the same time in all.",
)
@click.option(
    "--timeout",
    type=Finite(min=0, max=86_400, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For one request, to the last byte.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0, max=100),
    default=4,
    show_default=True,
    metavar="N",
    help="Try again so often where that may help; later and later.",
)
@click.option(
    "--max-size",
    type=Finite(min=0, max=100_000, min_open=True),
    default=50.0,
    show_default=True,
    metavar="MB",
    help="Refuse a larger picture.",
)
@click.option(
    "--allow-private",
    is_flag=True,
    help="Let addresses lead into this machine and its network, and use a proxy if one is set.",
)
@quiet_option
@json_option
def fetch(  # noqa: PLR0913  # an argument an option
    *,
    table: Path,
    into: Path,
    image: str | None,
    id_column: str | None,
    keep: tuple[str, ...],
    all_images: bool,
    per_host: int,
    jobs: int,
    timeout: float,
    retries: int,
    max_size: float,
    allow_private: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fetch the pictures that TABLE has the addresses of.

    TABLE is .csv, .tsv, .txt, .jsonl, .json (each also with .gz) or .parquet. FOLDER gets the
    pictures, metadata.csv for `lookalike index --metadata`, and failed.csv with what did not come
    and why. Pictures that are there are not fetched again.

    The exit code is 1 if no picture came and none was there.
    """
    from lookalike.sources.fetch import fetch as fetch_pictures

    with Bar("fetching", quiet=quiet) as bar:
        report = fetch_pictures(
            table,
            into,
            image=image,
            id=id_column,
            keep=keep,
            all_images=all_images,
            per_host=per_host,
            jobs=jobs,
            timeout=timeout,
            retries=retries,
            max_bytes=max(round(max_size * 1e6), 1),
            allow_private=allow_private,
            progress=bar.callback,
        )
    if as_json:
        print_json(report.as_dict())
    elif not quiet:
        _show(report)
    if report.failed and not report.total:
        click.get_current_context().exit(FAILED)


def _show(report: Report) -> None:
    click.echo(f"{one_line(str(report))}\nmetadata: {one_line(report.metadata)}")
    for failure in report.failed[:_SHOWN]:
        name = failure.id or failure.url
        note(f"  failed{name and f' {name}'}: {failure.reason}")
    more = len(report.failed) - _SHOWN
    if more > 0:
        note(f"  and {more:,} more; {Path(report.into) / 'failed.csv'} lists every one")
    if any(failure.reason.endswith(_PRIVATE) for failure in report.failed):
        note("note: --allow-private fetches from this machine and its network, too")

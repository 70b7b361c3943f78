"""The command that takes pictures out of a gallery: remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lookalike.cli import completing
from lookalike.cli.help import command
from lookalike.cli.options import Place, gallery_options, json_option
from lookalike.cli.output import notes, print_answer
from lookalike.cli.questions import confirm
from lookalike.errors import visible

if TYPE_CHECKING:
    from lookalike.gallery import Gallery


@command(
    short_help="Take pictures out of the gallery, to stay out.",
    epilog="""
    \b
    Examples:
      lookalike remove 2024/beach.jpg
      lookalike remove 2024/scans '*.gif'
      lookalike remove --where 'width<200' --dry-run
      lookalike remove --restore 2024/beach.jpg
      lookalike remove --restore      all of them
      lookalike remove --list
    """,
)
@click.argument("ids", nargs=-1, metavar="[ID|FOLDER|PATTERN]...")
@click.option(
    "--where",
    multiple=True,
    metavar="TEST",
    shell_complete=completing.conditions,
    help="Only pictures that pass, as for search.",
)
@click.option("--restore", is_flag=True, help="Let the next `lookalike index` take them in again.")
@click.option("--list", "listed", is_flag=True, help="List what was removed.")
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask; of pictures named by their ids nothing is asked.")
@json_option
@gallery_options
def remove(
    *,
    ids: tuple[str, ...],
    place: Place,
    where: tuple[str, ...],
    restore: bool,
    listed: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take pictures out of the gallery, to stay out; their files are not touched.

    ID is a picture's id as search and find print it, FOLDER takes all that is in it, and PATTERN what
    it matches as in .gitignore. With --where only those of them that pass, or all that pass.
    """
    named = bool(ids or where)
    if listed + restore + named == 0 or (listed and (restore or named)) or (restore and (where or dry_run)):
        raise click.UsageError("tell what to remove by ids or --where, or --restore, or --list alone")
    content: dict[str, Any]
    with place.existing() as gallery:
        if listed:
            removed = gallery.removed()
            text, content = "\n".join(map(visible, removed)), {"removed": removed}
        elif restore:
            count = gallery.restore(list(ids) or None)
            text, content = f"{count:,} may come in again at the next index", {"restored": count}
        else:
            text, content = _remove(gallery, ids, where, dry_run=dry_run, yes=yes)
    print_answer(text, content, as_json=as_json)


def _remove(
    gallery: Gallery, ids: tuple[str, ...], where: tuple[str, ...], *, dry_run: bool, yes: bool
) -> tuple[str, dict[str, Any]]:
    """Remove what is named, after a question where it is more than single pictures."""
    from lookalike.indexing import removal
    from lookalike.stores import where as filtering

    found = removal.named(ids, where or None, gallery)
    if dry_run:
        return "\n".join(map(visible, found)), {"would_remove": found}
    if not found:
        notes(filtering.no_pictures(filtering.conditions(where or None, gallery.store), gallery.store))
    elif not yes and (where or any(id_ not in gallery for id_ in ids)):
        confirm(f"Remove {len(found):,} of {len(gallery):,} pictures from the gallery?")
    count = gallery.remove(found) if found else 0
    return f"{count:,} removed", {"removed": count}

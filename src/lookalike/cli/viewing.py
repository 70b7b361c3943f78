"""Options that say what of a picture is shown beside its name: --show and --no-tags."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lookalike.cli import completing
from lookalike.cli.output import Bar, note, notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.gallery import Gallery

Command = TypeVar("Command", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class View:
    """What is to be shown of a picture.

    show: the fields as they were typed; None for what is usual.
    tags: whether to show what the model sees.
    update: whether to bring the gallery up to date before.
    """

    show: str | None
    tags: bool = True
    update: bool = False

    def fields(self, gallery: Gallery) -> tuple[str, ...] | None:
        """The fields told. Raises `UsageError` for one that the gallery does not have."""
        from lookalike.search import show as showing

        return None if self.show is None else showing.checked(self.show, gallery.store)

    def prepare(self, gallery: Gallery) -> None:
        """Bring the gallery up to date with its folders, if that is wanted; what was done is no answer."""
        if self.update:
            with Bar("indexing") as bar:
                report = gallery.add(progress=bar.callback)
            note(str(report))
            notes(report.notes)

    def remind(self, gallery: Gallery) -> None:
        """Say how many pictures are not indexed yet, where that can be told at once."""
        from lookalike.gallery.reader import not_indexed

        if not self.update and (count := not_indexed(gallery)):
            pictures = "1 picture here is" if count == 1 else f"{count:,} pictures here are"
            note(f"note: {pictures} not indexed yet; --update indexes before the search")


def show_option(command: Command) -> Command:
    """--show, given to the command as `view`."""

    @wraps(command)
    def with_view(*args: Any, show: str | None, **options: Any) -> Any:
        return command(*args, view=View(show), **options)

    return cast("Command", _show(with_view))


def view_options(command: Command) -> Command:
    """--show, --no-tags and --update, given to the command as `view`."""

    @wraps(command)
    def with_view(*args: Any, show: str | None, no_tags: bool, update: bool, **options: Any) -> Any:
        return command(*args, view=View(show, not no_tags, update), **options)

    return cast("Command", _update(_show(_no_tags(with_view))))


_show = click.option(
    "--show",
    metavar="FIELDS",
    shell_complete=completing.fields,
    help="Show these fields of the pictures, with commas between; by default the first text of your own.",
)
_no_tags = click.option("--no-tags", is_flag=True, help="Do not show what the model sees.")
_update = click.option("--update", is_flag=True, help="Index what is new in the gallery's folders before.")

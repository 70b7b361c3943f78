"""Options that several commands share, and how they lead to a gallery."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.gallery import Gallery

Command = TypeVar("Command", bound="Callable[..., Any]")

DEFAULT_NAME = "default"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the user says the gallery is.

    gallery: its folder, if told by --gallery or LOOKALIKE_GALLERY.
    name: which of the galleries of one folder.
    """

    gallery: str | None
    name: str

    def existing(self) -> Gallery:
        """Open the gallery told, or the one found upward from here; never makes one.

        Raises:
            NotFound: there is none.
        """
        from lookalike.gallery import Gallery

        return Gallery.open(gallery=self.gallery, name=self.name, create=False)

    def existing_or_none(self) -> Gallery:
        """The same, but where none was told and none is found, a gallery of nothing but its model."""
        from lookalike.errors import NotFound
        from lookalike.gallery import Gallery

        try:
            return self.existing()
        except NotFound:
            if self.gallery is not None:
                raise
            return Gallery.open(".", name=self.name)


def gallery_options(command: Command) -> Command:
    """--gallery and --name, given to the command as `place`."""

    @wraps(command)
    def with_place(*args: Any, gallery: str | None, name: str, **options: Any) -> Any:
        return command(*args, place=Place(gallery, name), **options)

    named = click.option(
        "--name",
        default=DEFAULT_NAME,
        show_default=True,
        metavar="NAME",
        help="Which of the galleries that lie side by side in one folder.",
    )
    placed = click.option(
        "--gallery",
        envvar="LOOKALIKE_GALLERY",
        show_envvar=True,
        metavar="FOLDER",
        help="The gallery's folder, if it is kept elsewhere than in .lookalike.",
    )
    return cast("Command", placed(named(with_place)))


def model_options(command: Command) -> Command:
    """--metric and --precision."""
    metric = click.option(
        "--metric",
        type=click.Choice(["cosine", "euclidean", "inner"]),
        help="How vectors are compared; by default as the model recommends.",
    )
    precision = click.option(
        "--precision",
        type=click.Choice(["f32", "bf16"]),
        help="The arithmetic of the network; by default bf16 where the processor has it.",
    )
    return metric(precision(command))


def answer_options(command: Command) -> Command:
    """-k, --where, --distinct, --unique, --html and --json."""
    for option in (
        json_option,
        click.option(
            "--html",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write the answer as one self-contained page, too.",
        ),
        click.option("--unique", is_flag=True, help="Show one of the files that are identical."),
        click.option("--distinct", metavar="FIELD", help="Show the best of each value of this field."),
        click.option(
            "--where",
            multiple=True,
            metavar="TEST",
            help="Only pictures that pass, as folder=2024 or 'width>=1000'. The same field with = "
            "again means or, everything else and.",
        ),
        click.option(
            "-k",
            "k",
            type=click.IntRange(min=1),
            default=10,
            show_default=True,
            metavar="N",
            help="How many pictures to show.",
        ),
    ):
        command = option(command)
    return command


def json_option(command: Command) -> Command:
    """--json, given to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def quiet_option(command: Command) -> Command:
    """--quiet."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")(command)

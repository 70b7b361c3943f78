"""Options that several commands share, and how they lead to a gallery."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import wraps
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lookalike.cli import completing
from lookalike.cli.help import StoreOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.gallery import Gallery
    from lookalike.types import Precision

Function = TypeVar("Function", bound="Callable[..., Any]")

DEFAULT_NAME = "default"
_CA_CERT = "LOOKALIKE_CA_CERT"


class Number(click.types.FloatParamType):
    """Any number; `nan` and the infinities are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


class Finite(click.FloatRange):
    """A number within bounds; what is no number (`nan`) would pass any comparison with them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


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


@dataclass(frozen=True, slots=True)
class ModelWish:
    """The model the user asks for, and how its vectors are compared; None for what is usual."""

    name: str | None
    metric: str | None = None
    normalize: bool | None = None
    precision: Precision | None = None

    def as_options(self) -> dict[str, Any]:
        """As `Gallery.open` and `Gallery.reindex` take them, but for the name."""
        return {"metric": self.metric, "normalize": self.normalize, "precision": self.precision}


def _listened(context: click.Context, option: click.Parameter, wanted: bool) -> None:  # noqa: ARG001, FBT001  # click's
    """Show what is told while the command runs."""
    if wanted and not context.resilient_parsing:
        from lookalike.cli.output import note
        from lookalike.system import tracing

        context.with_resource(tracing.listening(note))


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_listened,
    is_eager=True,
    help="Say what is done and how long it takes.",
)


def gallery_options(command: Function) -> Function:
    """--gallery and --name, given to the command as `place`; --verbose; --ca-cert for stores behind TLS."""

    @wraps(command)
    def with_place(*args: Any, gallery: str | None, name: str, ca_cert: str | None, **options: Any) -> Any:
        if ca_cert is not None:
            # Wherever in the process a store is opened, and in the processes it starts.
            os.environ[_CA_CERT] = os.path.abspath(ca_cert)  # noqa: PTH100
        return command(*args, place=Place(gallery, name), **options)

    named = click.option(
        "--name",
        default=DEFAULT_NAME,
        show_default=True,
        metavar="NAME",
        shell_complete=completing.names,
        help="Which of the galleries that lie side by side in one folder.",
    )
    placed = click.option(
        "--gallery",
        envvar="LOOKALIKE_GALLERY",
        show_envvar=True,
        metavar="FOLDER|ADDRESS",
        help="The gallery's folder, if it is kept elsewhere than in .lookalike, or its address, as "
        "elasticsearch://HOST:9200/NAME.",
    )
    certified = click.option(
        "--ca-cert",
        cls=StoreOption,
        envvar=_CA_CERT,
        show_envvar=True,
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="The certificate authority to believe, for addresses elasticsearch+https://…",
    )
    return cast("Function", verbose_option(placed(named(certified(with_place)))))


def model_options(command: Function) -> Function:
    """--model, --weights, --top-classes, --metric, --normalize and --precision, given as `model`."""

    @wraps(command)
    def with_model(
        *args: Any, model: str | None, weights: str | None, top_classes: int | None, **options: Any
    ) -> Any:
        changes = {"weights": weights, "top-classes": None if top_classes is None else str(top_classes)}
        wish = ModelWish(
            _with_options(model, {key: value for key, value in changes.items() if value is not None}),
            **{key: options.pop(key) for key in ("metric", "normalize", "precision")},
        )
        return command(*args, model=wish, **options)

    for option in (
        click.option(
            "--precision",
            type=click.Choice(["f32", "bf16"]),
            help="The arithmetic of the network; by default bf16 where the processor has it.",
        ),
        click.option(
            "--normalize/--no-normalize",
            default=None,
            help="Whether vectors have unit length; those of a layer usually have, but for inner.",
        ),
        click.option(
            "--metric",
            metavar="NAME",
            help="How vectors are compared: cosine, euclidean, inner, or any metric of scikit-learn, which "
            "is exact and slow; by default as the model recommends.",
        ),
        click.option(
            "--top-classes",
            type=click.IntRange(min=1),
            metavar="N",
            help="Of a vector of class scores keep the N largest, of pictures and queries alike.",
        ),
        click.option(
            "--weights",
            metavar="imagenet|none|FILE",
            help="The weights of a Keras network; imagenet unless told otherwise.",
        ),
        click.option(
            "--model",
            metavar="NAME",
            shell_complete=completing.models,
            help="The model; `lookalike models` lists them.",
        ),
    ):
        with_model = option(with_model)
    return cast("Function", with_model)


def _with_options(model: str | None, changes: dict[str, str]) -> str | None:
    """A model's name with these options, too."""
    from lookalike.extractors import Name

    if not changes:
        return model
    if model is None:
        raise click.UsageError(f"--{next(iter(changes))} needs --model")
    name = Name.parse(model)
    return str(replace(name, options=tuple(sorted({**dict(name.options), **changes}.items()))))


def _checked_plot(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:  # noqa: ARG001  # click's
    """What can be wrong with the file is said before the work, not after it."""
    if file is not None and not context.resilient_parsing:
        from lookalike.views import plots

        plots.check_file(file)
    return file


def _checked_html(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:  # noqa: ARG001  # click's
    if file is None or context.resilient_parsing:
        return file
    from lookalike.system import files

    if not files.is_stream(file):
        files.check_file(file, (".html", ".htm"), "a page")
    return file


def plot_option(help_: str) -> Callable[[Function], Function]:
    """--plot, a file that can be written."""
    return click.option(
        "--plot",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_checked_plot,
        metavar="FILE",
        help=f"{help_} .png, .svg or .pdf; needs the extra `plot`.",
    )


def html_option(help_: str) -> Callable[[Function], Function]:
    """--html, a file that can be written."""
    return click.option(
        "--html",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_checked_html,
        metavar="FILE",
        help=help_,
    )


def k_option(default: int, help_: str) -> Callable[[Function], Function]:
    """-k."""
    return click.option(
        "-k",
        "k",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        metavar="N",
        help=help_,
    )


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is to be done with the files of an answer, besides showing it.

    paths: print nothing but their paths, each followed by `end`.
    opened: show the answer's page in the browser.
    copy_to, link_to: folders to gather them in.
    """

    paths: bool
    end: str
    opened: bool
    copy_to: Path | None
    link_to: Path | None


def delivery_options(command: Function) -> Function:
    """--paths, -0, --open, --copy-to and --link-to, given to the command as `delivery`."""

    @wraps(command)
    def with_delivery(
        *args: Any,
        paths: bool,
        null: bool,
        opened: bool,
        copy_to: Path | None,
        link_to: Path | None,
        **options: Any,
    ) -> Any:
        if (paths or null) and options.get("as_json"):
            raise click.UsageError("--paths and --json can't be had together")
        delivery = Delivery(paths or null, "\0" if null else "\n", opened, copy_to, link_to)
        return command(*args, delivery=delivery, **options)

    folder = click.Path(file_okay=False, path_type=Path)
    for option in (
        click.option(
            "--link-to",
            type=folder,
            callback=_checked_folder,
            metavar="DIR",
            help="Make links to the files in this folder, too.",
        ),
        click.option(
            "--copy-to",
            type=folder,
            callback=_checked_folder,
            metavar="DIR",
            help="Copy the files to this folder, too; what is there stays.",
        ),
        click.option("--open", "opened", is_flag=True, help="Show the answer as a page in the browser, too."),
        click.option(
            "-0", "--null", is_flag=True, help="Like --paths, each path ended by a NUL: for xargs -0."
        ),
        click.option("--paths", is_flag=True, help="Print the absolute paths of the files and nothing else."),
    ):
        with_delivery = option(with_delivery)
    return cast("Function", with_delivery)


def _checked_folder(context: click.Context, option: click.Parameter, folder: Path | None) -> Path | None:  # noqa: ARG001  # click's
    from lookalike.system import files

    if folder is not None and not context.resilient_parsing:
        files.check_folder(folder)
    return folder


def min_score_option(command: Function) -> Function:
    """--min-score."""
    return click.option(
        "--min-score", type=Number(), metavar="SCORE", help="Leave out what has a smaller score."
    )(command)


def answer_options(command: Function) -> Function:
    """-k, --min-score, --where, --distinct, --unique, --html, --plot, --json, and those of `Delivery`."""
    for option in (
        delivery_options,
        json_option,
        plot_option("Draw the answer as one picture, too:"),
        html_option("Write the answer as one self-contained page, too."),
        click.option("--unique", is_flag=True, help="Show one of the files that are identical."),
        click.option(
            "--distinct",
            metavar="FIELD",
            shell_complete=completing.fields,
            help="Show the best of each value of this field.",
        ),
        click.option(
            "--where",
            multiple=True,
            metavar="TEST",
            shell_complete=completing.conditions,
            help="Only pictures that pass, as folder=2024, 'width>=1000' or title~house (contains). The same "
            "field with = again means or, everything else and.",
        ),
        min_score_option,
        k_option(10, "How many pictures to show."),
    ):
        command = option(command)
    return command


def json_option(command: Function) -> Function:
    """--json, given to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def quiet_option(command: Function) -> Function:
    """--quiet."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")(command)

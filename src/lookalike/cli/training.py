"""Commands that train on one's own pictures, and show what an autoencoder makes of them."""

from __future__ import annotations

import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lookalike.cli.group import InOrder
from lookalike.cli.help import command
from lookalike.cli.options import json_option, plot_option, quiet_option
from lookalike.cli.output import Bar, note, notes, print_json, print_skips, print_table
from lookalike.errors import visible
from lookalike.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from lookalike.reports import Progress
    from lookalike.training import Epoch, Trained, TrainingRecipe

Command = TypeVar("Command", bound="Callable[..., Any]")
Kind = TypeVar("Kind", bound="TrainingRecipe")

_USAGE, _STOPPED = 2, 130  # exit codes
_BASE_HELP = "The network to begin with: efficientnet-lite0, or any of keras:NETWORK."


class Teller:
    """Show how a training goes on standard error: a bar while pictures are read, a line an epoch."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar = Bar("reading", quiet=quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def __call__(self, event: Progress | Epoch) -> None:
        """Take what the library tells."""
        if hasattr(event, "stage"):
            self._bar.__exit__(None, None, None)
            if not self._quiet:
                note(str(event))
        elif self._bar.callback is not None:
            self._bar.callback(event)


class TrainingOptions:
    """Hold the options of every training command: where to, how, and what to show."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._resume: bool = options.pop("resume")
        self._overwrite: bool = options.pop("overwrite")
        self._out: Path = options.pop("out")
        self.plot: Path | None = options.pop("plot")
        self.quiet: bool = options.pop("quiet")
        self.as_json: bool = options.pop("as_json")
        told = {name: options.pop(name) for name in ("limit", "seed", "epochs")}
        self._settings = dict(_pair(text) for text in options.pop("settings"))
        self._settings |= {name: str(value) for name, value in told.items() if value is not None}

    def followed(self, recipe: Kind, pictures: str, **more: Any) -> Kind:
        """A recipe with what was set of it; pictures and place are looked at, too, before the long part.

        Keras takes seconds to load, so whatever can be wrong is found before that.
        """
        from lookalike.evaluation.folder import PictureFolder
        from lookalike.training.run import check_model_folder

        own = {name: str(value) for name, value in more.items() if value is not None}
        recipe = recipe.changed(self._settings | own)
        check_model_folder(self._out, resume=self._resume, overwrite=self._overwrite)
        PictureFolder.look(pictures)
        return recipe

    def options(self, teller: Teller) -> dict[str, Any]:
        """As the library takes them."""
        return {
            "out": self._out,
            "resume": self._resume,
            "overwrite": self._overwrite,
            "progress": teller,
        }

    def say_what_is_kept(self) -> None:
        """Tell of epochs that were finished before it was stopped while nothing learnt."""
        from lookalike.training.run import is_begun

        if is_begun(self._out.expanduser()):
            note(f"the epochs that were finished are kept in {self._out}: go on with --resume")

    def show(self, made: Trained, pictures: str) -> None:
        """Print what was reached, and draw how."""
        if self.as_json:
            print_json(made.as_dict())
        elif not self.quiet:
            _print(made, pictures)
        notes(made.notes)
        if self.plot is not None:
            made.plot(Path(made.model).name).save(self.plot)
            note(f"written to {self.plot}")
        if made.stopped:
            click.get_current_context().exit(_STOPPED)


@click.group(cls=InOrder, invoke_without_command=True, short_help="Train a model on your own pictures.")
@click.pass_context
def train(context: click.Context) -> None:
    """Train a model on your own pictures.

    What comes out is a folder that every other command takes as --model. A training that was stopped
    or killed goes on with --resume.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(_USAGE)


def training_options(command: Command) -> Command:
    """What every training command has, given to it as `wishes`."""

    @wraps(command)
    def with_wishes(*args: Any, **options: Any) -> Any:
        wishes = TrainingOptions(options)
        try:
            return command(*args, wishes=wishes, **options)
        except KeyboardInterrupt:
            wishes.say_what_is_kept()
            raise

    for option in (
        json_option,
        quiet_option,
        plot_option("Draw how it went, too:"),
        click.option("--overwrite", is_flag=True, help="Replace the model that is in the folder already."),
        click.option("--resume", is_flag=True, help="Go on with the training that was stopped there."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Change anything else of the recipe; a field that is not there lists them all.",
        ),
        click.option("--epochs", type=click.IntRange(min=0), metavar="N", help="How many epochs, at most."),
        click.option("--seed", type=int, metavar="N", help="Random seed of the split and the training; 0."),
        click.option("--limit", type=click.IntRange(min=2), metavar="N", help="Take N pictures at random."),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            required=True,
            metavar="FOLDER",
            help="The folder of the model; it is made.",
        ),
    ):
        with_wishes = option(with_wishes)
    return cast("Command", click.argument("pictures", metavar="FOLDER")(with_wishes))


@train.command(
    short_help="Squeeze pictures into a few numbers, and draw them again.",
    epilog="""
    \b
    Examples:
      lookalike train autoencoder photos --out ae-model
      lookalike train autoencoder photos --out ae-32 --latent 32 --epochs 100
      lookalike index photos --model ae-model --name ae
      lookalike reconstruct photos/beach.jpg --model ae-model --plot out.png
    """,
)
@training_options
@click.option("--latent", type=click.IntRange(min=1), metavar="N", help="Numbers of a vector; 16.")
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="Pixels on a side; 256.")
def autoencoder(*, pictures: str, wishes: TrainingOptions, latent: int | None, size: int | None) -> None:
    """Train a convolutional autoencoder on the pictures of FOLDER; it needs no labels.

    Its vector are the few numbers that a picture is squeezed into.
    """
    from lookalike.training import AutoencoderRecipe

    recipe = wishes.followed(AutoencoderRecipe(), pictures, latent=latent, size=size)
    from lookalike.training import train_autoencoder

    with Teller(quiet=wishes.quiet) as teller:
        made = train_autoencoder(pictures, recipe, **wishes.options(teller))
    wishes.show(made, pictures)


@train.command(
    short_help="Fine-tune a network to your own classes.",
    epilog="""
    \b
    Examples:
      lookalike train classifier photos --out my-classes
      lookalike train classifier photos --labels labels.csv --out my-classes
      lookalike train classifier photos --base keras:MobileNet --out mobile
      lookalike train classifier cifar-10-batches-py \\
          --base keras:InceptionV3 --recipe cifar --out cifar
      lookalike index photos --model my-classes --name mine
      lookalike find beach --gallery photos --name mine
    """,
)
@training_options
@click.option(
    "--recipe",
    "named",
    type=click.Choice(["default", "cifar"]),
    default="default",
    show_default=True,
    help="The recipe to begin with.",
)
@click.option("--base", default="efficientnet-lite0", show_default=True, metavar="NAME", help=_BASE_HELP)
@click.option("--labels", default="folder", show_default=True, metavar="WHERE", help="As `evaluate` has it.")
def classifier(*, pictures: str, wishes: TrainingOptions, named: str, base: str, labels: str) -> None:
    """Train a network to tell one's own classes, on the labelled pictures of FOLDER.

    Words then find one's own classes. Its vector is the recommended one; @classes are the class scores.
    """
    from lookalike.training import ClassifierRecipe

    recipe = wishes.followed(ClassifierRecipe.cifar() if named == "cifar" else ClassifierRecipe(), pictures)
    from lookalike.training import train_classifier

    with Teller(quiet=wishes.quiet) as teller:
        made = train_classifier(pictures, recipe, labels=labels, base=base, **wishes.options(teller))
    wishes.show(made, pictures)


@train.command(
    short_help="Learn to rank pictures of one label higher.",
    epilog="""
    \b
    Examples:
      lookalike train ranker photos --out my-ranker
      lookalike train ranker photos --labels pairs.csv --out my-ranker
      lookalike convert photos --model my-ranker --name ranked

    A table of pairs has the columns query, better and worse.
    """,
)
@training_options
@click.option("--base", default="efficientnet-lite0", show_default=True, metavar="NAME", help="The model.")
@click.option(
    "--labels",
    default="folder",
    show_default=True,
    metavar="WHERE",
    help="As `evaluate` has it, or a table of pairs.",
)
def ranker(*, pictures: str, wishes: TrainingOptions, base: str, labels: str) -> None:
    """Learn from the labels of FOLDER, or from pairs, which pictures are to score higher.

    A linear map of the base's vectors, in seconds; it is kept only where it is better on pictures that
    it did not see. A gallery of the base is converted to it without opening a picture.
    """
    from lookalike.training import RankerRecipe, train_ranker

    recipe = wishes.followed(RankerRecipe(), pictures)
    with Teller(quiet=wishes.quiet) as teller:
        made = train_ranker(pictures, recipe, labels=labels, base=base, **wishes.options(teller))
    wishes.show(made, pictures)


@command(
    short_help="Show what an autoencoder draws of pictures.",
    epilog="""
    \b
    Examples:
      lookalike reconstruct pic.jpg --model ae-model --plot out.png
      lookalike reconstruct photos/*.jpg --model ae-model --plot out.pdf
    """,
)
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")
@click.option("--model", required=True, metavar="FOLDER", help="The autoencoder.")
@plot_option("Draw the pictures over what came out:")
@json_option
def reconstruct(*, pictures: tuple[str, ...], model: str, plot: Path | None, as_json: bool) -> None:
    """Squeeze each PICTURE into the vector of an autoencoder, and draw it again from that.

    The error is the mean square of the differences, of numbers from 0 to 1; beside it, that of a picture
    with the same mean colour everywhere.
    """
    from lookalike.training import reconstruct as reconstruct_

    made = reconstruct_(list(pictures), model)
    if as_json:
        print_json(made.as_dict())
    else:
        rows = [(f"{one.mse:.4f}", f"{one.own_colour_mse:.4f}", one.name) for one in made]
        print_table(("error", "mean colour", "picture"), rows, numbers=2)
    if plot is not None:
        made.save(plot)
        note(f"written to {plot}")


def _print(made: Trained, pictures: str) -> None:
    counts = made.split.counts()
    parts = ", ".join(
        f"{count:,} {what}" for count, what in zip(counts.values(), _PARTS, strict=True) if count
    )
    click.echo(visible(f"{made.model}: {parts}; {made.seconds:.1f} s"))
    _print_measures(made)
    print_skips(made.skipped, "--json lists every one")
    if sys.stderr.isatty():
        folder, model, name = map(quoted, (pictures, made.model, Path(made.model).name))
        note(f"use it: lookalike index {folder} --model {model} --name {name}")


_PARTS = ("pictures learnt from", "to choose by", "never seen")


def _print_measures(made: Trained) -> None:
    """Print what it gained as a table and a sentence, and what else was measured below."""
    from lookalike.training.result import BASE, conclusion
    from lookalike.views.pages import numbers

    if made.gains:
        gained = [
            (f"{one.before:.3f}", f"{one.after:.3f}", f"{one.difference:+.3f}", one.words)
            for one in made.gains
        ]
        print_table(("before", "after", "gain", "measure"), gained, numbers=3)
    compared = {name for one in made.gains for name in (one.name, BASE + one.name)}
    others = {name: value for name, value in made.measures.items() if name not in compared}
    if others:
        named = (name.replace("_", " ") for name in others)
        print_table(("", "measure"), zip(numbers(others.values()), named, strict=True), numbers=1)
    if sentence := conclusion(made.gains):
        click.echo(sentence)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--set {text}: expected FIELD=VALUE")
    return name, value

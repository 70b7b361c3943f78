"""Commands that measure how good answers are: evaluate, compare."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from lookalike.cli.help import Command, command
from lookalike.cli.options import (
    Place,
    gallery_options,
    html_option,
    json_option,
    k_option,
    plot_option,
    quiet_option,
)
from lookalike.cli.output import Bar, note, notes, print_json, print_table, write_page
from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from lookalike.evaluation import Comparison, Evaluation, LabelQuality
    from lookalike.gallery import Gallery
    from lookalike.reports import Progress
    from lookalike.search.hits import Hit
    from lookalike.types import Precision

FAILED = 1
_SHOWN_LABELS = 5
_LABELS_HELP = (
    "Where labels are: folder, folder:N (its first N levels), name:REGEX (its first group in the file's "
    "name), a .csv or .tsv table (labels.csv:COLUMN), or a field of the metadata."
)


class GreedyCommand(Command):
    """A command whose repeatable options take several words at once.

    `--models A B` is `--models A --models B`; the words end at the next one that begins with a dash.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its words, as click itself wants it."""
        greedy = {
            name
            for option in self.params
            if isinstance(option, click.Option) and option.multiple
            for name in option.opts
        }
        try:
            return super().parse_args(ctx, _repeated(args, greedy))
        except click.MissingParameter as error:
            # What was meant for the argument may have gone to the option before it.
            message = f"{error.format_message()} Arguments come before options that take several words."
            raise click.UsageError(message, ctx) from error


def _repeated(words: Sequence[str], greedy: set[str]) -> list[str]:
    """Words with each greedy option before every one of its values."""
    result: list[str] = []
    option, first = "", False
    for place, word in enumerate(words):
        if word == "--":
            return [*result, *words[place:]]
        if word in greedy:
            option, first = word, True
        elif word.startswith("-") and word != "-":
            option = ""
        elif option and not first:
            result.append(option)
        else:
            first = False
        result.append(word)
    return result


_split_option = click.option(
    "--split",
    metavar="WHAT",
    help="Which pictures only ask and are not searched: a share such as .2, a filter such as part=test, "
    "or a text file of ids, one a line. Or test, validation or train, for models that were trained here: "
    "only pictures of that part of their own split ask, for one another. By default each picture asks for "
    "all others.",
)

_at_least = click.option(
    "--at-least",
    type=click.IntRange(min=2),
    default=2,
    show_default=True,
    metavar="N",
    help="Exclude queries whose label fewer than N pictures have.",
)


@command(
    short_help="Measure how good the answers are.",
    epilog="""
    \b
    Examples:
      lookalike evaluate products --labels folder
      lookalike evaluate --labels labels.csv --by-label
      lookalike evaluate --labels 'name:^([a-z]+)_' --json
      lookalike evaluate --labels category --split part=test
      lookalike evaluate products --name ranked --labels folder --split test
    """,
)
@click.argument("folder", required=False)
@click.option("--labels", required=True, metavar="WHERE", help=_LABELS_HELP)
@click.option(
    "-k",
    "k",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1, 5, 10),
    metavar="N",
    help="A rank to measure at; may be repeated. By default 1, 5 and 10.",
)
@_at_least
@click.option(
    "--queries",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take at most N queries of each label, at random.",
)
@_split_option
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed of --queries and --split.")
@click.option("--by-label", is_flag=True, help="Show every label, not only the best and the worst.")
@quiet_option
@json_option
@gallery_options
def evaluate(  # noqa: PLR0913  # an argument an option
    *,
    folder: str | None,
    place: Place,
    labels: str,
    k: tuple[int, ...],
    at_least: int,
    queries: int | None,
    split: str | None,
    seed: int,
    by_label: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure how good the gallery's answers are, where labels say which pictures belong together.

    Every picture is asked with for all the others; those that share a label with it are right.
    FOLDER is one that has a gallery; without it the gallery is found as by search.
    """
    from lookalike.evaluation import evaluate as measure
    from lookalike.evaluation.splits import read_split

    with _existing(folder, place) as gallery, Bar("asking", quiet=quiet) as bar:
        found = measure(
            gallery,
            labels,
            k=k,
            at_least=at_least,
            queries=queries,
            split=read_split(split),
            seed=seed,
            progress=bar.callback,
        )
    if as_json:
        print_json(found.as_dict())
    else:
        _print_evaluation(found, everything=by_label)
    notes(found.notes)


@click.command(
    cls=GreedyCommand,
    short_help="Compare models and metrics on one folder.",
    epilog="""
    \b
    Examples:
      lookalike compare products --labels folder
      lookalike compare products --models efficientnet-lite0 keras:VGG16@fc1
          --query polo.jpg shoe.jpg -k 3 --plot polo.png
      lookalike compare products --galleries default vgg --labels folder
      lookalike compare products --labels folder --models efficientnet-lite0
          efficientnet-lite0@classes#inner --plot compare.png
      lookalike compare products --labels folder --split test
          --models efficientnet-lite0 my-classes my-ranker
    """,
)
@click.argument("folder")
@click.option(
    "--models",
    multiple=True,
    metavar="NAME...",
    help="What to compare: MODEL, or MODEL#METRIC as in efficientnet-lite0@classes#inner; after the metric "
    "may stand ,normalize or ,no-normalize. By default the galleries that FOLDER has, else the default "
    "model and some of its cuts.",
)
@click.option(
    "--galleries",
    multiple=True,
    metavar="NAME|ADDRESS...",
    help="Galleries of FOLDER to compare, by their names or addresses.",
)
@click.option(
    "--query",
    "queries",
    multiple=True,
    metavar="QUERY...",
    help="Pictures to show every method's answers to.",
)
@click.option("--labels", metavar="WHERE", help=_LABELS_HELP)
@_at_least
@_split_option
@k_option(3, "How many answers to show.")
@click.option(
    "--precision",
    type=click.Choice(["f32", "bf16"]),
    help="The arithmetic of the networks; by default bf16 where the processor has it.",
)
@plot_option(
    "Draw the answers, or with labels alone quality against cost; with both, the second goes to "
    "NAME-quality beside FILE. FILE is"
)
@html_option("Write the comparison as one self-contained page, too.")
@quiet_option
@json_option
def compare(  # noqa: PLR0913  # an argument an option
    *,
    folder: str,
    models: tuple[str, ...],
    galleries: tuple[str, ...],
    queries: tuple[str, ...],
    labels: str | None,
    at_least: int,
    split: str | None,
    k: int,
    precision: Precision | None,
    plot: Path | None,
    html: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Compare methods on the pictures of FOLDER: which finds the better ones, and at what cost.

    Without --labels the answers to each --query are shown, a method after the other; with them, how
    good all answers are. Galleries that FOLDER has are used; what is missing is made elsewhere, and
    removed afterwards. An option that takes several names takes them until the next one with a dash.

    The exit code is 1 if a method failed; the others are shown all the same.
    """
    from lookalike.evaluation import compare as compare_methods
    from lookalike.evaluation.splits import read_split

    with _Bars(quiet=quiet) as bars:
        comparison = compare_methods(
            folder,
            models or None,
            galleries=galleries,
            queries=queries,
            labels=labels,
            at_least=at_least,
            split=read_split(split),
            k=k,
            precision=precision,
            progress=bars.show,
        )
    if as_json:
        print_json(comparison.as_dict())
    else:
        _print_comparison(comparison)
    notes(comparison.remarks)
    if html is not None:
        write_page(html, comparison.html())
    if plot is not None and len(comparison.failed) < len(comparison.methods):
        _draw(comparison, plot)
    if comparison.failed:
        click.get_current_context().exit(FAILED)


class _Bars:
    """A progress bar for each method in turn."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._method = ""
        self._bars = ExitStack()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.close()

    def show(self, method: str, progress: Progress) -> None:
        """Show how far a method is."""
        if self._bar is None or method != self._method:
            self._bars.close()
            self._bar = self._bars.enter_context(Bar(visible(method), quiet=self._quiet))
            self._method = method
        if self._bar.callback is not None:
            self._bar.callback(progress)


def _existing(folder: str | None, place: Place) -> Gallery:
    """The gallery of a folder, wherever it is kept; without one, the gallery told or found."""
    from lookalike.gallery import Gallery

    if folder is None:
        return place.existing()
    source = click.get_current_context().get_parameter_source("gallery")
    # A folder that was named has its own gallery, whatever is usually searched.
    gallery = None if source is ParameterSource.ENVIRONMENT else place.gallery
    return Gallery.open(folder, name=place.name, gallery=gallery, create=False)


def _print_evaluation(found: Evaluation, *, everything: bool) -> None:
    click.echo(
        visible(
            f"{found.queries:,} queries to {found.pictures:,} pictures, labels by {found.labels}: "
            f"{found.model}, {found.metric}"
        )
    )
    names = list(found.measures)
    rows = [(*(f"{found[name]:.3f}" for name in names), f"{found.queries:,}", "all")]
    shown = list(found.by_label)
    if not everything and len(shown) > 2 * _SHOWN_LABELS:
        main = next(name for name in names if name.startswith("mAP"))
        shown.sort(key=lambda one: one.measures[main], reverse=True)
        best, worst = shown[:_SHOWN_LABELS], shown[-_SHOWN_LABELS:]
        between = len(shown) - len(best) - len(worst)
        gap = ("",) * (len(names) + 1) + (f"({between:,} more labels between: --by-label)",)
        rows += [*_label_rows(best, names), gap, *_label_rows(worst, names)]
    else:
        rows += _label_rows(shown, names)
    print_table((*names, "queries", "label"), rows, numbers=len(names) + 1)


def _label_rows(labels: Sequence[LabelQuality], names: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (*(f"{one.measures[name]:.3f}" for name in names), f"{one.queries:,}", one.label) for one in labels
    ]


def _print_comparison(comparison: Comparison) -> None:
    measured = [one for one in comparison if one.error is None]
    for number, query in enumerate(comparison.queries if measured else ()):
        click.echo(visible(f"query {query}"))
        rows = [row for one in measured for row in _answer_rows(one.method, one.answers[number].hits)]
        print_table(("", "score", "method", "picture"), rows, numbers=2)
        click.echo()
    heads, table = comparison.table()
    print_table(heads, table, numbers=len(heads) - 1)


def _answer_rows(method: str, hits: Sequence[Hit]) -> list[tuple[str, ...]]:
    from lookalike.views.pages import numbers

    scores = numbers(hit.score for hit in hits)
    return [(str(hit.rank), score, method, hit.id) for hit, score in zip(hits, scores, strict=True)]


def _draw(comparison: Comparison, file: Path) -> None:
    """Draw what there is to draw."""
    if comparison.queries:
        comparison.plot("answers").save(file)
        note(f"written to {file}")
    if any(one.evaluation for one in comparison):
        beside = file.with_stem(f"{file.stem}-quality") if comparison.queries else file
        comparison.plot("quality").save(beside)
        note(f"written to {beside}")

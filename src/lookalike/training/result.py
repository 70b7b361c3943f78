"""Hold what a training gives: where the model is, how it went, what it reached and what it gained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import UsageError, visible
from lookalike.reports import clock
from lookalike.system.files import writing
from lookalike.system.text import write_csv
from lookalike.views import pages, plots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lookalike.evaluation.splits import Split
    from lookalike.extractors.cards import Card
    from lookalike.reports import Skip
    from lookalike.training.recipes import TrainingRecipe
    from lookalike.views.plots import Plot

BASE = "base_"
"""What the name of a measure of the base begins with."""

_MEASURES = {"p5": "P@5", "map100": "mAP@100", "right": "pairs in the right order"}
_PICTURES = {
    "test": "pictures never seen",
    "seen": "pictures held out",
    "unseen": "labels held out",
    "pairs": "pairs held out",
}
_SURE_FIRST = ("test", "unseen", "seen", "pairs")
_SHOWN = 0.0005  # what three decimals show


class Gain(NamedTuple):
    """A measure before and after, by the name it has among a training's measures: `test_p5`."""

    name: str
    before: float
    after: float

    @property
    def difference(self) -> float:
        """Return how much was gained; below 0 for a loss."""
        return self.after - self.before

    @property
    def words(self) -> str:
        """Return what was measured, for people: `P@5, pictures never seen`."""
        pictures, measure = self._parts()
        return f"{_MEASURES.get(measure, measure)}, {_PICTURES.get(pictures, pictures)}".rstrip(", ")

    def sentence(self) -> str:
        """Say what it means: how many of the first answers, or of the pairs, are right now."""
        pictures, measure = self._parts()
        where = f"Of {_PICTURES.get(pictures, pictures)}, "
        if abs(self.difference) < _SHOWN:
            return f"{where}{_MEASURES.get(measure, measure)} is what it was before: {self.after:.3f}."
        if measure == "p5":
            before, after = (f"{5 * share:.1f}" for share in (self.before, self.after))
            return f"{where}{after} of the first 5 answers are right, instead of {before}."
        return f"{where}{100 * self.after:.0f} % are right, instead of {100 * self.before:.0f} %."

    def _parts(self) -> tuple[str, str]:
        pictures, _, measure = self.name.rpartition("_")
        return pictures, measure


def gains(measures: Mapping[str, float]) -> list[Gain]:
    """Return the measures that the base has, too, in their order.

    >>> gains({"base_test_p5": 0.25, "test_p5": 0.5, "loss": 0.1})
    [Gain(name='test_p5', before=0.25, after=0.5)]
    """
    return [
        Gain(name, measures[BASE + name], after)
        for name, after in measures.items()
        if BASE + name in measures
    ]


def conclusion(found: Sequence[Gain]) -> str:
    """Return one sentence on what was gained, by the pictures that say most; "" where there is nothing."""
    first = {gain.name: gain for gain in reversed(found)}
    for pictures in _SURE_FIRST:
        for measure in ("p5", "right"):
            if gain := first.get(f"{pictures}_{measure}"):
                return gain.sentence()
    return ""


_FIRST = ("stage", "epoch", "seconds")


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the pictures that are learned from.

    stage: what of the network learnt.
    number: counted from 1 through all stages.
    of: how many there will be at most.
    seconds: that it took.
    measures: by name; `val_NAME` is NAME on the validation part.
    left: seconds until the end at this pace.
    best: whether it is the best so far.
    """

    stage: str
    number: int
    of: int
    seconds: float
    measures: Mapping[str, float]
    left: float = 0.0
    best: bool = False

    def __str__(self) -> str:
        """Return one line for people."""
        figures = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.measures.items())
        best = "  best so far" if self.best else ""
        left = f", {clock(self.left)} left" if self.number < self.of else ""
        stage = visible(self.stage)
        return f"epoch {self.number}/{self.of} ({stage})  {figures}  {self.seconds:.1f} s{left}{best}"


@dataclass(frozen=True, slots=True)
class History:
    """Hold how a training went, epoch by epoch."""

    epochs: tuple[Epoch, ...]

    @property
    def measures(self) -> dict[str, list[float]]:
        """Return for each measure its values, the first epoch's first."""
        names = dict.fromkeys(name for epoch in self.epochs for name in epoch.measures)
        return {name: [epoch.measures.get(name, float("nan")) for epoch in self.epochs] for name in names}

    def plot(self, title: str = "") -> Plot:
        """Draw it, each measure in a panel of its own, with its value on the validation part.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        return plots.history(self.measures, title=title)

    def save(self, path: Path) -> None:
        """Write it as a table, a line an epoch."""
        names = list(self.measures)
        with writing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            rows = (
                [e.stage, e.number, round(e.seconds, 3), *(e.measures.get(name, "") for name in names)]
                for e in self.epochs
            )
            write_csv(file, [[*_FIRST, *names], *rows])

    def as_dict(self) -> list[dict[str, Any]]:
        """Return it as plain JSON data, an object an epoch."""
        return [
            {"stage": e.stage, "epoch": e.number, "seconds": round(e.seconds, 3), **e.measures}
            for e in self.epochs
        ]

    def _repr_png_(self) -> Any:
        return self.plot()._repr_png_()  # a notebook shows a history as its plot


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model; `str` of it is what every command takes as its model.

    model: the absolute path of its folder.
    recipe: by which it was trained.
    card: of the model.
    split: the part of every picture.
    measures: what it reached, by name.
    history: how it went; without epochs for what has none.
    skipped: pictures that could not be read, with their reasons.
    notes: what the user should know.
    seconds: that it took in all.
    stopped: whether it was stopped before its end; then it is the best until then.
    """

    model: str
    recipe: TrainingRecipe
    card: Card = field(repr=False)
    split: Split = field(repr=False)
    measures: Mapping[str, float]
    history: History = field(repr=False)
    skipped: Sequence[Skip] = field(repr=False, default=())
    notes: Sequence[str] = ()
    seconds: float = 0.0
    stopped: bool = False

    def __str__(self) -> str:
        return self.model

    @property
    def gains(self) -> list[Gain]:
        """Return what it reached beside what its base reached; empty for what has no base to compare with."""
        return gains(self.measures)

    def plot(self, title: str = "") -> Plot:
        """Draw how it went, epoch by epoch; without epochs, what it gained.

        Raises:
            MissingExtra: matplotlib is not installed.
            UsageError: it has neither epochs nor gains.
        """
        if self.history.epochs:
            return self.history.plot(title)
        if not self.gains:
            raise UsageError(f"there is nothing to plot of {self.model}: no epochs, and nothing was measured")
        before = {gain.words: gain.before for gain in self.gains}
        after = {gain.words: gain.after for gain in self.gains}
        return plots.bars({"before": before, "after": after}, title=title)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            "model": self.model,
            "recipe": self.recipe.as_dict(),
            "pictures": self.split.counts(),
            "measures": dict(self.measures),
            "history": self.history.as_dict(),
            "skipped": [{"path": skip.path, "reason": skip.reason} for skip in self.skipped],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 2),
            "stopped": self.stopped,
        }

    def _repr_html_(self) -> str:
        rows = [(name, f"{value:.4g}") for name, value in self.measures.items()]
        table = pages.Table(["measure", "value"], rows, range(1, 2))
        return pages.fragment_table(table, [self.model, *self.notes])

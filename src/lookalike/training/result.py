"""What a training gives: where the model is, how it went, what it reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lookalike.errors import UsageError, visible
from lookalike.reports import clock
from lookalike.system.files import writing
from lookalike.system.text import write_csv
from lookalike.training.gains import Gain, gains
from lookalike.views import pages, plots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lookalike.evaluation.splits import Split
    from lookalike.extractors.cards import Card
    from lookalike.reports import Skip
    from lookalike.training.recipes import Recipe
    from lookalike.views.plots import Plot

_FIRST = ("stage", "epoch", "seconds")


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the pictures that are learnt from.

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
        """One line for people."""
        figures = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.measures.items())
        best = "  best so far" if self.best else ""
        left = f", {clock(self.left)} left" if self.number < self.of else ""
        stage = visible(self.stage)
        return f"epoch {self.number}/{self.of} ({stage})  {figures}  {self.seconds:.1f} s{left}{best}"


@dataclass(frozen=True, slots=True)
class History:
    """How a training went, epoch by epoch."""

    epochs: tuple[Epoch, ...]

    @property
    def measures(self) -> dict[str, list[float]]:
        """For each measure its values, the first epoch's first."""
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
        """It as JSON has it, an object an epoch."""
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
    recipe: Recipe
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
        """What it reached beside what its base reached; empty for what has no base to compare with."""
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
        """It as JSON has it."""
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

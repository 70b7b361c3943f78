"""What was learnt, in the form that the card and the result need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.training.ranker import model_selection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.evaluation.splits import Split
    from lookalike.extractors.steps import Step
    from lookalike.training.ranker.model_selection import Gain, Verdict


@dataclass(frozen=True, slots=True)
class Learnt:
    """What to add to the base.

    steps: that make the map; none where the base stays as it is.
    verdict: of the check.
    split: the part of every picture.
    measures: what was reached, by name; `base_…` is the same without the map.
    """

    steps: Sequence[Step]
    verdict: Verdict
    split: Split
    measures: Mapping[str, float]

    @property
    def way(self) -> str:
        """Which choice it is, in words."""
        return "plain" if self.verdict.chosen is None else self.verdict.chosen.name

    def record(self) -> dict[str, Any]:
        """What the check found of every choice: plain JSON."""
        return {
            "way": self.way,
            "choices": [
                {"name": choice.name, "safe": choice.safe, **named(choice.gains)}
                for choice in self.verdict.choices
            ],
        }

    def notes(self) -> list[str]:
        """What the user should know."""
        if self.verdict.chosen is not None:
            return [f"chosen by pictures and labels held out: {self.way}"]
        if not self.verdict.choices:
            return ["there was too little to hold out and check by: the model gives the base's own vectors"]
        fallen_back = "no map was better on pictures held out and safe for labels never seen"
        return [f"{fallen_back}: the model gives the base's own vectors"]


def named(gains: Mapping[str, Gain]) -> dict[str, float]:
    """Gains as measures by name: `seen_p5`, `base_seen_p5`, …; of pairs the share in the right order."""
    found: dict[str, float] = {}
    for what, gain in gains.items():
        names = model_selection.MEASURES if len(gain.after) > 1 else ("right",)
        for name, before, after in zip(names, gain.before, gain.after, strict=True):
            found |= {f"base_{what}_{name}": before, f"{what}_{name}": after}
    return found

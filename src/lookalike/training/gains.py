"""What a training gained: each measure of the base beside the same one of what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        """How much was gained; below 0 for a loss."""
        return self.after - self.before

    @property
    def words(self) -> str:
        """What was measured, for people: `P@5, pictures never seen`."""
        pictures, measure = self._parts()
        return f"{_MEASURES.get(measure, measure)}, {_PICTURES.get(pictures, pictures)}".rstrip(", ")

    def sentence(self) -> str:
        """What it means: how many of the first answers, or of the pairs, are right now."""
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

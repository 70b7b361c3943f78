"""What a training gained: its table, its sentence, its plot."""

from __future__ import annotations

import pytest

from lookalike.errors import UsageError
from lookalike.evaluation.splits import Split
from lookalike.training import History, RankerRecipe, Trained
from lookalike.training.result import Gain, conclusion, gains

MEASURES = {
    "base_seen_p5": 0.45,
    "seen_p5": 0.52,
    "base_seen_map100": 0.43,
    "seen_map100": 0.57,
    "base_test_p5": 0.3,
    "test_p5": 0.34,
    "accuracy": 0.9,
}


def _trained(measures):
    return Trained("/models/mine", RankerRecipe(), None, Split({}), measures, History(()))


def test_each_measure_stands_beside_that_of_the_base():
    """Only what the base has, too, is a gain; its name is put in words."""
    found = gains(MEASURES)
    assert found == [
        Gain("seen_p5", 0.45, 0.52),
        Gain("seen_map100", 0.43, 0.57),
        Gain("test_p5", 0.3, 0.34),
    ]
    assert [one.words for one in found] == [
        "P@5, pictures held out",
        "mAP@100, pictures held out",
        "P@5, pictures never seen",
    ]


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        (MEASURES, "Of pictures never seen, 1.7 of the first 5 answers are right, instead of 1.5."),
        ({"base_seen_p5": 0.4, "seen_p5": 0.4}, "Of pictures held out, P@5 is what it was before: 0.400."),
        (
            {"base_pairs_right": 0.5, "pairs_right": 0.9},
            "Of pairs held out, 90 % are right, instead of 50 %.",
        ),
        ({"loss": 1.0}, ""),
    ],
)
def test_one_sentence_says_what_was_gained(measures, said):
    """The sentence is of the pictures that say most: those never seen, then those held out."""
    assert conclusion(gains(measures)) == said


def test_a_training_without_epochs_is_drawn_by_its_gains(tmp_path):
    """The plot of a ranker holds each measure before and after; what measured nothing can't be drawn."""
    _trained(MEASURES).plot("mine").save(tmp_path / "gains.svg")
    drawn = (tmp_path / "gains.svg").read_text()
    for text in ("before", "after", "P@5, pictures never seen"):
        assert f"<!-- {text} -->" in drawn
    with pytest.raises(UsageError, match="nothing to plot"):
        _trained({}).plot()

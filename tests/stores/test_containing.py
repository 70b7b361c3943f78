"""The `~` of filters: texts that contain others, whatever the case; and the same for Lucene."""

from __future__ import annotations

import random
import re

import pytest

from lookalike.errors import FilterError
from lookalike.stores.elasticsearch.filters import containing
from lookalike.stores.where import contains

CHARACTERS = "sSſßẞaAäÄfFﬁﬀikKİıſn.*-)@e\u0301"


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("Summer house", "HOUSE", True),
        ("Grüße", "grüsse", True),
        ("Hauptstraße 7", "STRASSE", True),
        ("ΣΊΣΥΦΟΣ", "σίσυφος", True),
        ("Ärger", "ärger", True),
        ("A\u0308rger.jpg", "ärger", True),
        ("ärger", "arger", False),
        ("house", "mouse", False),
        ("anything", "", True),
        ("", "a", False),
        (7, "7", False),
    ],
)
def test_a_text_contains_another(value, wanted, expected):
    """Case is folded as Unicode does, accents count in either spelling, a number contains nothing."""
    assert contains(value, wanted) is expected


def test_the_expression_matches_just_what_contains():
    """Texts of every kind of character that folds oddly are matched just where they contain the other."""
    chance = random.Random(1)  # noqa: S311 - the same texts in every run
    for _ in range(5_000):
        value = "".join(chance.choices(CHARACTERS, k=chance.randint(0, 7)))
        wanted = "".join(chance.choices(CHARACTERS, k=chance.randint(1, 4)))
        found = re.fullmatch(containing(wanted), value, re.DOTALL | re.IGNORECASE | re.ASCII)
        assert (found is not None) == contains(value, wanted), (value, wanted)


def test_what_is_too_long_for_the_server():
    """An expression longer than the server takes is refused in words; an address is not."""
    assert len(containing("Hauptstraße 7, 80331 München, im zweiten Hof links")) < 1000
    with pytest.raises(FilterError, match="too long for ~"):
        containing("x" * 2000)

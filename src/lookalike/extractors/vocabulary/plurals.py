"""One form for the many ways of writing a name: case, hyphens, plurals.

The rules of detachment are those of WordNet's morphological processing (its manual page morphy(7WN)).
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DETACHMENT = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
_TYPOGRAPHIC = str.maketrans({"\u2019": "'", "\u2010": "-", "\u2011": "-"})


def fold(name: str) -> str:
    """A name without what does not matter: case, underscores and hyphens for spaces, curly apostrophes."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name).translate(_TYPOGRAPHIC)
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


def singulars(phrase: str, irregular: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What a folded phrase may be a plural of: any one of its words put in the singular.

    irregular: plurals that follow no rule, with their singulars.
    """
    yield from irregular.get(phrase, ())
    words = phrase.split(" ")
    for at in reversed(range(len(words))):
        for singular in _singulars_of_word(words[at], irregular):
            yield " ".join([*words[:at], singular, *words[at + 1 :]])


def plurals(phrase: str, irregular: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What may be the plural of a folded phrase, for names that are plurals themselves (`binoculars`)."""
    yield from (plural for plural, bases in irregular.items() if phrase in bases)
    for ending, instead in _DETACHMENT:
        if phrase.endswith(instead):
            yield phrase.removesuffix(instead) + ending


def _singulars_of_word(word: str, irregular: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield from irregular.get(word, ())
    if len(word) > 2 and not word.endswith("ss"):
        for ending, instead in _DETACHMENT:
            if word.endswith(ending):
                yield word.removesuffix(ending) + instead

"""Names of classes: the table of ImageNet's, the many ways of writing one, and what each names."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lookalike.types import Classes

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


class Table(NamedTuple):
    """ImageNet's classes as WordNet 3.0 knows them.

    classes: ids of the 1000 classes, sorted, which is the order of a network's output.
    synsets: for each class and everything above it, by id: its names, and the ids directly above.
    plurals: irregular plurals, with the singulars of theirs that are names in the table.
    """

    classes: tuple[str, ...]
    synsets: dict[str, tuple[list[str], list[str]]]
    plurals: dict[str, list[str]]


@cache
def everyday() -> dict[str, list[int]]:
    """Return the numbers of the classes that come near to a word, nearest first, by the folded word.

    `scripts/make_everyday.py` made it; it is read when it is first asked for.
    """
    raw = json.loads(Path(__file__).with_name("everyday.json").read_text(encoding="ascii"))
    near: dict[str, list[int]] = {fold(word): numbers for word, numbers in raw["near"].items()}
    return near


@cache
def table() -> Table:
    """The table, read when it is first asked for."""
    raw = json.loads(Path(__file__).with_name("imagenet.json").read_text(encoding="utf-8"))
    return Table(tuple(raw["classes"]), raw["synsets"], raw["plurals"])


@dataclass(frozen=True)
class Names:
    """Names and ids, folded, and what they name.

    classes: the ids of the classes.
    ids: for each name or id, the ids of the classes and synsets it stands for.
    below: for each synset, the ids directly below it.
    spelled: for each name, how it is written; ids of classes and synsets are not in it.
    longest: words in the longest of them.
    """

    classes: frozenset[str]
    ids: Mapping[str, Sequence[str]]
    below: Mapping[str, Sequence[str]]
    spelled: dict[str, str]
    longest: int

    def meaning(self, phrase: str) -> frozenset[str]:
        """The ids of the classes that a phrase names, as it stands or as a plural.

        Only where it names none it is taken for the singular of a name that is a plural: `glass`
        is not `glasses`, but `binocular` is `binoculars`.
        """
        folded, irregular = fold(phrase), table().plurals
        return self._named([folded, *singulars(folded, irregular)]) or self._named(plurals(folded, irregular))

    def _named(self, names: Iterable[str]) -> frozenset[str]:
        """The classes at or below anything of these names."""
        found: set[str] = set()
        waiting = [id_ for name in names for id_ in self.ids.get(name, ())]
        while waiting:
            id_ = waiting.pop()
            if id_ not in found:
                found.add(id_)
                waiting += self.below.get(id_, ())
        return self.classes & found


@lru_cache(maxsize=4)
def names_of(classes: Classes) -> Names:
    """Every name that means one of these classes."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    spelled: dict[str, str] = {}
    below = _below(classes) if classes.vocabulary == "imagenet" else {}
    synsets = table().synsets if below else {}
    named = [*zip(classes.ids, classes.names, strict=True)]
    named += [(synset, name) for synset in below for name in synsets[synset][0]]
    for id_, name in named:
        folded = fold(name)
        ids[folded].append(id_)
        spelled.setdefault(folded, name)
    for id_ in {*classes.ids, *below}:
        ids[fold(id_)].append(id_)
    longest = max((name.count(" ") + 1 for name in ids), default=0)
    return Names(frozenset(classes.ids), ids, below, spelled, longest)


def _below(classes: Classes) -> dict[str, list[str]]:
    """For each synset that is one of the classes or above one: the ids directly below it."""
    synsets = table().synsets
    below: dict[str, list[str]] = {id_: [] for id_ in classes.ids if id_ in synsets}
    waiting = list(below)
    while waiting:
        id_ = waiting.pop()
        for parent in synsets[id_][1]:
            if parent not in below:
                below[parent] = []
                waiting.append(parent)
            below[parent].append(id_)
    return below

"""The names by which the classes of one model can be asked for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lookalike.extractors.vocabulary.plurals import fold, plurals, singulars
from lookalike.extractors.vocabulary.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.types import Classes


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

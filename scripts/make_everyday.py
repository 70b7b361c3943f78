"""Build the table of everyday words that the package ships: the classes that come near to a word.

    python scripts/make_everyday.py /usr/share/wordnet

WordNet's folder must have `data.noun`, `index.noun` and `cntlist.rev` (Debian: `wordnet-base`). The classes
are those of the table that `make_classes.py` made. A class comes near to a word if it

* is a sister of what the word means: both are kinds of the same notion, of which the network knows a dozen
  kinds at most, and their definitions share telling words (`beach` and `seashore`: sand, sea, ...); or
* has the word in its definition, which few classes have (`kitchen` in that of `microwave`).

A sister may be one by another meaning of its name, as long as that is not far off: ImageNet's yawl is the
rowing boat, yet its pictures show the sailing vessel, too. How telling a word is, is the logarithm of how few
of all definitions have it (K. Sparck Jones, "A statistical interpretation of term specificity and its
application in retrieval", Journal of Documentation 28, 1972).
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lookalike.extractors import vocabulary
from lookalike.extractors.vocabulary.names import singulars, table

OUTPUT = Path(__file__).parents[1] / "src/lookalike/extractors/vocabulary/everyday.json"

TANGIBLE = {"n00002684", "n00019613", "n00523513"}
"""Objects, matter and sports: what a picture can show."""

LONGEST_WORD = 2  # words in a name
MOST_CLASSES = 5  # of a word
OWN_CLASSES = 3  # a word that names more than these needs no help
FREQUENT = 0.34  # of the commonest sense: senses that are met so often count, too
FAMILY = 12  # classes below a notion whose kinds are sisters
NEAR_FAMILY = 4  # the same, where a class may be one by another meaning of its name
NEAR_BY = 30  # classes below the notion that both meanings of such a name share
SHARED = 5.0  # how telling the words are that the definitions of sisters share, at least
SHARED_BESIDE_OWN = 12.0  # the same, for a word that names classes itself
MENTIONS = 8  # classes that mention a word which still tells something
MENTIONED = 6.0  # what a mention counts
OTHER_MEANING = 3.0  # what it counts that the name itself is shared

_COMMON = """
a able about act all also an and any are as at be been being between both but by can each eaten either
especially for form from has have having her him his in into is it its kind known large like long made
make makes more most not of off often on one or other out over part people person several short small
some someone something sort such than that the their these this those through to two type under up use
used using usually variety very was were when where which while who whose with without worn
"""
COMMON = frozenset(_COMMON.split())
"""Words that tell nothing about what a definition defines."""


class Synset(NamedTuple):
    """A notion of WordNet: its names, the ids directly above it, the telling words of its definition."""

    names: list[str]
    parents: list[str]
    words: frozenset[str]


class WordNet:
    """The nouns of WordNet 3.0.

    Args:
        folder: which has `data.noun`, `index.noun` and `cntlist.rev`.
    """

    def __init__(self, folder: Path) -> None:
        self.senses = dict(_senses(folder / "index.noun"))
        self.counts = _counts(folder / "cntlist.rev")
        self.synsets = dict(self._synsets(folder / "data.noun"))
        frequency = Counter(word for synset in self.synsets.values() for word in synset.words)
        self.telling = {word: math.log(len(self.synsets) / (1 + n)) for word, n in frequency.items()}

    @cache  # noqa: B019  # there is one for the whole run
    def lemma(self, word: str) -> str:
        """A word's singular, if it is the plural of a noun."""
        return next((one for one in singulars(word, {}) if one in self.senses), word)

    @cache  # noqa: B019
    def above(self, id_: str) -> dict[str, int]:
        """A notion and all above it, with how many steps there are to each."""
        found: dict[str, int] = {}
        waiting = [(id_, 0)]
        for one, steps in waiting:
            if one not in found:
                found[one] = steps
                waiting += [(parent, steps + 1) for parent in self.synsets[one].parents]
        return found

    def meanings(self, word: str) -> list[str]:
        """The senses people mean by a word: the commonest one, and those that are met nearly as often."""
        senses, counts = self.senses.get(word, []), self.counts[word]
        most = max(counts.values(), default=0)
        often = [
            sense
            for n, sense in enumerate(senses, start=1)
            if n == 1 or (most and counts.get(n, 0) >= FREQUENT * most)
        ]
        return [sense for sense in often[:3] if not self._is_proper(word, sense)]

    def shared(self, words: frozenset[str], others: frozenset[str]) -> float:
        """How telling the words are that two definitions share."""
        return round(
            sum(self.telling.get(word, 0.0) for word in words & others), 6
        )  # in whatever order added

    @cache  # noqa: B019
    def described(self, id_: str) -> frozenset[str]:
        """The telling words of a notion's definition and of its names."""
        names = " ".join(self.synsets[id_].names).lower()
        return self.synsets[id_].words | {self.lemma(word) for word in names.split()}

    def _is_proper(self, word: str, id_: str) -> bool:
        return any(name.lower() == word and name != word for name in self.synsets[id_].names)

    def _synsets(self, file: Path) -> list[tuple[str, Synset]]:
        found = []
        for line in file.read_text(encoding="ascii").splitlines():
            if not line.startswith(" "):
                fields, _, gloss = line.partition(" | ")
                head = fields.split()
                pointers = head[5 + 2 * int(head[3], 16) :]
                parents = [
                    f"n{offset}"
                    for symbol, offset in zip(pointers[0::4], pointers[1::4], strict=False)
                    if symbol in {"@", "@i"}
                ]
                names = [name.replace("_", " ") for name in head[4 : 4 + 2 * int(head[3], 16) : 2]]
                found.append((f"n{head[0]}", Synset(names, parents, self._telling_words(gloss))))
        return found

    def _telling_words(self, gloss: str) -> frozenset[str]:
        definition = gloss.partition('; "')[0].lower()
        words = (word for word in re.findall("[a-z]+", definition) if word not in COMMON and len(word) > 2)
        return frozenset(map(self.lemma, words))


def _senses(file: Path) -> list[tuple[str, list[str]]]:
    """Every noun with its synsets, the commonest sense first."""
    found = []
    for line in file.read_text(encoding="ascii").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            offsets = fields[6 + int(fields[3]) :]
            found.append((fields[0].replace("_", " "), [f"n{offset}" for offset in offsets]))
    return found


def _counts(file: Path) -> defaultdict[str, dict[int, int]]:
    """How often each sense of a noun was met in the texts that WordNet's authors counted."""
    counts: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for line in file.read_text(encoding="ascii").splitlines():
        key, sense, count = line.split()
        lemma, _, place = key.partition("%")
        if place.startswith("1:"):
            counts[lemma.replace("_", " ")][int(sense)] = int(count)
    return counts


class Neighbourhood:
    """Finds the classes that come near to a word."""

    def __init__(self, nouns: WordNet) -> None:
        self.nouns = nouns
        self.classes = vocabulary.imagenet()
        self.below: defaultdict[str, set[str]] = defaultdict(set)
        for id_ in self.classes.ids:
            for above in nouns.above(id_):
                self.below[above].add(id_)
        self.mentioning: defaultdict[str, list[str]] = defaultdict(list)
        self.others: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for id_ in self.classes.ids:
            for other in {sense for name in nouns.synsets[id_].names for sense in nouns.senses[name.lower()]}:
                for family in nouns.synsets[other].parents if other != id_ else ():
                    self.others[family].append((id_, other))
            for word in nouns.synsets[id_].words:
                self.mentioning[word].append(id_)

    def near(self, word: str) -> list[str]:
        """The classes that come near to a word, nearest first; none for one that names enough itself."""
        own = vocabulary.meaning(word, self.classes)
        meanings = [m for m in self.nouns.meanings(word) if TANGIBLE & self.nouns.above(m).keys()]
        if len(own) > OWN_CLASSES or not meanings:
            return []
        scores: defaultdict[str, float] = defaultdict(float)
        for meaning in meanings:
            for id_, score in self._sisters(meaning):
                if score >= (SHARED_BESIDE_OWN if own else SHARED):
                    scores[id_] = max(scores[id_], score)
        if not own and len(self.mentioning[word]) <= MENTIONS:
            for id_ in self.mentioning[word]:
                scores[id_] += MENTIONED
        ranked = sorted((id_ for id_ in scores if id_ not in own), key=lambda id_: (-scores[id_], id_))
        return ranked[:MOST_CLASSES]

    def _sisters(self, meaning: str) -> list[tuple[str, float]]:
        """Classes directly beside a meaning, and how much their definitions share with its own."""
        described = self.nouns.described(meaning)
        found = []
        for family in self.nouns.synsets[meaning].parents:
            if 0 < len(self.below[family]) <= FAMILY:
                found += [
                    (id_, self.nouns.shared(described, self.nouns.described(id_)))
                    for id_ in self.below[family]
                ]
            if 0 < len(self.below[family]) <= NEAR_FAMILY:
                found += self._by_another_meaning(family, described)
        return found

    def _by_another_meaning(self, family: str, described: frozenset[str]) -> list[tuple[str, float]]:
        return [
            (id_, self.nouns.shared(described, self.nouns.described(other)) + OTHER_MEANING)
            for id_, other in self.others[family]
            if self._close(id_, family)
        ]

    def _close(self, id_: str, family: str) -> bool:
        common = self.nouns.above(id_).keys() & self.nouns.above(family).keys()
        return min(len(self.below[above]) for above in common) <= NEAR_BY


def main() -> None:
    """Read WordNet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "wordnet", type=Path, help="the folder that holds data.noun, index.noun and cntlist.rev"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()

    nouns = WordNet(arguments.wordnet)
    neighbourhood = Neighbourhood(nouns)
    number = {id_: n for n, id_ in enumerate(table().classes)}
    words = (word for word in sorted(nouns.senses) if word.count(" ") < LONGEST_WORD)
    near = {word: [number[id_] for id_ in ids] for word in words if (ids := neighbourhood.near(word))}
    text = json.dumps(
        {"source": "WordNet 3.0, see LICENSE.wordnet; made by scripts/make_everyday.py", "near": near},
        separators=(",", ":"),
    ).replace('],"', '],\n"')
    arguments.output.write_text(text + "\n", encoding="ascii")
    print(f"{len(near):,} words, {len(text):,} bytes: {arguments.output}")


if __name__ == "__main__":
    main()

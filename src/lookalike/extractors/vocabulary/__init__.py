"""What words mean to a network: the classes that a word or phrase names.

A word names every class one of whose own names, or one of whose WordNet hypernyms' names, it is, as a
whole: `bird` names 59 of ImageNet's classes, `crane` a bird and a machine, `hot dog` no dog. Case,
hyphens, underscores and plurals do not matter. An id names its class, a hypernym's id all below it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lookalike.extractors.vocabulary.names import everyday, fold, names_of, singulars, table
from lookalike.types import Classes, Term

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["imagenet", "meaning", "near", "suggest", "terms"]

_QUOTED_OR_PAUSE = re.compile(r'("[^"]*"|[,;])')
_QUOTES = str.maketrans("“”„", '"""')


@cache
def imagenet() -> Classes:
    """ImageNet's 1000 classes in the order of a network's output: WordNet ids, sorted.

    Example:
        >>> imagenet().names[285]
        'Egyptian cat'
    """
    known = table()
    return Classes(known.classes, tuple(known.synsets[wnid][0][0] for wnid in known.classes), "imagenet")


def meaning(word: str, classes: Classes) -> frozenset[str]:
    """The ids of the classes that a word, a phrase or an id names; empty if it names none.

    With the vocabulary `imagenet` hypernyms count, with `names` only the classes' own names do.

    Example:
        >>> len(meaning("Birds", imagenet()))
        59
    """
    return names_of(classes).meaning(word)


def near(word: str, classes: Classes) -> list[str]:
    """Return the ids of the classes that come near to what a word means, nearest first.

    They are not what the word names, but what a picture of it may be taken for. The table was made from
    WordNet's definitions by `scripts/make_everyday.py`.

    Args:
        word: or a phrase of two.
        classes: of the model.

    Returns:
        Five ids at most; none for a word that names enough classes itself, or is not in the table, nor for
        classes that are not ImageNet's.

    Example:
        >>> [imagenet().by_id[id_] for id_ in near("sailing boats", imagenet())]
        ['yawl', 'schooner']
    """
    if classes.vocabulary != "imagenet":
        return []
    folded = fold(word)
    numbers: list[int] = []
    for spelled in (folded, *singulars(folded, table().plurals)):
        numbers = numbers or everyday().get(spelled, [])
    ids = (table().classes[number] for number in numbers)
    return [id_ for id_ in ids if id_ in classes.by_id]


def terms(words: str, classes: Classes | None, *, widely: bool = False) -> list[Term]:
    """The things a query asks for, each of which a picture must satisfy.

    The longest phrase that is one name is one term (`hot dog`), every other word one of its own;
    quotation marks make a phrase of what is between them, a comma or semicolon ends one. What
    names no class, and everything where there are no classes, is a term of text alone.

    Args:
        words: the query.
        classes: of the model.
        widely: whether a word means the classes that come near to it, too.

    Example:
        >>> [term.text for term in terms("hot dog beach", imagenet())]
        ['hot dog', 'beach']
    """
    found = (term for run in _runs(words) for term in _split(run, classes, widely=widely))
    return list(dict.fromkeys(found))


def suggest(word: str, classes: Classes | None, extra: Iterable[str] = (), *, most: int = 3) -> list[str]:
    """Names much like an unknown word, most alike first: of classes, of hypernyms, of `extra` words."""
    from difflib import get_close_matches

    spelled = {fold(name): name for name in extra}
    if classes:
        spelled |= names_of(classes).spelled
    wanted = fold(word)
    spelled.pop(wanted, None)
    # A slip in a short word leaves less of it in common.
    cutoff = 0.6 if len(wanted) < 5 else 0.7
    alike = get_close_matches(wanted, spelled, most + 10, cutoff=cutoff)
    # The ratio thinks little of two letters swapped, the commonest slip: for `brid`, `bird` before `bride`.
    alike.sort(key=lambda name: sorted(name) != sorted(wanted))
    return [spelled[name] for name in alike[:most]]


def _runs(words: str) -> Iterator[list[str]]:
    """Words that may form phrases together; a quoted phrase is a run of one."""
    for part in _QUOTED_OR_PAUSE.split(words.translate(_QUOTES)):
        inside = part.strip(",;").replace('"', " ").split()
        yield [" ".join(inside)] if part[:1] == part[-1:] == '"' else inside


def _split(run: Sequence[str], classes: Classes | None, *, widely: bool) -> Iterator[Term]:
    """Cut a run into terms, the longest known phrase first."""
    while run and run[0]:
        term, length = _longest(run, classes, widely=widely)
        yield term
        run = run[length:]


def _longest(run: Sequence[str], classes: Classes | None, *, widely: bool) -> tuple[Term, int]:
    """The longest phrase at the head of a run that is a name, or its first word; and its length."""
    if classes is not None:
        for length in range(min(len(run), names_of(classes).longest), 0, -1):
            phrase = " ".join(run[:length])
            named = meaning(phrase, classes)
            if widely:
                named |= set(near(phrase, classes))
            if named:
                return Term(phrase, named), length
    return Term(run[0], frozenset()), 1

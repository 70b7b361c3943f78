"""What words mean to a network: the classes that a word or phrase names.

A word names every class one of whose own names, or one of whose WordNet hypernyms' names, it is, as a
whole: `bird` names 59 of ImageNet's classes, `crane` a bird and a machine, `hot dog` no dog. Case,
hyphens, underscores and plurals do not matter. An id names its class, a hypernym's id all below it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lookalike.types import Classes, Term
from lookalike.vocabulary.names import Names, names_of
from lookalike.vocabulary.plurals import fold
from lookalike.vocabulary.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["imagenet", "meaning", "suggest", "terms"]

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


def terms(words: str, classes: Classes | None) -> list[Term]:
    """The things a query asks for, each of which a picture must satisfy.

    The longest phrase that is one name is one term (`hot dog`), every other word one of its own;
    quotation marks make a phrase of what is between them, a comma or semicolon ends one. What
    names no class, and everything where there are no classes, is a term of text alone.

    Example:
        >>> [term.text for term in terms("hot dog beach", imagenet())]
        ['hot dog', 'beach']
    """
    names = names_of(classes) if classes else None
    found = (term for run in _runs(words) for term in _split(run, names))
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


def _split(run: Sequence[str], names: Names | None) -> Iterator[Term]:
    """Cut a run into terms, the longest known phrase first."""
    while run and run[0]:
        term, length = _longest(run, names)
        yield term
        run = run[length:]


def _longest(run: Sequence[str], names: Names | None) -> tuple[Term, int]:
    """The longest phrase at the head of a run that is a name, or its first word; and its length."""
    for length in range(min(len(run), names.longest) if names else 0, 0, -1):
        phrase = " ".join(run[:length])
        classes = names.meaning(phrase) if names else frozenset()
        if classes:
            return Term(phrase, classes), length
    return Term(run[0], frozenset()), 1

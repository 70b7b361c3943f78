"""What to ask for, and what to tell, where the words of a query find nothing as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.extractors import vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Classes, Store, Term

LEAST = 0.2
"""The class score from which a picture shows what is near in meaning (benches/everyday_words.py)."""


def expand(words: str, terms: Sequence[Term], store: Store, only: str | None) -> tuple[list[Term], list[str]]:
    """Return what to ask for where nothing satisfies the terms of some words, and what to say of it.

    A word then means the classes that come near to it, too, and a word that nothing could satisfy is left
    out as long as another is left. No term comes back where even so nothing new is asked for.

    Args:
        words: the query.
        terms: of the words, as they stand.
        store: of the gallery.
        only: `classes` or `text` to go by one part.
    """
    classes = store.header.classes
    wide = list(terms)
    if classes is not None and only != "text":
        wide = vocabulary.terms(words, classes, widely=True)
    kept = [term for term in wide if term.classes or store.find([term], 1, only=only)]
    if not kept or kept == list(terms):
        return [], _unknown(terms, store) or _together(terms)
    left_out = [term for term in wide if term not in kept]
    return kept, [*_widened(kept, terms, classes), *_unknown(left_out, store, ", and was left out")]


def ambiguous(terms: Sequence[Term], classes: Classes | None) -> list[str]:
    """Say which words name several classes that people call the same: a crane is a bird or a machine."""
    names = {} if classes is None else classes.by_id
    notes = []
    for term in terms:
        own = sorted(id_ for id_ in term.classes if names.get(id_, "").lower() == term.text.lower())
        if len(own) > 1:
            alone = " or ".join(own)
            notes.append(f"{term.text!r} is the name of {len(own)} classes; find {alone} for one of them")
    return notes


def _unknown(terms: Sequence[Term], store: Store, outcome: str = "") -> list[str]:
    """Say which terms nothing in the gallery could satisfy, and what is spelled much like them."""
    classes = store.header.classes
    where = (
        "in no name or metadata" if classes is None else "no word of the model, nor in any name or metadata"
    )
    notes = []
    for term in terms:
        if not term.classes and not store.find([term], 1, only="text"):
            close = vocabulary.suggest(term.text, classes)
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            notes.append(f"{term.text!r} is {where}{outcome}{hint}")
    return notes


def _together(terms: Sequence[Term]) -> list[str]:
    """Say that every word can be found, but that no picture has them all."""
    words = ", ".join(repr(term.text) for term in terms)
    return [f"no picture has all of {words}: ask for fewer words"] if len(terms) > 1 else []


def _widened(wide: Sequence[Term], terms: Sequence[Term], classes: Classes | None) -> list[str]:
    """Say which words were taken for what comes near to them."""
    if classes is None:
        return []
    notes = []
    for term in wide:
        near = [] if term in terms else vocabulary.near(term.text, classes)
        if near:
            names = ", ".join(classes.by_id[id_] for id_ in near)
            notes.append(f"nothing shows {term.text!r} itself; near to it in meaning: {names}")
    return notes

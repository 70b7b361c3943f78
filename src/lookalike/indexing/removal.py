"""Which pictures are meant by ids, paths, folders and patterns: to be taken out, or let in again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from lookalike.errors import NotFound
from lookalike.sources import ignoring
from lookalike.sources.folder import id_of, path_of, prefix_of, under
from lookalike.stores import location
from lookalike.stores import where as filtering

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from lookalike.stores.where import WhereLike
    from lookalike.types import Store

_WILD = frozenset("*?[")


class _Gallery(Protocol):
    """What is needed of a gallery here."""

    @property
    def root(self) -> str: ...
    @property
    def store(self) -> Store: ...
    def __contains__(self, id_: object, /) -> bool: ...


def named(given: Sequence[str], where: WhereLike, gallery: _Gallery) -> list[str]:
    """Return the ids of the pictures that are meant, each once.

    Args:
        given: ids, paths, folders, and patterns as in `.gitignore`; none for every picture that passes.
        where: a filter that they have to pass, too.
        gallery: which one.

    Raises:
        NotFound: one of those given names no picture.
        FilterError: the filter can't be read, or names an unknown field.
    """
    conditions = filtering.conditions(where, gallery.store)
    ids = chosen(given, gallery.root, gallery, lambda: _pictures(gallery))
    if not conditions:
        return ids
    passing = [record.id for batch in gallery.store.scan(where=conditions) for record in batch.records]
    wanted = set(ids) if given else passing
    return [id_ for id_ in passing if id_ in wanted]


def taken_out(given: Sequence[str] | None, gallery: _Gallery) -> list[str]:
    """Return those of the ids taken out that are meant; None means all of them.

    Raises:
        NotFound: one of those given means none of them.
    """
    removed = gallery.store.removed()
    if given is None:
        return removed
    words = {"where": "that was removed", "not_done": "nothing was restored"}
    return chosen(given, gallery.root, set(removed), lambda: removed, **words)


def chosen(
    given: Sequence[str],
    root: str,
    known: Container[str],
    everything: Callable[[], Iterable[str]],
    *,
    where: str = "of the gallery",
    not_done: str = "nothing was removed",
) -> list[str]:
    """Return those of the known ids that are meant, each once.

    Args:
        given: ids, paths, folders and patterns.
        root: of the gallery.
        known: tells whether it has an id.
        everything: gives all of its ids.
        where: which pictures there are, for the message.
        not_done: what was left, for the message.

    Raises:
        NotFound: one of those given means none of them.
    """
    found: dict[str, None] = {}
    for text in given:
        ids = _meant(text, root, known, everything)
        if not ids:
            raise NotFound(f"{text!r} names no picture {where}, by id, path, folder or pattern; {not_done}")
        found |= dict.fromkeys(ids)
    return list(found)


def id_meant(text: str, root: str, known: Container[str]) -> str:
    """Return the id meant by an id, a path from here, or a path from the root."""
    path = os.path.normpath(os.path.join(root, os.path.expanduser(text)))  # noqa: PTH111, PTH118
    meant = (text, id_of(location.absolute(text), root), id_of(path, root))
    return next((id_ for id_ in meant if id_ in known), meant[-1])


def _meant(text: str, root: str, known: Container[str], everything: Callable[[], Iterable[str]]) -> list[str]:
    id_ = id_meant(text, root, known)
    if id_ in known:
        return [id_]
    for path in dict.fromkeys((path_of(id_, root), location.absolute(text))):
        prefix = prefix_of(path.rstrip("/") or "/", root)
        if inside := [each for each in everything() if under(each, prefix)]:
            return inside
    if not _WILD & set(text):
        return []
    patterns = ignoring.matching([], [text], "")
    return [] if patterns is None else [each for each in everything() if patterns.excludes(each)]


def _pictures(gallery: _Gallery) -> Iterable[str]:
    return (state.id for state in gallery.store.states() if state.status == "picture")

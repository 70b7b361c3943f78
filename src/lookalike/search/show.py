"""What is shown of a picture beside its name: the user's own fields, and what the model is fairly sure of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from lookalike.errors import ImageError, UsageError
from lookalike.images import ImageLimits
from lookalike.types import BUILT_IN_FIELDS, PICTURE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.search.hits import Hit, Hits
    from lookalike.types import Store, Tag, Value
    from lookalike.views.pages import Card

LEAST_TAG = 0.3
"""Below, what the model names is as often wrong as right, and misleads who reads it."""

MOST_TAGS = 3
_OURS = frozenset(PICTURE_FIELDS)
_TELLS_NOTHING = frozenset({"id", "url", "path"})
_TITLES = ("title", "name", "caption", "label")


def checked(show: str | Sequence[str], store: Store) -> tuple[str, ...]:
    """Return the fields to show, of a text with commas between them or a list.

    Raises:
        UsageError: the gallery has no such field; the message lists those it has.
    """
    known = store.fields()
    if isinstance(show, str):
        show = [show] if show in known else [name.strip() for name in show.split(",") if name.strip()]
    for name in show:
        if name not in known:
            raise UsageError(f"the gallery has no field {name!r} to show; it has {', '.join(sorted(known))}")
    return tuple(dict.fromkeys(show))


def usual(pictures: Iterable[Mapping[str, Value]]) -> tuple[str, ...]:
    """Return what is usually shown: the first text field of the user's own, a title if there is one.

    Args:
        pictures: the metadata of each.

    >>> usual([{"taken": "2024-05-03", "shelf": 7, "brand": "acme", "title": "Mug"}])
    ('title',)
    """
    texts = {
        name for fields in pictures for name, value in fields.items() if isinstance(value, str) and value
    }
    return tuple(sorted(texts - _OURS - _TELLS_NOTHING, key=_order)[:1])


def usual_of(store: Store) -> tuple[str, ...]:
    """Return what is usually shown of the pictures of a gallery, by the names and types of its fields."""
    own = {
        name: "text"
        for name, type_ in store.fields().items()
        if type_ == "text" and name not in BUILT_IN_FIELDS
    }
    return usual([own])


def tags(seen: Sequence[Tag]) -> list[Tag]:
    """Return the first few tags that the model is fairly sure of."""
    return [tag for tag in seen[:MOST_TAGS] if tag.score >= LEAST_TAG]


def cards(hits: Hits) -> list[Card]:
    """Return the hits of an answer as pages show them."""
    shown = hits.shown_fields()
    return [card(hit, hits.thumbnail(hit), shown, hits.shown_tags(hit)) for hit in hits]


def card(hit: Hit, thumbnail: bytes | None, shown: Sequence[str] = (), seen: Sequence[Tag] = ()) -> Card:
    """Return a hit as pages show it, with these fields and tags."""
    from lookalike.views.pages import Card

    return Card(
        title=hit.id,
        thumbnail=thumbnail,
        link=None if hit.path is None else "file://" + quote(os.fsencode(hit.path)),
        score=hit.score,
        parts=hit.scores if len(hit.scores) > 1 else {},
        tags=[(tag.name, tag.score) for tag in seen],
        fields=[(name, value) for name in shown if (value := hit.value(name))],
    )


def thumbnail_of_file(hit: Hit) -> bytes | None:
    """Return a small JPEG of a hit's file; None where there is none that can be read."""
    from lookalike.sources.access import Access
    from lookalike.sources.thumbnails import thumbnail_of

    limits = ImageLimits.from_environment()
    try:
        # A hit has a path only where its gallery may reach it.
        return None if hit.path is None else thumbnail_of(Access("", limits).read_named(hit.path), limits)
    except ImageError:
        return None


def _order(name: str) -> tuple[int, str]:
    lower = name.lower()
    return next((i for i, title in enumerate(_TITLES) if title in lower), len(_TITLES)), name

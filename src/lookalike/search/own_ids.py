"""Pictures by the ids that their user knows them by: a file's name without its ending, or a field `id`.

`lookalike fetch --id sku` names the file of `SKU-0000` `SKU-0000.png`, and notes the id in the metadata.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lookalike.errors import NotFound
from lookalike.types import Condition

if TYPE_CHECKING:
    from lookalike.types import Store, Value

_FIELD = "id"
_SHOWN = 3
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
"""How the names of pictures usually end, in small letters."""


def meant(own: str, store: Store) -> str | None:
    """Return the id of the one picture that a user's own id stands for; None where there is none.

    Raises:
        NotFound: it stands for several pictures.
    """
    if not own or not _is_text(own):
        return None
    endings = (*ENDINGS, *(ending.upper() for ending in ENDINGS))
    named = _ids(store, Condition("name", "=", tuple(own + ending for ending in endings)))
    found = named or _by_field(own, store)
    if len(found) > 1:
        raise NotFound(f"{own!r} is the id of several pictures: {_some(found)}; give the whole id of one")
    return found[0] if found else None


def hint(own: str, store: Store) -> str:
    """Return what may have been meant by an id that stands for nothing, as the end of a message."""
    if not own or not _is_text(own):
        return ""
    known: list[Value] = store.values(_FIELD, 1) if _FIELD in store.fields() else []
    alike = _ids(store, Condition("name", "~", (own,)))
    if alike:
        return f"; did you mean {_some(alike)}?"
    example = f", or by the field {_FIELD} as {known[0]!r}" if known else ""
    return f"; an id is a path as search prints it{example}"


def _by_field(own: str, store: Store) -> list[str]:
    """The ids of the pictures whose field says so; none without such a field."""
    type_ = store.fields().get(_FIELD)
    if type_ is None:
        return []
    try:
        value: Value = own if type_ == "text" else float(own)
    except ValueError:  # the field holds numbers, and this is none
        return []
    if isinstance(value, float) and not math.isfinite(value):
        return []
    return _ids(store, Condition(_FIELD, "=", (value,)))


def _ids(store: Store, condition: Condition) -> list[str]:
    """The ids of the pictures that pass, one more than are shown at most."""
    found: list[str] = []
    for batch in store.scan(where=[condition], batch=_SHOWN + 1):
        found += (record.id for record in batch.records)
        if len(found) > _SHOWN:
            break
    return found[: _SHOWN + 1]


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text

"""A user's filter on a gallery: read, fitted to its fields, and explained where nothing passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import FilterError
from lookalike.stores import where as where_language

if TYPE_CHECKING:
    from lookalike.stores.where import WhereLike
    from lookalike.types import Condition, Store, Value, Where

_SHOWN = 5
_LONGEST = 40  # characters of a value


def conditions(where: WhereLike, store: Store) -> Where:
    """Return a filter as a store takes it.

    Raises:
        FilterError: it can't be read, names an unknown field, or does not suit a field; the message says
            which values the field has.
    """
    parsed = where_language.parse(where)
    if not parsed:
        return ()
    fields = store.fields()
    try:
        return where_language.typed(parsed, fields)
    except FilterError as error:
        field = _misfit(parsed, fields)
        if field is None or not (known := values(field, store)):
            raise
        raise FilterError(f"{error} {_is(field, known)}.") from None


def no_pictures(where: Where, store: Store) -> list[str]:
    """Say why no picture passes a filter: the conditions that none passes, with the values there are.

    Returns:
        A sentence for each; one where all of them are passed, but by no picture together; none where pictures
        pass the filter.
    """
    if not where or _passed(where, store):
        return []
    empty = [condition for condition in where if not _passed([condition], store)]
    if not empty:
        return ["each of the filters is passed by some pictures, all of them together by none"]
    return [_none_passes(condition, store) for condition in empty]


def values(field: str, store: Store) -> str:
    """Return the values of a field in words, the most frequent ones where there are many; "" for none."""
    found = [value for value in store.values(field, _SHOWN + 1) if value != ""]
    shown = ", ".join(map(_in_words, sorted(found[:_SHOWN], key=_order)))
    if len(found) > _SHOWN:
        return f"one of {shown} and others"
    return f"one of {shown}" if len(found) > 1 else shown


def _misfit(parsed: Where, fields: dict[str, str]) -> str | None:
    """The field of the first condition that does not suit it; None where a field is not there."""
    for condition in parsed:
        try:
            where_language.typed([condition], fields)
        except FilterError:
            return condition.field if condition.field in fields else None
    return None


def _passed(where: Where, store: Store) -> bool:
    return any(batch.records for batch in store.scan(where=where, batch=1))


def _none_passes(condition: Condition, store: Store) -> str:
    field, operator, wanted = condition
    said = f"no picture has {field} {operator} {' or '.join(map(_in_words, wanted))}"
    known = values(field, store)
    return f"{said}; {_is(field, known)}" if known else said


def _order(value: Value) -> tuple[bool, Value]:
    return isinstance(value, str), value  # numbers among themselves, and texts


def _is(field: str, known: str) -> str:
    return f"{field} is {known}"


def _in_words(value: Value) -> str:
    text = str(value) or '""'
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

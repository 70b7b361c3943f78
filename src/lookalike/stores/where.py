"""The language of filters: which pictures a search may find.

As typed, one condition a string; the operators are `= != < <= > >= ~`, quotation marks hold anything:

    folder=2024        width>=1000        taken>=2024-05        price < 20        "made in"!=Italy
    title~house

In Python the same strings, or a mapping of fields: a value, a list of values any of which will do, an
(operator, value) pair, or a list of pairs all of which must hold:

    {"folder": "2024", "brand": ["acme", "apex"], "width": [(">=", 1000), ("<", 4000)]}

A picture passes if it passes every condition; `=` on one field again is another value that will do.

What a condition means, to every store alike (`matches` is the reference):

* Numbers compare as numbers, texts by their code points, so ISO 8601 dates in the order of time:
  `taken>=2024-05` is from May on, `taken<2024-05` before May.
* `folder=2024` is that folder and every one below it (`2024/05`, not `2024b`), `folder!=2024` all
  others; `folder=.`, or of nothing, is the gallery's root, with everything that has a relative path.
* `title~house` is passed by a text that contains that, whatever the case of its letters.
* A number without quotation marks is not larger or smaller than a text: `price>3` is an error where the
  field `price` holds text, `price>"3"` compares letters. Times of `taken` are the exception.
* `near=48.137,11.575,10km` is everything taken within 10 km (or `m`, `mi`) of a latitude and longitude;
  `box=47.9,11.3,48.3,11.9` everything between south, west, north and east; with `!=` all others. A field of
  the user's of that name comes first.
* A picture that lacks the field passes `!=` and nothing else.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from lookalike.errors import FilterError
from lookalike.stores import positions
from lookalike.stores.containing import contains
from lookalike.stores.positions import AREAS
from lookalike.types import Condition, Operator, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

WhereLike: TypeAlias = str | Condition | Sequence[str | Condition] | Mapping[str, object] | None
"""What a user may give as a filter."""

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "~": contains,
}
_CONDITION = re.compile(
    r'\s*(?:"((?:[^"]|"")+)"|([^"=!<>~\s][^"=!<>~]*?))\s*(==|!=|<=|>=|=|<|>|~)(.*)', re.DOTALL
)


class Typed(str):
    """A value as it was typed, without quotation marks: it may be meant as a number."""

    __slots__ = ()


_KINDS = {"text": "text", "integer": "whole numbers", "real": "numbers"}
_LARGEST = 2**63 - 1


def parse(where: WhereLike) -> tuple[Condition, ...]:
    """Read a filter in any of its forms; conditions that are parsed already stay as they are.

    Values keep the type they were given in: text, in a string. `typed` fits them to their fields.

    Example:
        >>> parse(["brand=acme", "width>=1000", "brand=apex"])[0]
        Condition(field='brand', operator='=', values=('acme', 'apex'))

    Raises:
        FilterError: if it can't be read.
    """
    if where is None:
        return ()
    if isinstance(where, Mapping):
        return _merged(condition for field, wanted in where.items() for condition in _of_field(field, wanted))
    if isinstance(where, str | Condition):
        where = [where]
    if not isinstance(where, Sequence):
        raise FilterError(f"a filter is a string, a list of strings or a mapping of fields, not {where!r}.")
    return _merged(_of_item(item) for item in where)


def typed(conditions: Iterable[Condition], fields: Mapping[str, str]) -> tuple[Condition, ...]:
    """Fit the values of conditions to the types of their fields.

    Args:
        conditions: as `parse` gives them.
        fields: the type of each field there is: `text`, `integer` or `real`.

    Returns:
        The same conditions; the values of text fields are str, those of the others int or float
        (also for whole numbers: `width>=99.5` is a fair question), folders are written one way.

    Raises:
        FilterError: for a field that is not there, for a value that is no number where the field
            holds numbers, and for a folder that is compared by size.
    """
    return tuple(_fitted(condition, fields) for condition in conditions)


def matches(conditions: Iterable[Condition], values: Mapping[str, Value]) -> bool:
    """Whether a picture of these fields passes a filter; what every store's filter must agree with."""
    return all(
        _passes_area(condition, values)
        if condition.field in AREAS and condition.field not in values
        else _passes(condition, values.get(condition.field))
        for condition in conditions
    )


def _of_item(item: object) -> Condition:
    """A condition out of a list."""
    if isinstance(item, Condition):
        return item
    if not isinstance(item, str):
        raise FilterError(f"a condition in a list is a string such as 'width>=1000', not {item!r}.")
    return _of_text(item)


def _of_text(text: str) -> Condition:
    """A condition as typed."""
    found = _CONDITION.fullmatch(text)
    if not found:
        raise _unreadable(text, "expected a field, one of = != < <= > >= ~, and a value")
    quoted, plain, sign, rest = found.groups()
    value = rest.strip()
    if value[:1] in ("=", "<", ">"):
        raise _unreadable(text, f"{sign + value[:1]} is no operator (there are = != < <= > >= ~)")
    if not value and sign not in ("=", "==", "!="):
        raise _unreadable(text, f"there is nothing after {sign}")
    field = quoted.replace('""', '"') if quoted else plain
    return Condition(field, cast("Operator", sign.replace("==", "=")), (_unquoted(value),))


def _of_field(field: str, wanted: object) -> Iterator[Condition]:
    """The conditions on one field, from a mapping."""
    if isinstance(wanted, tuple):
        yield from _of_pair(field, wanted)
    elif not isinstance(wanted, list | AbstractSet):
        yield Condition(field, "=", (_value(field, wanted),))
    elif not wanted:
        raise FilterError(f"the filter on {field} is an empty list, which no picture can pass; leave it out.")
    elif all(isinstance(item, tuple) for item in wanted):
        for pair in wanted:
            yield from _of_pair(field, pair)
    else:
        yield Condition(field, "=", tuple(_value(field, item) for item in wanted))


def _of_pair(field: str, pair: tuple[object, ...]) -> Iterator[Condition]:
    """The conditions of an (operator, value) pair; `!=` of a list is none of its values."""
    sign = {"==": "="}.get(str(pair[0]), pair[0]) if len(pair) == 2 else None
    if sign not in _OPERATORS:
        raise FilterError(
            f"the filter on {field} is {pair!r}; a tuple is an operator, one of = != < <= > >= ~, and a "
            'value, as (">=", 1000). Give several values that will do as a list.'
        )
    values = pair[1] if isinstance(pair[1], list | AbstractSet) else [pair[1]]
    read = tuple(_value(field, value) for value in values)
    if sign in ("=", "~") or len(read) == 1:
        yield Condition(field, cast("Operator", sign), read)
    elif sign == "!=" and read:
        yield from (Condition(field, "!=", (value,)) for value in read)
    else:
        raise FilterError(f"the filter on {field} is {pair!r}; {sign} takes one value.")


def _value(field: str, value: object) -> Value:
    """A value given in Python; numbers of other libraries become Python's own."""
    if isinstance(value, str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and math.isfinite(value):
        return float(value)
    raise FilterError(f"the filter on {field} has the value {value!r}; it must be a text or a finite number.")


def _merged(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Conditions with those that test one field with `=` made one, where the first of them stood."""
    merged: dict[object, Condition] = {}
    for number, condition in enumerate(conditions):
        key = condition.field if condition.operator == "=" else number
        before = merged[key].values if key in merged else ()
        values = tuple(dict.fromkeys(before + condition.values))
        merged[key] = condition._replace(values=values)
    return tuple(merged.values())


def _fitted(condition: Condition, fields: Mapping[str, str]) -> Condition:
    kind = fields.get(condition.field)
    if kind is None and condition.field in AREAS:
        return _fitted_area(condition, fields)
    if kind is None:
        raise _unknown(condition.field, fields)
    if condition.field == "folder":
        return condition._replace(values=_folders(condition))
    if kind == "text":
        return condition._replace(values=tuple(_text(condition, value) for value in condition.values))
    if condition.operator == "~":
        raise FilterError(f"can't look into {condition.field} by ~: it holds {_KINDS[kind]}, not text.")
    return condition._replace(values=tuple(_number(condition, value, kind) for value in condition.values))


def _text(condition: Condition, value: Value) -> str:
    """A value as text; what is meant as a number is not larger or smaller than a text."""
    number = not isinstance(value, str) or (type(value) is Typed and _is_number(value))
    if number and condition.operator in {"<", "<=", ">", ">="} and condition.field != "taken":
        field, sign, _ = condition
        raise FilterError(
            f"can't compare {field} {sign} {value}: the field {field} holds text, for not all of its values "
            f"are numbers. To compare texts by their letters write '{field}{sign}\"{value}\"'."
        )
    return str(value)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(_read_number(text))
    except (ValueError, OverflowError):
        return False


def _fitted_area(condition: Condition, fields: Mapping[str, str]) -> Condition:
    if condition.operator not in ("=", "!="):
        raise FilterError(
            f"can't compare by {condition.field} {condition.operator}: a picture is there (=) or not (!=)."
        )
    if any(fields.get(name, "text") == "text" for name in ("latitude", "longitude")):
        raise FilterError(
            f"can't filter by {condition.field}: no picture of the gallery has a latitude and a longitude."
        )
    for value in condition.values:
        positions.area(condition.field, str(value))
    return condition._replace(values=tuple(map(str, condition.values)))


def _passes_area(condition: Condition, values: Mapping[str, Value]) -> bool:
    place = values.get("latitude"), values.get("longitude")
    areas = (positions.area(condition.field, str(value)) for value in condition.values)
    return any(positions.contains(area, *place) == (condition.operator == "=") for area in areas)


def _folders(condition: Condition) -> tuple[str, ...]:
    if condition.operator == "~":
        return tuple(str(value) for value in condition.values)
    if condition.operator not in ("=", "!="):
        raise FilterError(
            f"can't compare by folder {condition.operator}: a picture is in a folder (=) or not (!=), or the "
            "folder contains a text (~). Write for example folder=2024."
        )
    return tuple(_folder(str(value)) for value in condition.values)


def _number(condition: Condition, value: Value, kind: str) -> int | float:
    """A value as a number that every store can hold."""
    try:
        number: int | float = _read_number(value) if isinstance(value, str) else value
        # Beyond 64 bits a database has no whole numbers; as a float it is still as large.
        number = number if abs(number) <= _LARGEST else float(number)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise FilterError(
            f"can't compare {condition.field} {condition.operator} {value}: "
            f"the field {condition.field} holds {_KINDS[kind]}, and {value!r} is no number."
        )
    return number


def _read_number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _passes(condition: Condition, value: Value | None) -> bool:
    """Whether a field's value compares so with any of the condition's; None is a field that is not there."""
    if value is None:
        return condition.operator == "!="
    compares = {"folder": _compares_folders, "taken": _compares_times}.get(condition.field, _compares)
    return any(compares(condition.operator, value, wanted) for wanted in condition.values)


def _compares(sign: Operator, value: Value, wanted: Value) -> bool:
    """A comparison; a text and a number differ, and neither is the larger."""
    if isinstance(value, str) != isinstance(wanted, str):
        return sign == "!="
    return _OPERATORS[sign](value, wanted)


def _compares_times(sign: Operator, value: Value, wanted: Value) -> bool:
    """A comparison of as much of the time as was given: `taken<=2024-05` takes in all of May."""
    told = str(value) if sign == "~" else str(value)[: len(str(wanted))]
    return _compares(sign, told, str(wanted))


def _compares_folders(sign: Operator, value: Value, wanted: Value) -> bool:
    """Whether a folder is, or is not, another or below it; absolute ones are not below the root."""
    if sign == "~":
        return contains(value, str(wanted))
    folder, top = str(value), _folder(str(wanted))
    below = folder.startswith(top.rstrip("/") + "/") if top else not folder.startswith("/")
    inside = below or folder == top
    return inside == (sign == "=")


def _folder(text: str) -> str:
    """A folder as galleries write it: without `./` before it and `/` behind, the root as nothing."""
    folder = text.removeprefix("./").rstrip("/")
    if text.startswith("/"):
        return folder or "/"
    return "" if folder == "." else folder


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('""', '"')
    return Typed(value)


def _unreadable(text: str, reason: str) -> FilterError:
    return FilterError(f"can't read the filter {text!r}: {reason}. Write for example width>=1000.")


def _unknown(field: str, fields: Iterable[str]) -> FilterError:
    from difflib import get_close_matches

    known = sorted(fields)
    alike = get_close_matches(field, known, n=1)
    hint = f" Did you mean {alike[0]}?" if alike else ""
    return FilterError(f"there is no field {field} to filter by.{hint} There are: {', '.join(known)}.")

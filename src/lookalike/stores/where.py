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

`near` and `box` are areas of the Earth. `~` compares letters as Unicode folds them, so that `STRASSE` is in
`Hauptstraße`; a letter with an accent may be one character or several, as file systems differ, and both
spellings of what is looked for are found. `conditions` reads a user's filter and fits it to a gallery's
fields.
"""

from __future__ import annotations

import math
import operator
import re
import unicodedata
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from lookalike.errors import FilterError
from lookalike.types import Condition, Operator, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lookalike.types import Store, Where


def contains(value: object, wanted: str) -> bool:
    """Return whether a text contains another; what is no text contains nothing.

    >>> contains("Grüße aus der Hauptstraße", "STRASSE")
    True
    """
    if not isinstance(value, str):
        return False
    folded = value.casefold()
    return any(spelling in folded for spelling in spellings(wanted))


@lru_cache(maxsize=64)
def spellings(wanted: str) -> tuple[str, ...]:
    """Return the spellings of a text that are looked for, folded, each once."""
    forms = (unicodedata.normalize(form, wanted).casefold() for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys(forms))


@cache
def unfolded() -> dict[str, str]:
    """Return what folds to each folded text, as characters in one string; no letter but those that change."""
    found: dict[str, str] = {}
    for number in range(0x20000):  # none above has a case
        character = chr(number)
        if (folded := character.casefold()) != character:
            found[folded] = found.get(folded, "") + character
    return found


EARTH_RADIUS = 6_371_008.8
"""Metres; the mean radius of the International Union of Geodesy and Geophysics."""

AREAS = {
    "near": "latitude, longitude and distance, as near=48.137,11.575,10km",
    "box": "south, west, north and east in degrees, as box=47.9,11.3,48.3,11.9",
}
"""Conditions on both `latitude` and `longitude`, and what their values are."""

_METRES = {"m": 1.0, "km": 1_000.0, "mi": 1_609.344, "": 1_000.0}
_DISTANCE = re.compile(r"(.*?)\s*(km|mi|m|)", re.DOTALL)
_SLACK = 1e-6  # degrees, for rounding


class Circle(NamedTuple):
    """All within a distance, in metres along the ground, of a position in degrees."""

    latitude: float
    longitude: float
    metres: float


class Box(NamedTuple):
    """All between two latitudes and two longitudes, edges included; a west above the east goes over 180°."""

    south: float
    west: float
    north: float
    east: float


Area: TypeAlias = Circle | Box


@lru_cache(64)
def area(kind: str, text: str) -> Area:
    """Read the value of a condition on an area.

    Args:
        kind: `near` or `box`.
        text: its value.

    Raises:
        FilterError: it can't be read, or there is no such place.
    """
    parts = text.split(",")
    if kind == "near" and len(parts) == 3:
        found = _DISTANCE.fullmatch(parts[2].strip())
        distance = (_degrees(found[1]) * _METRES[found[2]]) if found else math.nan
        circle = Circle(_degrees(parts[0]), _degrees(parts[1]), distance)
        if _is_place(*circle[:2]) and circle.metres >= 0:
            return circle
    if kind == "box" and len(parts) == 4:
        box = Box(*map(_degrees, parts))
        if _is_place(*box[:2]) and _is_place(*box[2:]) and box.south <= box.north:
            return box
    raise FilterError(f"can't read the filter {kind}={text}: expected {AREAS[kind]}.")


def area_contains(where: Area, latitude: Any, longitude: Any) -> bool:
    """Whether a position in degrees lies in an area; what is no position lies in none."""
    if not is_position(latitude, longitude):
        return False
    if isinstance(where, Circle):
        return distance(where.latitude, where.longitude, latitude, longitude) <= where.metres
    inside = where.west <= longitude <= where.east
    if where.west > where.east:
        inside = longitude >= where.west or longitude <= where.east
    return bool(inside and where.south <= latitude <= where.north)


def is_position(latitude: Any, longitude: Any) -> bool:
    """Whether two values are the latitude and longitude of a position in degrees."""
    numbers = isinstance(latitude, int | float) and isinstance(longitude, int | float)
    return bool(numbers and _is_place(latitude, longitude))


def distance(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Metres between two positions in degrees, along the ground of a ball (haversine)."""
    north, other_north = math.radians(latitude), math.radians(other_latitude)
    up = math.sin((other_north - north) / 2) ** 2
    across = math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    half = min(1.0, up + math.cos(north) * math.cos(other_north) * across)
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(half))


def bounds(where: Area) -> Box:
    """A box that has all of an area in it."""
    if isinstance(where, Box):
        return where
    reach = where.metres / EARTH_RADIUS
    south = where.latitude - math.degrees(reach) - _SLACK
    north = where.latitude + math.degrees(reach) + _SLACK
    if south <= -90 or north >= 90:  # with a pole in it, every longitude is
        return Box(max(south, -90.0), -180.0, min(north, 90.0), 180.0)
    across = math.degrees(math.asin(min(1.0, math.sin(reach) / math.cos(math.radians(where.latitude)))))
    west, east = where.longitude - across - _SLACK, where.longitude + across + _SLACK
    return Box(south, west + 360 if west < -180 else west, north, east - 360 if east > 180 else east)


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _is_place(latitude: float, longitude: float) -> bool:
    return -90 <= latitude <= 90 and -180 <= longitude <= 180


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
        area(condition.field, str(value))
    return condition._replace(values=tuple(map(str, condition.values)))


def _passes_area(condition: Condition, values: Mapping[str, Value]) -> bool:
    place = values.get("latitude"), values.get("longitude")
    areas = (area(condition.field, str(value)) for value in condition.values)
    return any(area_contains(area, *place) == (condition.operator == "=") for area in areas)


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


_SHOWN = 5
_LONGEST = 40  # characters of a value


def conditions(where: WhereLike, store: Store) -> Where:
    """Return a filter as a store takes it.

    Raises:
        FilterError: it can't be read, names an unknown field, or does not suit a field; the message says
            which values the field has.
    """
    parsed = parse(where)
    if not parsed:
        return ()
    fields = store.fields()
    try:
        return typed(parsed, fields)
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
            typed([condition], fields)
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

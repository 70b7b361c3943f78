"""A `where` as a query: what it means is said in `lookalike.stores.where`, whose `matches` it agrees with.

A picture that lacks a field passes `!=` and nothing else. Numbers are compared by bounds that are
computed here: the server would round what a field can't hold.

A text contained in another, whatever its case, is a regular expression of Lucene's. The server folds the
letters of ASCII (`case_insensitive`), and no others: every other character that folds to what is looked for
is named. One that folds to several (`ß` to `ss`) may begin before it, or go on behind.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from lookalike.errors import FilterError
from lookalike.stores import where as positions
from lookalike.stores.elasticsearch import layout
from lookalike.stores.records import check_condition
from lookalike.stores.where import spellings, unfolded
from lookalike.types import BUILT_IN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.types import Condition, Value, Where

    Query = dict[str, Any]

NOTHING: dict[str, Any] = {"match_none": {}}
_LARGEST = 2**63 - 1
_ROOTS = {".": r".+\..*|.*\..+", "/": ".+/.*|.*/.+"}
"""What contains these and is not the folder above all others, of relative ids and of absolute ones."""


def queries(where: Where, types: Mapping[str, str]) -> list[Query]:
    """A query for each condition; a picture passes if it matches all of them.

    Args:
        where: the conditions.
        types: of the fields there are, the built-in ones, too.

    Raises:
        FilterError: a field there is not, an operator that does not suit it, a value of another type.
    """
    for condition in where:
        check_condition(condition, types)
    return [_any([_test(condition, value, types) for value in condition.values]) for condition in where]


def _test(condition: Condition, value: Value, types: Mapping[str, str]) -> Query:
    field, operator, _ = condition
    if operator == "!=":
        return _not(_test(condition._replace(operator="="), value, types))
    if operator == "~":
        return _containing(field, str(value))
    if field == "folder" or field not in types:
        return _place(field, str(value))
    path = field_path(field)
    if field == "taken":
        return _taken(path, operator, str(value))
    if isinstance(value, str):
        return {"term": {path: value}} if operator == "=" else _range(path, operator, value)
    bounds = _integers if types[field] == "integer" else _reals
    return _between(path, bounds(operator, value))


def _containing(field: str, text: str) -> Query:
    # A folder that contains a text has it in its own name, or one above it has.
    path = "folders" if field == "folder" else field_path(field)
    pattern = containing(text)
    if path == "folders" and text in _ROOTS:
        pattern = _ROOTS[text]
    return {"regexp": {path: {"value": pattern, "flags": "NONE", "case_insensitive": True}}}


def field_path(field: str) -> str:
    """Where the documents have a field other than the folder."""
    return field if field in BUILT_IN_FIELDS else f"metadata.{layout.encoded(field)}"


def _place(field: str, value: str) -> Query:
    return _folder(value) if field == "folder" else _area(positions.area(field, value))


def _folder(folder: str) -> Query:
    top = folder.rstrip("/") or ("/" if folder else ".")
    return {"term": {"folders": top}}


def _area(area: positions.Area) -> Query:
    if isinstance(area, positions.Circle):
        centre = {"lat": area.latitude, "lon": area.longitude}
        return {"geo_distance": {"distance": f"{area.metres}m", "position": centre}}
    across = _between("metadata.longitude", (area.west, area.east))
    if area.west > area.east:
        wests = ((area.west, math.inf), (-math.inf, area.east))
        across = _any([_between("metadata.longitude", west) for west in wests])
    return {"bool": {"filter": [_between("metadata.latitude", (area.south, area.north)), across]}}


def _taken(path: str, operator: str, time: str) -> Query:
    """As much of the time as was given is compared, as in `lookalike.stores.where`."""
    begins: Query = {"prefix": {path: {"value": time}}}
    if operator == "=":
        return begins
    before, not_before = _range(path, "<", time), _range(path, ">=", time)
    return {
        "<": before,
        "<=": _any([before, begins]),
        ">=": not_before,
        ">": {"bool": {"filter": [not_before], "must_not": [begins]}},
    }[operator]


def _integers(operator: str, value: float) -> tuple[int, int] | None:
    """The least and the largest whole number that compares so with a number."""
    low, high = -_LARGEST - 1, _LARGEST
    down, up = math.floor(value), math.ceil(value)
    if operator in {"=", ">="}:
        low = max(low, up)
    if operator in {"=", "<="}:
        high = min(high, down)
    if operator == ">":
        low = max(low, down + 1)
    if operator == "<":
        high = min(high, up - 1)
    return (low, high) if low <= high else None


def _reals(operator: str, value: float) -> tuple[float, float] | None:
    """The same of floats; a whole number may lie between two of them."""
    near = float(value)
    least = near if near >= value else math.nextafter(near, math.inf)  # of those that are not smaller
    most = near if near <= value else math.nextafter(near, -math.inf)
    low, high = -math.inf, math.inf
    if operator in {"=", ">="}:
        low = least
    if operator in {"=", "<="}:
        high = most
    if operator == ">":
        low = math.nextafter(most, math.inf)
    if operator == "<":
        high = math.nextafter(least, -math.inf)
    # Lucene tells 0.0 from -0.0, which comes before it.
    low, high = (-0.0 if low == 0 else low), (0.0 if high == 0 else high)
    return (low, high) if low <= high and low < math.inf and high > -math.inf else None


def _between(path: str, bounds: tuple[float, float] | None) -> Query:
    if bounds is None:
        return NOTHING
    ends = zip(("gte", "lte"), bounds, strict=True)
    return {"range": {path: {name: end for name, end in ends if not math.isinf(end)}}}


def _range(path: str, operator: str, value: str) -> Query:
    name = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}[operator]
    return {"range": {path: {name: value}}}


def _any(queries: list[Query]) -> Query:
    if not queries:
        return NOTHING
    return queries[0] if len(queries) == 1 else {"bool": {"should": queries, "minimum_should_match": 1}}


def _not(query: Query) -> Query:
    return {"bool": {"must_not": [query]}}


_RESERVED = re.compile(r'[.?+*|{}\[\]()"\\#@&<>~^$-]')
_LONGEST = 1000
"""What the server takes (`index.max_regex_length`)."""


def containing(wanted: str) -> str:
    """Return the expression of the texts that contain a text, as `lookalike.stores.where.contains` says.

    Raises:
        FilterError: it is too long for the server.
    """
    pattern = f".*{_either([_anywhere(text) for text in spellings(wanted)])}.*" if wanted else ".*"
    if len(pattern) > _LONGEST:
        raise FilterError(f"{wanted!r:.60} is too long for ~ in Elasticsearch; look for a part of it")
    return pattern


def _anywhere(text: str) -> str:
    """What matches a folded text, which may begin within a character."""
    options = [_from(text, 0)]
    for folded, characters in _several().items():
        for tail in (folded[start:] for start in range(1, len(folded))):
            if text.startswith(tail):
                options.append(_any_of(characters) + _from(text, len(tail)))
            elif tail.startswith(text):
                options.append(_any_of(characters))
    return _either(options)


def _from(text: str, start: int) -> str:
    """What matches a folded text from there to its end, which may be within a character."""
    if start == len(text):
        return ""
    if len(text) > _LONGEST:
        return text  # too long anyway
    others = (other for other in unfolded().get(text[start], "") if not other.isascii())
    options = [_any_of(text[start] + "".join(others)) + _from(text, start + 1)]
    for folded, characters in _several().items():
        if text.startswith(folded, start):
            options.append(_any_of(characters) + _from(text, start + len(folded)))
        elif folded.startswith(text[start:]):
            options.append(_any_of(characters))
    return _either(options)


@cache
def _several() -> dict[str, str]:
    """The characters that fold to several, by what they fold to."""
    return {folded: characters for folded, characters in unfolded().items() if len(folded) > 1}


def _any_of(characters: str) -> str:
    return _either([_RESERVED.sub(r"\\\g<0>", character) for character in characters])


def _either(options: list[str]) -> str:
    return options[0] if len(options) == 1 else f"({'|'.join(options)})"

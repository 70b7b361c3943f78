"""A `where` as SQL: an expression over the rows of pictures, every value bound."""

from __future__ import annotations

import sys
from math import isfinite
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt
from lookalike.stores import where as positions
from lookalike.stores.records import check_condition
from lookalike.stores.sqlite import schema
from lookalike.stores.where import contains
from lookalike.types import BUILT_IN_FIELDS

if TYPE_CHECKING:
    import sqlite3

    from lookalike.types import Condition, Value, Where

VALUE_TYPES: dict[str, tuple[type, ...]] = {"text": (str,), "integer": (int,), "real": (int, float)}
"""What the values of a field of each type are."""

SOUND_FIELD = " AND ".join(
    [
        schema.sound(schema.NAME),
        # Not `IN`, which would make a table of three values first.
        "(type = 'text' OR type = 'integer' OR type = 'real')",
        *(f"name != '{name}'" for name in BUILT_IN_FIELDS),
    ]
)
"""Which lines of the table of fields are sound, in SQL."""

_FIELDS = f"SELECT name, type, {SOUND_FIELD} FROM fields ORDER BY name"

LARGEST = sys.float_info.max
_UNSOUND = {"text": ("< ''", ">= x''"), "integer": (f"< -{LARGEST}", f"> {LARGEST}")}
"""Where values lie that are not of a type, in SQLite's order: numbers, then texts, then blobs."""


def fields(connection: sqlite3.Connection) -> dict[str, str]:
    """The fields of a gallery, with their types.

    Raises:
        StoreCorrupt: they are of kinds there are not.
    """
    return BUILT_IN_FIELDS | dict(own_fields(connection))


class Kinds(dict[str, tuple[type, ...]]):
    """What the values of each field of the metadata are, as far as it came up.

    A field keeps its type, and others only come in: so it may be used for as long as a gallery is the same.
    """

    def require(self, connection: sqlite3.Connection, field: str, value: object) -> None:
        """Raise `StoreCorrupt` unless the field has such values, by what the gallery says now."""
        self.update((name, VALUE_TYPES[type_]) for name, type_ in own_fields(connection))
        if type(value) not in self.get(field, ()) or (isinstance(value, float) and not isfinite(value)):
            raise StoreCorrupt(f"the gallery's field {field!r:.60} holds {value!r:.60}; {schema.ADVICE}")


def own_fields(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The fields of the pictures' metadata, with their types, sorted."""
    lines = connection.execute(_FIELDS).fetchall()
    schema.require(lines, "fields")
    return [(name, type_) for name, type_, _ in lines]


def compiled(connection: sqlite3.Connection, where: Where) -> tuple[str, list[Value]]:
    """An SQL expression over `row`, as of `expression`, for this gallery.

    Raises:
        FilterError: as for `expression`.
        StoreCorrupt: a field that is compared has values that are not of its type, so that it would be
            answered wrongly.
    """
    types = fields(connection)
    compared = expression(where, types)
    named = {condition.field for condition in where}
    areas = {"latitude", "longitude"} if named - types.keys() else set[str]()
    for field in (named | areas) & types.keys() - {"folder", "name"}:
        _require_values(connection, field, types[field])
    return compared


def _require_values(connection: sqlite3.Connection, field: str, type_: str) -> None:
    own, name = ("pictures", field) if field in BUILT_IN_FIELDS else ("facts", "value")
    among = "TRUE" if field in BUILT_IN_FIELDS else "field = ?"
    tests = _UNSOUND["text" if type_ == "text" else "integer"]
    found = connection.execute(
        "SELECT "
        + " OR ".join(f"EXISTS (SELECT 1 FROM {own} WHERE {among} AND {name} {test})" for test in tests),
        [] if field in BUILT_IN_FIELDS else [field] * len(tests),
    ).fetchone()
    if found[0]:
        raise StoreCorrupt(f"the gallery's field {field} has values that are not {type_}; {schema.ADVICE}")


def expression(where: Where, types: dict[str, str]) -> tuple[str, list[Value]]:
    """An SQL expression over `row`, and the values bound in it.

    A picture that lacks a field passes `!=` and nothing else, as in `lookalike.stores.where`, which fits the
    values to their fields.

    Raises:
        FilterError: a field there is not, an operator that does not suit it, a value of another type.
    """
    parts: list[str] = []
    values: list[Value] = []
    for condition in where:
        check_condition(condition, types)
        test = _test if condition.field in types else _area
        tests = [test(condition, value) for value in condition.values]
        parts.append("(" + (" OR ".join(sql for sql, _ in tests) or "FALSE") + ")")
        values += [value for _, bound in tests for value in bound]
    return " AND ".join(parts) or "TRUE", values


def values(connection: sqlite3.Connection, field: str, k: int) -> list[Value]:
    """The k most frequent values of a field, of equally many the smaller first."""
    column, source, bound = _column(field)
    lines = connection.execute(
        f"SELECT {column} {source} GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT ?", [*bound, k]
    )
    found = [value for (value,) in lines]
    known = BUILT_IN_FIELDS | dict(own_fields(connection))
    if any(type(value) not in VALUE_TYPES[known[field]] for value in found):
        raise StoreCorrupt(f"the gallery's field {field!r:.60} has values of another type; {schema.ADVICE}")
    return found


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that expressions call."""
    connection.create_function("contains", 2, contains, deterministic=True)
    connection.create_function("within", 4, _within, deterministic=True)


def _test(condition: Condition, value: Value) -> tuple[str, list[Value]]:
    field, operator, _ = condition
    if operator == "~":
        return _containing(field, str(value))
    if field == "folder":
        return _folder(str(value), outside=operator == "!=")
    if field in BUILT_IN_FIELDS:
        return f"row IN (SELECT row FROM pictures WHERE {field} {operator} ?)", [value]
    if field == "taken":
        # As much of the time as was given is compared, as in `lookalike.stores.where`.
        return _taken(operator, str(value))
    if operator == "!=":
        return "row NOT IN (SELECT row FROM facts WHERE field = ? AND value = ?)", [field, value]
    return f"row IN (SELECT row FROM facts WHERE field = ? AND value {operator} ?)", [field, value]


def _column(field: str) -> tuple[str, str, list[Value]]:
    """Where the values of a field are: an expression, the tables it is taken from, the values bound there."""
    if field == "folder":
        # What is before the last slash: the trailing characters that are none are cut off.
        return "rtrim(rtrim(id, replace(id, '/', '')), '/')", "FROM paths WHERE status = 0", []
    if field in BUILT_IN_FIELDS:
        return field, "FROM pictures WHERE TRUE", []
    return "value", "FROM facts WHERE field = ?", [field]


def _containing(field: str, text: str) -> tuple[str, list[Value]]:
    column, source, bound = _column(field)
    return f"row IN (SELECT row {source} AND contains({column}, ?))", [*bound, text]


def _within(kind: str, text: str, latitude: object, longitude: object) -> bool:
    """Whether a position is in an area: what the SQL function `within` does."""
    return positions.area_contains(positions.area(kind, text), latitude, longitude)


def _area(condition: Condition, value: Value) -> tuple[str, list[Value]]:
    """By the box around it, for which there is an index, and then exactly."""
    area = positions.area(condition.field, str(value))
    south, west, north, east = positions.bounds(area)
    join = "OR" if west > east else "AND"
    rows = (
        "(SELECT row FROM facts AS a JOIN facts AS b USING (row) WHERE a.field = 'latitude' "
        "AND a.value BETWEEN ? AND ? AND b.field = 'longitude' "
        f"AND (b.value >= ? {join} b.value <= ?) AND within(?, ?, a.value, b.value))"
    )
    negation = "NOT " if condition.operator == "!=" else ""
    return f"row {negation}IN {rows}", [south, north, west, east, condition.field, str(value)]


def _taken(operator: str, time: str) -> tuple[str, list[Value]]:
    positive = "=" if operator == "!=" else operator
    rows = f"(SELECT row FROM facts WHERE field = 'taken' AND substr(value, 1, ?) {positive} ?)"
    return f"row {'NOT ' if operator == '!=' else ''}IN {rows}", [len(time), time]


def _folder(folder: str, *, outside: bool) -> tuple[str, list[Value]]:
    """Itself and below, as a range of ids: `0` follows `/` in the order of code points."""
    # The root is everything with a relative path, all but what is below `/`.
    outside ^= not folder
    prefix = folder.rstrip("/")
    inside = "IN (SELECT row FROM paths WHERE status = 0 AND id >= ? AND id < ?)"
    return f"row {'NOT ' if outside else ''}{inside}", [f"{prefix}/", f"{prefix}0"]

"""The user's metadata: a CSV or TSV table with one row a picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from lookalike.errors import UsageError
from lookalike.tables.addresses import existing_column
from lookalike.tables.rows import open_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from lookalike.types import Value

PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "id", "url")
"""The columns that may hold the path, in the order they are looked for."""


# Leading zeros mean a code (a postcode, an article number), which is text.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?=\.?\d)(?!0\d)\d*(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_LONGEST = 18  # digits that fit in 64 bits


def read_metadata(file: Path, column: str | None = None) -> dict[str, dict[str, Value]]:
    """Read a CSV or TSV table with a column for the path, one row a picture.

    A column whose every value is an integer, or a number, is read as such; an empty cell is no
    value.

    Args:
        file: the table, with a header line; UTF-8, with or without a byte order mark.
        column: which one has the path; default one with a usual name.

    Returns:
        For each path as the table has it, its fields.

    Raises:
        UsageError: the table can't be read, or has no column for the path.
    """
    table = open_csv(file)
    names = [name for name in table.columns if name]
    column = _path_column(file, names) if column is None else existing_column(names, column)
    others = [name for name in names if name != column]
    rows: dict[str, tuple[str | None, ...]] = {}
    for cells in table.rows([column, *others]):
        path, *rest = cast("tuple[str | None, ...]", cells)
        if path:
            rows[path] = tuple(rest)
    types = [_type_of(row[place] for row in rows.values()) for place in range(len(others))]
    return {
        path: {name: read(cell) for name, read, cell in zip(others, types, row, strict=True) if cell}
        for path, row in rows.items()
    }


def _path_column(file: Path, names: Sequence[str]) -> str:
    lower = {name.lower(): name for name in reversed(names)}
    column = next((lower[name] for name in PATH_COLUMNS if name in lower), None)
    if column is None:
        raise UsageError(
            f"{file}: no column for the path; expected one of {', '.join(PATH_COLUMNS)}, "
            f"found {', '.join(names) or 'an empty file'}"
        )
    return column


def _type_of(values: Iterable[str | None]) -> Callable[[str], Value]:
    filled = [value for value in values if value]
    if filled and all(_INTEGER.fullmatch(value) for value in filled):
        # A longer number is a code: as a float it would lose its last digits.
        return int if all(len(value) <= _LONGEST for value in filled) else str
    return float if filled and all(_NUMBER.fullmatch(value) for value in filled) else str

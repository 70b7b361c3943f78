"""The user's metadata: a CSV or TSV table with one row a picture."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lookalike.types import Value

PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "id", "url")
"""The columns that may hold the path, in the order they are looked for."""


# Leading zeros mean a code (a postcode, an article number), which is text.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?=\.?\d)(?!0\d)\d*(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_LONGEST = 18  # digits that fit in 64 bits


def read_metadata(file: Path) -> dict[str, dict[str, Value]]:
    """Read a CSV or TSV table with a column for the path, one row a picture.

    A column whose every value is an integer, or a number, is read as such; an empty cell is no
    value.

    Args:
        file: the table, with a header line; UTF-8, with or without a byte order mark.

    Returns:
        For each path as the table has it, its fields.

    Raises:
        UsageError: the table can't be read, or has no column for the path.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            dialect = csv.excel_tab if file.suffix.lower() == ".tsv" else csv.excel
            reader = csv.DictReader(lines, dialect=dialect, strict=True)
            names = [name for name in reader.fieldnames or () if name]
            lower = {name.lower(): name for name in reversed(names)}
            column = next((lower[name] for name in PATH_COLUMNS if name in lower), None)
            if column is None:
                raise UsageError(
                    f"{file}: no column for the path; expected one of {', '.join(PATH_COLUMNS)}, "
                    f"found {', '.join(names) or 'an empty file'}"
                )
            rows = {row[column]: row for row in reader if row[column]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file}: can't be read as a table: {error}") from error
    types = {n: _type_of(row.get(n) for row in rows.values()) for n in names if n != column}
    return {path: {n: read(row[n]) for n, read in types.items() if row.get(n)} for path, row in rows.items()}


def _type_of(values: Iterable[str | None]) -> Callable[[str], Value]:
    filled = [value for value in values if value]
    if filled and all(_INTEGER.fullmatch(value) for value in filled):
        # A longer number is a code: as a float it would lose its last digits.
        return int if all(len(value) <= _LONGEST for value in filled) else str
    return float if filled and all(_NUMBER.fullmatch(value) for value in filled) else str

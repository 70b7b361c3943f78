"""The user's metadata: a CSV or TSV table with one row a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lookalike.errors import UsageError
from lookalike.sources.tables.addresses import existing_column
from lookalike.sources.tables.cells import reader
from lookalike.sources.tables.rows import open_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lookalike.sources.tables.cells import Reader
    from lookalike.types import Value

PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "id", "url")
"""The columns that may hold the path, in the order they are looked for."""


def read_metadata(file: Path, column: str | None = None) -> dict[str, dict[str, Value]]:
    """Read a CSV or TSV table with a column for the path, one row a picture.

    Which cells are numbers, text or nothing `lookalike.sources.tables.cells` says, for each column as a
    whole.

    Args:
        file: the table, with a header line; UTF-8, with or without a byte order mark.
        column: which one has the path; default one with a usual name.

    Returns:
        For each path as the table has it, its fields.

    Raises:
        UsageError: the table can't be read, has no column for the path, or two columns of one name.
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
    readers = [
        reader((row[place] for row in rows.values()), decimal_comma=table.decimal_comma)
        for place in range(len(others))
    ]
    return {path: dict(_fields(others, readers, row)) for path, row in rows.items()}


def _fields(
    names: Sequence[str], readers: Sequence[Reader], row: Sequence[str | None]
) -> Iterator[tuple[str, Value]]:
    for name, read, cell in zip(names, readers, row, strict=True):
        if cell and (value := read(cell)) is not None:
            yield name, value


def _path_column(file: Path, names: Sequence[str]) -> str:
    lower = {name.lower(): name for name in reversed(names)}
    column = next((lower[name] for name in PATH_COLUMNS if name in lower), None)
    if column is None:
        raise UsageError(
            f"{file}: no column for the path; expected one of {', '.join(PATH_COLUMNS)}, "
            f"found {', '.join(names) or 'an empty file'}"
        )
    return column

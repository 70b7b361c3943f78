"""Pictures that a table names, one a row: addresses of the web or of remote files, or paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike import tables
from lookalike.tables.addresses import addresses, image_column
from lookalike.walk import is_address

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_table(path: str) -> bool:
    """Whether a file is one that `places` can read: no picture is called so."""
    return tables.is_table(Path(path))


def places(path: str, column: str | None = None) -> Iterator[str]:
    """The address, or the absolute path, of each row's picture; "" where a row names none.

    A path is relative to the table's own folder. Of a list of addresses the first is taken.

    Args:
        path: of a `.csv`, `.tsv`, `.txt`, `.jsonl`, `.json` (each also with `.gz`) or `.parquet` file.
        column: which one has them; by default one with a usual name, such as `image` or `url`.

    Raises:
        UsageError: the table can't be read, or it can't be said which column is meant.
        MissingExtra: Parquet without the extra `tables`.
    """
    file = Path(path)
    table = tables.open_table(file)
    for (cell,) in table.rows([image_column(table.columns, column)]):
        place = next(iter(addresses(cell)), "")
        if place and not is_address(place):
            place = os.path.normpath(file.parent / place)
        yield place

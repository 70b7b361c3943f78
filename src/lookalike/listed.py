"""Pictures that a table names, one a row: addresses of the web or of remote files, or paths."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike import remote, tables
from lookalike.tables.addresses import addresses, image_column
from lookalike.walk import is_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.types import Value

_DIGEST = 12  # bytes: two of a hundred million texts have the same one with a chance of 1e-13
_NONE = bytes(_DIGEST)


def require_column(path: str, column: str | None) -> None:
    """Raise `UsageError` where a table can't be read, or it can't be said which column is meant."""
    image_column(tables.open_table(Path(path)).columns, column)


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
        yield _place(cell, file.parent)


def read_metadata(path: str, column: str | None = None) -> dict[str, dict[str, Value]]:
    """The fields of each row of a CSV or TSV table, by the address or path that `places` gives for it.

    Raises:
        UsageError: as for `places`, and as `lookalike.tables.read_metadata` says.
    """
    file = Path(path)
    named = image_column(tables.open_table(file).columns, column)
    fields = tables.read_metadata(file, named)
    return {place: row for cell, row in fields.items() if (place := _place(cell, file.parent))}


def _place(cell: object, folder: Path) -> str:
    found = next(iter(addresses(cell)), "")
    if remote.is_remote(found):
        return remote.spelled(found)
    return found if not found or is_address(found) else os.path.normpath(folder / found)


class Seen:
    """Which texts were met before: a table of their digests, which takes 18 to 36 bytes a text.

    A set of Python's would take 100 MB for a million.
    """

    def __init__(self) -> None:
        self._count = 0
        self._digests = bytearray(_DIGEST << 12)

    def add(self, text: str) -> bool:
        """Note a text; whether it is a new one."""
        if 3 * self._count * _DIGEST > 2 * len(self._digests):
            self._grow()
        return self._put(blake2b(text.encode(), digest_size=_DIGEST).digest())

    def _put(self, digest: bytes) -> bool:
        place = int.from_bytes(digest, "big") * _DIGEST % len(self._digests)
        while (there := self._digests[place : place + _DIGEST]) != digest:
            if there == _NONE:
                self._digests[place : place + _DIGEST] = digest
                self._count += 1
                return True
            place = (place + _DIGEST) % len(self._digests)
        return False

    def _grow(self) -> None:
        before, self._digests, self._count = self._digests, bytearray(2 * len(self._digests)), 0
        for place in range(0, len(before), _DIGEST):
            digest = bytes(before[place : place + _DIGEST])
            if digest != _NONE:
                self._put(digest)

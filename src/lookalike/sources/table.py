"""Pictures that a table names, one a row: addresses of the web or of remote files, or paths."""

from __future__ import annotations

import os
import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import StoreUnavailable
from lookalike.sources import remote, tables
from lookalike.sources.folder import id_of, is_address
from lookalike.sources.tables.addresses import addresses, image_column
from lookalike.system.text import has_user, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.types import Value

USER = "an address with a password in it would be kept in the gallery"
"""Why a picture is refused whose address has a user in it."""

_DIGEST = 12  # bytes: two of a hundred million texts have the same one with a chance of 1e-13
_CACHE = 8192  # KiB


class Row(NamedTuple):
    """A picture that a table names.

    id: the id it is to have.
    address: where it is, if the id leaves out a secret of that; else "".
    refusal: why it is not read; "" if it is.
    """

    id: str
    address: str = ""
    refusal: str = ""


def row_of(place: str, root: str) -> Row:
    """Return what a table's row asks for, from the place that `places` gives for it."""
    id_ = id_of(place, root)
    if not is_address(id_):
        return Row(id_)
    shown = redact(id_)
    if has_user(id_):
        return Row(shown, refusal=USER)
    return Row(id_) if shown == id_ or remote.is_remote(id_) else Row(shown, id_)


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
        UsageError: as for `places`, and as `lookalike.sources.tables.read_metadata` says.
    """
    file = Path(path)
    named = image_column(tables.open_table(file).columns, column)
    fields = tables.read_metadata(file, named)
    places_of = {cell: _place(cell, file.parent) for cell in fields}
    return {redact(place): _redacted(fields[cell]) for cell, place in places_of.items() if place}


def _redacted(fields: dict[str, Value]) -> dict[str, Value]:
    """The fields of a row: addresses among them are kept and shown, too."""
    return {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}


def _place(cell: object, folder: Path) -> str:
    found = next(iter(addresses(cell)), "")
    if remote.is_remote(found):
        return remote.spelled(found)
    return found if not found or is_address(found) else os.path.normpath(folder / found)


class Seen:
    """Tell which texts were met before, by their digests in a temporary SQLite table; close it in the end.

    The table lies on the disk but for a cache of 8 MiB, whatever the number of texts; SQLite deletes it.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)  # a temporary file
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE}"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE digests (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("BEGIN")

    def add(self, text: str) -> bool:
        """Note a text and return whether it is a new one.

        Raises:
            StoreUnavailable: the temporary folder can't be written to.
        """
        digest = blake2b(text.encode(), digest_size=_DIGEST).digest()
        try:
            done = self._connection.execute("INSERT OR IGNORE INTO digests VALUES (?)", (digest,))
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(
                f"the addresses of the table can't be kept in the temporary folder: {error}; make room "
                "there, or name another folder by SQLITE_TMPDIR"
            ) from error
        return done.rowcount > 0

    def close(self) -> None:
        """Delete the table."""
        self._connection.close()

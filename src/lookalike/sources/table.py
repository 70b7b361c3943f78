"""Pictures that a table names, one a row: addresses of the web or of remote files, or paths."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
_NONE = bytes(_DIGEST)


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

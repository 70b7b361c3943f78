"""Making a gallery's file: it has its name once it is whole, and safe on disk."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt, StoreUnavailable
from lookalike.stores.sqlite import codec, schema
from lookalike.stores.sqlite.database import connected
from lookalike.stores.sqlite.file import clear

if TYPE_CHECKING:
    from lookalike.system.directory import Directory
    from lookalike.types import Header


def create(directory: Directory, name: str, header: Header, page_size: int | None = None) -> None:
    """Make a new gallery file. The caller holds the right to write.

    Args:
        directory: the gallery's folder, which is there.
        name: of the file.
        header: what the gallery says of itself.
        page_size: in bytes; None for the one that suits the vectors.

    Raises:
        StoreUnavailable: the folder can't be written.
        StoreCorrupt: a link or the like has one of the names it needs.
        UsageError: the vectors are too long to be kept.
    """
    codec.check_dim(header.space.dim)
    temporary = f"{name}.tmp"
    try:
        clear(directory, temporary)
        directory.create(temporary)
        _fill(directory, temporary, header, page_size or schema.page_size(_row_bytes(header)))
        # What lies beside a file that is gone would be taken for the new one's.
        clear(directory, name)
        directory.replace(name, temporary)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError, StoreCorrupt):
            clear(directory, temporary)
        raise StoreUnavailable(
            f"a gallery can't be written to {directory.path} ({error}); make room there, or keep it "
            "elsewhere with --gallery FOLDER"
        ) from error


def _row_bytes(header: Header) -> int:
    return header.space.dim * (2 if header.space.row_type == "float16" else 4)


def _fill(directory: Directory, name: str, header: Header, page_size: int) -> None:
    connection = connected(directory.path / name, "rw")
    try:
        connection.execute(f"PRAGMA page_size = {page_size}")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise sqlite3.OperationalError("its log could not be begun")
        schema.create(connection)
        connection.execute("BEGIN")
        connection.execute("INSERT INTO header VALUES (?)", (codec.header_text(header),))
        connection.execute(
            "INSERT INTO live (generation, commits, count, token) VALUES (?, 0, 0, ?)",
            (os.urandom(8).hex(), os.urandom(16).hex()),
        )
        connection.executemany("INSERT INTO classes VALUES (?, ?, ?)", codec.class_rows(header.classes))
        connection.execute("INSERT INTO fields VALUES ('taken', 'text')")
        connection.execute("COMMIT")
        # What closing does if this fails it does silently, and the file would go without its log.
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("its log could not be merged")
    finally:
        connection.close()

"""The formats of a gallery's tables: a function for each that makes it of the one before.

An older gallery is read as it is, and brought up to date by the first that writes to it. A new gallery goes
through the same functions, so that both have the same tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

FORMAT = 2
"""The format of a gallery that is written today."""


def version(connection: sqlite3.Connection) -> int:
    """Return the format of the tables in this connection's snapshot."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables of an older gallery up to date, all of it in one transaction.

    Args:
        connection: not in a transaction; the caller holds the right to write.
    """
    if version(connection) >= FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        advance(connection, FORMAT)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def advance(connection: sqlite3.Connection, target: int) -> None:
    """Go through the formats after the present one up to `target`, within a transaction."""
    for number in range(version(connection) + 1, target + 1):
        _MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version = {number}")


def _note_decoders_and_identity(connection: sqlite3.Connection) -> None:
    """Make format 2 of format 1.

    Pictures: the version of the decoder that read them (0 before versions were noted), their format, and
    which fields are their own (a bit for each of `PICTURE_FIELDS`; before, that was the first alone).
    The gallery: an identity that outlives a rebuilding, and the end of the last complete indexing.
    """
    connection.execute("ALTER TABLE pictures ADD COLUMN decoder INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE pictures ADD COLUMN format TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE pictures ADD COLUMN from_picture INTEGER NOT NULL DEFAULT 1")
    connection.execute("CREATE INDEX pictures_decoder ON pictures (decoder, format)")
    connection.execute("ALTER TABLE live ADD COLUMN token TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE live ADD COLUMN indexed_ns INTEGER NOT NULL DEFAULT 0")
    # Whoever remembered an older gallery did so by its generation.
    connection.execute("UPDATE live SET token = generation")


_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {2: _note_decoders_and_identity}

"""Building a gallery anew beside the one in use, and putting it in its place."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import StoreCorrupt
from lookalike.indexes.cache import Cache
from lookalike.stores.sqlite import database, reading, rows, writing

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from lookalike.stores.sqlite.database import Identity
    from lookalike.stores.sqlite.store import SqliteStore
    from lookalike.types import Folder, Header


class Carried(NamedTuple):
    """What a new gallery takes over from the one before."""

    removed: list[str]
    folders: list[Folder]
    fields: list[tuple[str, str]]
    identity: Identity


def beside(store: SqliteStore, header: Header) -> SqliteStore:
    """A store beside another: what an earlier attempt left if its header is equal, or a new one."""
    path = store.folder / f"{database.FILE}.new"
    kind = type(store)
    if path.is_file():
        with suppress(StoreCorrupt):
            left = kind(store.folder, file=path.name, lock=store.lock)
            if left.header == header:
                return left
            left.close()
        database.remove(path)
    Cache(store.folder / f"{path.name}.cache").clear()
    with store.database.reading() as connection:
        # One database takes another's content only where their pages have one size.
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    database.create(path, rows.header_text(header), rows.class_rows(header.classes), page_size)
    return kind(store.folder, file=path.name, lock=store.lock)


def carried(connection: sqlite3.Connection) -> Carried:
    """What to take over."""
    fields = connection.execute("SELECT name, type FROM fields ORDER BY name").fetchall()
    identity = database.identity(connection)
    return Carried(reading.removed(connection), reading.folders(connection), fields, identity)


def carry(connection: sqlite3.Connection, what: Carried) -> None:
    """Take it over."""
    writing.remember_removed(connection, what.removed)
    writing.set_folders(connection, what.folders)
    connection.executemany("INSERT OR REPLACE INTO fields VALUES (?, ?)", what.fields)
    connection.execute("UPDATE live SET token = ?, indexed_ns = ?", what.identity)


def take_over(path: Path, new: Cache, old: Cache) -> None:
    """Once the new content is in place: its codes take the place of the old ones, its file goes."""
    database.remove(path)
    old.clear()
    with suppress(OSError):
        new.folder.rename(old.folder)

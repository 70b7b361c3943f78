"""Building a gallery anew beside the one in use, and putting it in its place."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import StoreCorrupt
from lookalike.indexes.cache import Cache
from lookalike.stores.sqlite import database, filters, making, reading, writing
from lookalike.stores.sqlite.database import live
from lookalike.stores.sqlite.file import clear

if TYPE_CHECKING:
    import sqlite3

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
    kind, name = type(store), f"{database.FILE}.new"
    # A journal beside it is not looked into: SQLite would do what it says.
    if store.directory.status(name) is not None and store.directory.status(f"{name}-journal") is None:
        with suppress(StoreCorrupt):
            left = kind(store.folder, file=name, lock=store.lock)
            if left.header == header:
                return left
            left.close()
    clear(store.directory, name)
    Cache(store.directory.child(f"{name}.cache")).clear()
    with store.database.reading() as connection:
        # One database takes another's content only where their pages have one size.
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    making.create(store.directory, name, header, page_size)
    return kind(store.folder, file=name, lock=store.lock)


def carried(connection: sqlite3.Connection) -> Carried:
    """What to take over."""
    identity = database.identity(connection)
    fields = filters.own_fields(connection)
    return Carried(reading.removed(connection), reading.folders(connection), fields, identity)


def carry(connection: sqlite3.Connection, what: Carried) -> None:
    """Take it over."""
    writing.remember_removed(connection, what.removed)
    writing.set_folders(connection, what.folders)
    connection.executemany("INSERT OR REPLACE INTO fields VALUES (?, ?)", what.fields)
    connection.execute("UPDATE live SET token = ?, indexed_ns = ?", what.identity)


def take_over(store: SqliteStore, new: SqliteStore) -> None:
    """Once the new content is in place: its codes take the place of the old ones, its file goes."""
    clear(store.directory, new.path.name)
    store.cache.clear()
    with suppress(OSError):
        store.directory.move_folder(new.cache.folder.name, store.cache.folder.name)
    with store.database.reading() as connection:
        now = live(connection)
    head = store.cache.head(now.generation, store.header.space.dim)
    if head is not None:
        store.cache.publish(replace(head, commits=now.commits))

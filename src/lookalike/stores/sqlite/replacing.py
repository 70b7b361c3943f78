"""Building a gallery anew beside the one in use to take its place, and deleting a gallery.

Files are deleted by their names, and nothing else that may lie beside them.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import StoreCorrupt, StoreUnavailable
from lookalike.indexes.cache import Cache
from lookalike.sources.folder import GALLERIES
from lookalike.stores.sqlite import database, filters, tables
from lookalike.stores.sqlite import database as making
from lookalike.stores.sqlite.database import live
from lookalike.stores.sqlite.file import File, WriterLock, clear, directory_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from lookalike.stores.sqlite.database import Identity
    from lookalike.stores.sqlite.store import SqliteStore
    from lookalike.system.directory import Directory
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
    return Carried(tables.removed(connection), tables.folders(connection), fields, identity)


def carry(connection: sqlite3.Connection, what: Carried) -> None:
    """Take it over."""
    tables.remember_removed(connection, what.removed)
    tables.set_folders(connection, what.folders)
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


_LOCK = "lock"


def delete(folder: Path) -> None:
    """Delete the gallery in a folder, and the folder if nothing else is in it.

    Raises:
        NotFound: there is none.
        StoreBusy: another process is writing to it.
        StoreCorrupt: the file that is called as ours would be is none of ours.
        StoreUnavailable: the folder can't be written, or the file not be read.
    """
    directory = directory_of(folder)
    with closing(File(directory, database.FILE)) as file:
        file.require_ours("nothing was deleted")
    with WriterLock(directory, _LOCK).held():
        try:
            _delete_files(directory)
        except OSError as error:
            raise StoreUnavailable(
                f"the gallery in {folder} can't be deleted ({error.strerror}); make the folder writable"
            ) from error
    # The folder is the user's own where something else is in it, and so is the one around it.
    with suppress(OSError):
        directory.remove()
        if folder.parent.name == GALLERIES:
            folder.parent.rmdir()


def _delete_files(directory: Directory) -> None:
    unfinished = f"{database.FILE}.new"
    for name in ("cache", f"{unfinished}.cache"):
        Cache(directory.child(name)).clear()
    clear(directory, unfinished)
    for name in (f"{unfinished}.tmp", f"{database.FILE}.tmp"):
        clear(directory, name)
    # The gallery itself last: what is left after a failure is still a gallery that can be deleted.
    clear(directory, database.FILE)
    directory.unlink(_LOCK)

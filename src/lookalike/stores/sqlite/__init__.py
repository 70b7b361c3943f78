"""The embedded store: a folder with one SQLite file, and a cache of codes that can be rebuilt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.stores.sqlite import library

library.load()

from lookalike.stores.sqlite.database import FILE  # noqa: E402  # they import sqlite3
from lookalike.stores.sqlite.store import SqliteStore  # noqa: E402

if TYPE_CHECKING:
    from lookalike.types import Header

__all__ = ["SqliteStore", "delete_store", "exists", "open_store"]


def open_store(address: str, *, create: Header | None = None) -> SqliteStore:
    """Open the gallery in a folder; see `lookalike.stores.open_store`."""
    return SqliteStore(Path(address.removeprefix("sqlite:")), create=create)


def exists(address: str) -> bool:
    """Whether the folder holds a gallery, or what has its name; to open it tells which."""
    return os.path.lexists(Path(address.removeprefix("sqlite:")) / FILE)


def delete_store(address: str) -> None:
    """Delete the gallery in a folder, and the folder if nothing else is in it.

    Raises:
        NotFound: there is none.
        StoreBusy: another process is writing to it.
        StoreUnavailable: the folder can't be written.
    """
    from lookalike.stores.sqlite import replacing

    replacing.delete(Path(address.removeprefix("sqlite:")))

"""Deleting a gallery: its own files by their names, and nothing else that may lie beside them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import NotFound, StoreCorrupt, StoreUnavailable
from lookalike.indexes.cache import Cache
from lookalike.stores.sqlite import database, schema
from lookalike.stores.sqlite.lock import WriterLock
from lookalike.walk import GALLERIES

if TYPE_CHECKING:
    from pathlib import Path

_LOCK = "lock"
_HEAD = 100  # bytes of an SQLite file's head, in which is what it is, and whose
_KIND, _OWNER = slice(0, 16), slice(68, 72)


def delete(folder: Path) -> None:
    """Delete the gallery in a folder, and the folder if nothing else is in it.

    Raises:
        NotFound: there is none.
        StoreBusy: another process is writing to it.
        StoreCorrupt: the file that is called as ours would be is none of ours.
        StoreUnavailable: the folder can't be written, or the file not be read.
    """
    path = folder / database.FILE
    if not path.is_file():
        raise NotFound(f"there is no gallery in {folder}")
    _require_ours(path)
    with WriterLock(folder / _LOCK).held():
        try:
            _delete_files(path)
        except OSError as error:
            raise StoreUnavailable(
                f"the gallery in {folder} can't be deleted ({error.strerror}); make the folder writable"
            ) from error
    # The folder is the user's own where something else is in it, and so is the one around it.
    with suppress(OSError):
        folder.rmdir()
        if folder.parent.name == GALLERIES:
            folder.parent.rmdir()


def _require_ours(path: Path) -> None:
    """Raise `StoreCorrupt` for a file that lookalike did not make; a damaged or newer one may go."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise StoreUnavailable(f"{path} can't be read ({error.strerror}); nothing was deleted") from error
    owner = schema.APPLICATION_ID.to_bytes(4, "big")
    if (head[_KIND], head[_OWNER]) != (b"SQLite format 3\0", owner):
        raise StoreCorrupt(f"{path} is not a gallery of lookalike; nothing was deleted")


def _delete_files(path: Path) -> None:
    unfinished = path.with_name(f"{path.name}.new")
    for cache in (Cache(path.with_name("cache")), Cache(path.with_name(f"{unfinished.name}.cache"))):
        cache.clear()
    database.remove(unfinished)
    path.with_name(f"{path.name}.tmp").unlink(missing_ok=True)
    # The gallery itself last: what is left after a failure is still a gallery that can be deleted.
    database.remove(path)
    path.with_name(_LOCK).unlink(missing_ok=True)

"""Deleting a gallery: its own files by their names, and nothing else that may lie beside them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import NotFound, StoreUnavailable
from lookalike.indexes.cache import Cache
from lookalike.stores.sqlite import database
from lookalike.stores.sqlite.lock import WriterLock
from lookalike.walk import GALLERIES

if TYPE_CHECKING:
    from pathlib import Path

_LOCK = "lock"


def delete(folder: Path) -> None:
    """Delete the gallery in a folder, and the folder if nothing else is in it.

    Raises:
        NotFound: there is none.
        StoreBusy: another process is writing to it.
        StoreUnavailable: the folder can't be written.
    """
    path = folder / database.FILE
    if not path.is_file():
        raise NotFound(f"there is no gallery in {folder}")
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


def _delete_files(path: Path) -> None:
    unfinished = path.with_name(f"{path.name}.new")
    for cache in (Cache(path.with_name("cache")), Cache(path.with_name(f"{unfinished.name}.cache"))):
        cache.clear()
        with suppress(OSError):
            cache.folder.rmdir()
    database.remove(unfinished)
    path.with_name(f"{path.name}.tmp").unlink(missing_ok=True)
    # The gallery itself last: what is left after a failure is still a gallery that can be deleted.
    database.remove(path)
    path.with_name(_LOCK).unlink(missing_ok=True)

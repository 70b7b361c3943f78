"""Deleting a gallery: its own files by their names, and nothing else that may lie beside them."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING

from lookalike.errors import StoreUnavailable
from lookalike.indexes.cache import Cache
from lookalike.sources.folder import GALLERIES
from lookalike.stores.sqlite import database
from lookalike.stores.sqlite.file import File, clear, directory_of
from lookalike.stores.sqlite.lock import WriterLock

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.system.directory import Directory

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

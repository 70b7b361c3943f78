"""The SQLite file of a gallery, looked at before SQLite may open it.

SQLite acts on what lies beside a file before a line of it was read: it rolls back a journal, and deletes
another file that the journal names; it follows a link, and writes where that leads. A gallery somebody else
made may hold either. So nothing is opened unless it is a plain file whose header is that of a gallery in WAL
mode, with no journal beside it. What somebody changes between that look and the opening is not seen.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.errors import NotFound, StoreCorrupt, StoreUnavailable
from lookalike.sources.folder import GALLERIES
from lookalike.stores.sqlite import log
from lookalike.system import forks, posix
from lookalike.system.directory import Directory, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

APPLICATION_ID = 0x6C6F6F6B  # "look"

_HEAD = 100  # bytes of an SQLite file's header
_KIND, _VERSIONS, _OWNER = slice(0, 16), slice(18, 20), slice(68, 72)
_SQLITE = b"SQLite format 3\0"
_WAL_MODE = b"\2\2"  # the versions of its form that a reader and a writer must know
_INDEX_BYTES = 32768  # of the log's index, at least, while a file is open
_SHARED = (510, (1 << 30) + 2)  # length and start of what SQLite locks in a file while it has it open
_BESIDE = ("-journal", "-wal", "-shm")


def directory_of(folder: Path) -> Directory:
    """Return a gallery's folder; `.lookalike` and what is in it may be no links, the path to it may be."""
    if folder.parent.name == GALLERIES:
        return Directory(folder.parent.parent, GALLERIES, folder.name)
    return Directory(folder)


def clear(directory: Directory, name: str) -> None:
    """Delete an SQLite file unopened, and before it what lies beside it.

    A log that outlived its file would be taken for that of the next one.

    Raises:
        NoPlainFile: one of them is a link or no plain file.
        OSError: the folder can't be written.
    """
    for suffix in (*_BESIDE, ""):
        directory.unlink(name + suffix)


class File:
    """A gallery's SQLite file, held open so that it is known which one it is.

    Args:
        directory: the folder it is in.
        name: of the file.

    Raises:
        NotFound: there is no such file.
        StoreCorrupt: it is a link, or no gallery of ours.
        StoreUnavailable: it can't be read.
    """

    def __init__(self, directory: Directory, name: str) -> None:
        self.directory, self.name = directory, name
        self.path = directory.path / name
        try:
            status = directory.status(name)
            if status is None:
                raise NotFound(f"there is no gallery in {directory.path}")
            self.refusal = self._refusal(status)
            self._held = _hold(directory, name, os.O_RDONLY if self.refusal else os.O_RDWR)
        except OSError as error:
            raise StoreUnavailable(f"{self.path} can't be read ({error.strerror or error})") from error
        self.close: Callable[[], object] = weakref.finalize(self, _release, self._held)

    def require_safe(self) -> None:
        """Make sure that SQLite finds nothing in the folder to act on but a gallery and its log.

        Raises:
            StoreCorrupt: there is something else, or the file is no gallery of ours.
            StoreUnavailable: the file is not the one any more that was opened.
        """
        status, *beside = self.directory.statuses(self.name + suffix for suffix in ("", *_BESIDE))
        self._require_same(status)
        self._require_unshared(dict(zip(_BESIDE, beside, strict=True)))
        self.require_ours()
        if self._held.head()[_VERSIONS] != _WAL_MODE:
            raise StoreCorrupt(
                f"{self.path} is not in the mode in which lookalike writes galleries, and was not opened; if "
                "you copied it with SQLite's own tools, run `PRAGMA journal_mode = WAL` on it with them"
            )

    def require_current(self) -> None:
        """Make sure that the file is still the one that was opened.

        Raises:
            StoreUnavailable: it was deleted, or another one has its place.
        """
        self._require_same(self.directory.status(self.name))

    def _require_same(self, status: os.stat_result | None) -> None:
        if status is None:
            raise StoreUnavailable(f"{self.path} was deleted meanwhile; nothing can be written to it")
        if (status.st_dev, status.st_ino) != self._held.key:
            raise StoreUnavailable(f"{self.path} was replaced by another file meanwhile; open it again")

    def _require_unshared(self, beside: Mapping[str, os.stat_result | None]) -> None:
        for suffix, status in beside.items():
            if status is not None and suffix == "-journal":
                raise StoreCorrupt(
                    f"there is a journal beside the gallery, {self.path}-journal: lookalike leaves none, and "
                    "it could make SQLite change or delete other files of yours; nothing was opened. Delete "
                    "it, and open the gallery again"
                )
            if status is not None and status.st_nlink > 1 and not self.refusal:
                raise StoreCorrupt(shared(self.path.with_name(self.name + suffix), status))

    def require_ours(self, consequence: str = "nothing in it was used") -> None:
        """Make sure by its header that lookalike made the file, whatever became of it.

        Args:
            consequence: what is said to have become of it otherwise.

        Raises:
            StoreCorrupt: it did not.
        """
        head = self._held.head()
        if (head[_KIND], head[_OWNER]) != (_SQLITE, APPLICATION_ID.to_bytes(4, "big")):
            raise StoreCorrupt(
                f"{self.path} is not a gallery of lookalike; {consequence}. If it was one, it is damaged: "
                "restore a copy, or delete the file and index again"
            )

    def log_bytes(self) -> int:
        """Return how long the log beside the file is."""
        status = self.directory.status(f"{self.name}-wal")
        return 0 if status is None else status.st_size

    def is_shared(self) -> bool:
        """Whether another process may have the file open, or a log is left of one that had."""
        index = self.directory.status(f"{self.name}-shm")
        return self.log_bytes() > 0 or (index is not None and index.st_size >= _INDEX_BYTES)

    def _refusal(self, status: os.stat_result) -> str:
        """Say why the gallery can't be written; nothing where it can."""
        if not (os.access(self.directory.path, os.W_OK) and os.access(self.path, os.W_OK)):
            return f"{self.directory.path} can't be written; keep the gallery elsewhere with --gallery FOLDER"
        return shared(self.path, status) if status.st_nlink > 1 else ""


@dataclass(slots=True)
class _Held:
    """Descriptors of one file, for all that have it open in this process.

    The system ends a process's locks on a file when the process closes any descriptor of it, and SQLite's are
    among them: so these are closed by the last user only.
    """

    key: tuple[int, int]
    descriptors: list[int] = field(default_factory=list)
    users: int = 0

    def head(self) -> bytes:
        return os.pread(self.descriptors[0], _HEAD, 0)


_mutex = forks.lock()
_files: dict[tuple[int, int], _Held] = {}
_released: deque[_Held] = deque()


def _hold(directory: Directory, name: str, flags: int) -> _Held:
    try:
        with _mutex:
            return _held_now(directory, name, flags)
    finally:
        _sweep()


def _held_now(directory: Directory, name: str, flags: int) -> _Held:
    status = directory.status(name)
    held = None if status is None else _files.get((status.st_dev, status.st_ino))
    if held is None:
        descriptor = directory.open(name, flags)
        opened = os.fstat(descriptor)
        key = (opened.st_dev, opened.st_ino)
        held = _files.setdefault(key, _Held(key))
        held.descriptors.append(descriptor)
        if flags == os.O_RDWR:
            _clear_foreign_log(directory, name, descriptor)
    held.users += 1
    return held


def _clear_foreign_log(directory: Directory, name: str, descriptor: int) -> None:
    """Delete a log of another file, or of another state of this one; not while anybody has it open."""
    status = directory.status(f"{name}-wal")
    if status is None or not status.st_size:
        return
    try:
        posix.lock_range(descriptor, *_SHARED)
    except OSError:
        return  # in use: whoever opened it first has looked
    try:
        opened = directory.open(f"{name}-wal", os.O_RDONLY)
        try:
            foreign = log.is_foreign(descriptor, opened)
        finally:
            os.close(opened)
        if foreign:
            directory.unlink(f"{name}-wal")
            directory.unlink(f"{name}-shm")
    finally:
        posix.unlock_range(descriptor, *_SHARED)


def _release(held: _Held) -> None:
    """Give back one user's share; the garbage collector may call this in the midst of anything."""
    _released.append(held)
    _sweep()


def _sweep() -> None:
    """Close what nobody uses any more, unless somebody is at it: whoever that is sweeps afterwards."""
    while _released and _mutex.acquire(blocking=False):
        try:
            while _released:
                _let_go(_released.popleft())
        finally:
            _mutex.release()


def _let_go(held: _Held) -> None:
    held.users -= 1
    if held.users == 0:
        del _files[held.key]
        for descriptor in held.descriptors:
            os.close(descriptor)

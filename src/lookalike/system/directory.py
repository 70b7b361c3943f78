"""The files of one folder that somebody else may have made: reached by their names in it, never by a link.

A folder that was unpacked or copied may hold links and pipes under the names that its reader is
about to open. So every file is opened relative to the folder's descriptor, without following links, and
only where it is a plain file.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt
from lookalike.system import posix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR
_KINDS = {
    stat.S_IFREG: "a file", stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}  # fmt: skip


class NoPlainFile(StoreCorrupt):
    """What has the name of a file, or a folder, is something else: a link, a pipe, a device."""


class Directory:
    """A folder whose files are opened by name, and by no link.

    Args:
        anchor: a path that the user named: links in it are followed.
        inner: names from there to the folder; none of them may be a link.
    """

    def __init__(self, anchor: Path, *inner: str) -> None:
        self._anchor = anchor
        self._inner = inner
        self.path = anchor.joinpath(*inner)

    def child(self, name: str) -> Directory:
        """Return the folder of that name in this one, which need not be there."""
        return Directory(self._anchor, *self._inner, name)

    def make(self) -> None:
        """Make the folder, and those around it, where they are not there yet.

        Raises:
            NoPlainFile: one of the inner ones is a link, or no folder.
            OSError: it can't be made.
        """
        self._anchor.mkdir(parents=True, exist_ok=True)
        for depth in range(len(self._inner)):
            with Directory(self._anchor, *self._inner[:depth]).opened() as around, suppress(FileExistsError):
                os.mkdir(self._inner[depth], dir_fd=around)
        with self.opened():
            pass

    @contextmanager
    def opened(self, flags: int = posix.PASSING) -> Iterator[int]:
        """Hold a descriptor of the folder.

        Raises:
            NoPlainFile: one of the inner ones is a link, or no folder.
            OSError: it is not there, or can't be opened.
        """
        descriptor = os.open(self._anchor, posix.PASSING if self._inner else flags)
        try:
            for depth, name in enumerate(self._inner, start=1):
                inside = self._open_inner(descriptor, name, depth, flags)
                os.close(descriptor)
                descriptor = inside
            yield descriptor
        finally:
            os.close(descriptor)

    def status(self, name: str) -> os.stat_result | None:
        """Return what the system says of a file; None where there is none.

        Raises:
            NoPlainFile: it is a link, or no plain file.
        """
        return self.statuses([name])[0]

    def statuses(self, names: Iterable[str]) -> list[os.stat_result | None]:
        """Return the same for several files, in less time."""
        names = list(names)
        try:
            with self.opened() as folder:
                return [self._plain(folder, name) for name in names]
        except FileNotFoundError:
            return [None] * len(names)

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        """Open a file and return its descriptor.

        Raises:
            NoPlainFile: it is a link, or no plain file; or it has other names that writing would change.
            OSError: it is not there, or can't be opened.
        """
        with self.opened() as folder:
            self._plain(folder, name)  # a device may do something when it is merely opened
            descriptor = os.open(name, flags | posix.CAREFUL, mode, dir_fd=folder)
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and not (flags & _WRITING and found.st_nlink > 1):
            return descriptor
        os.close(descriptor)
        raise _refusal(self.path / name, found)

    def read(self, name: str, limit: int) -> bytes:
        """Return the first bytes of a file, at most `limit`."""
        with os.fdopen(self.open(name, os.O_RDONLY), "rb") as file:
            return file.read(limit)

    def create(self, name: str, content: bytes = b"") -> None:
        """Make a file that must not be there yet, safe on disk."""
        descriptor = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)

    def replace(self, name: str, by: str) -> None:
        """Put one file, safe on disk, in the place of another."""
        self.status(name)
        self.sync(by)
        with self.opened() as folder:
            os.replace(by, name, src_dir_fd=folder, dst_dir_fd=folder)
        self.sync()

    def move_folder(self, name: str, to: str) -> None:
        """Rename a folder in this one."""
        with self.opened() as folder:
            os.rename(name, to, src_dir_fd=folder, dst_dir_fd=folder)

    def unlink(self, name: str) -> None:
        """Delete a file, if it is there.

        Raises:
            NoPlainFile: it is a link, or no plain file; nothing is deleted.
        """
        with suppress(FileNotFoundError), self.opened() as folder:
            if self._plain(folder, name) is not None:
                os.unlink(name, dir_fd=folder)

    def remove(self) -> None:
        """Delete the folder itself, unless something is in it.

        Raises:
            OSError: it is not empty, or not to be deleted.
        """
        if not self._inner:
            self._anchor.rmdir()
            return
        with Directory(self._anchor, *self._inner[:-1]).opened() as around:
            os.rmdir(self._inner[-1], dir_fd=around)

    def names(self) -> list[str]:
        """Return the names of all that is in the folder; none where it is not there."""
        try:
            with self.opened(posix.FOLDER) as folder:
                return os.listdir(folder)  # noqa: PTH208
        except FileNotFoundError:
            return []

    def sync(self, name: str | None = None) -> None:
        """Make a file, or which files there are, safe on disk."""
        if name is None:
            with self.opened(posix.FOLDER) as folder:
                os.fsync(folder)
            return
        descriptor = self.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _open_inner(self, around: int, name: str, depth: int, flags: int) -> int:
        try:
            wanted = flags if depth == len(self._inner) else posix.PASSING
            return os.open(name, wanted | os.O_NOFOLLOW, dir_fd=around)
        except OSError:
            found = os.stat(name, dir_fd=around, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                raise _refused_folder(self._anchor.joinpath(*self._inner[:depth]), found) from None
            raise

    def _plain(self, folder: int, name: str) -> os.stat_result | None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise _refusal(self.path / name, found)
        return found


def shared(path: Path, status: os.stat_result) -> str:
    """Return the words for a file that has several names."""
    return (
        f"{path} has {status.st_nlink} names (hard links), and what is written to it would change the file "
        "under the others; put a copy in its place (cp, then mv), or delete it"
    )


def _kind(status: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(status.st_mode), "a device")


def _refusal(path: Path, status: os.stat_result) -> NoPlainFile:
    if stat.S_ISLNK(status.st_mode):
        return NoPlainFile(
            f"{path} is a link; a gallery's own files are never links, and what it leads to was not touched: "
            "delete the link, and try again"
        )
    if stat.S_ISREG(status.st_mode):
        return NoPlainFile(shared(path, status))
    return NoPlainFile(f"{path} is {_kind(status)}, expected a plain file; move it away, and try again")


def _refused_folder(path: Path, status: os.stat_result) -> NoPlainFile:
    if stat.S_ISLNK(status.st_mode):
        return NoPlainFile(
            f"{path} is a link; what is inside a gallery is reached by none, and what it leads to was not "
            "touched: delete the link, or name the gallery by its own place with --gallery"
        )
    return NoPlainFile(f"{path} is {_kind(status)}, expected a folder; move it away, and try again")

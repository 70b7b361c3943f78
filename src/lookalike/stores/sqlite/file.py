"""The files of a gallery: looked at before SQLite may open them, and who may write them.

SQLite acts on what lies beside a file before a line of it was read: it rolls back a journal, and deletes
another file that the journal names; it follows a link, and writes where that leads. A gallery somebody else
made may hold either. So nothing is opened unless it is a plain file whose header is that of a gallery in WAL
mode, with no journal beside it. What somebody changes between that look and the opening is not seen.

SQLite replays whatever whole log it finds, also one of a file that was deleted, or in whose place a copy
was put: pictures of then come back, or two states are mixed. A log is told by the line of `live`, which
every commit writes, and which lies on the same page in every gallery: its counter goes up by one with each.
So the file's own line is the one before the log's first, or one of the log's (where some of the log was
merged already). Where neither can be read, nothing is known, and the log stays. The form of a log and of a
page is that of https://www.sqlite.org/fileformat2.html.

The right to write is held by one process, and in it by one store.
"""

from __future__ import annotations

import os
import struct
import weakref
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import NotFound, StoreBusy, StoreCorrupt, StoreUnavailable
from lookalike.sources.folder import GALLERIES
from lookalike.system import forks, posix
from lookalike.system.directory import Directory, shared
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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
            foreign = is_foreign(descriptor, opened)
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


class WriterLock(Forked):
    """A lock on a file of a folder, which ends with the process however that ends.

    The store that holds it may take it again; its own threads wait for each other. The child of a fork
    does not hold it.
    """

    def __init__(self, directory: Directory, name: str) -> None:
        self._directory, self._name = directory, name
        self._threads = forks.reentrant_lock()
        self._depth = 0
        self._descriptor = -1
        forks.watch(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            StoreBusy: another process or store holds it.
            StoreUnavailable: the lock's file can't be written.
        """
        with self._threads:
            if self._depth == 0:
                self._descriptor = self._lock()
            self._depth += 1
            try:
                yield
            finally:
                if self._depth:  # none in a child that was forked within the block
                    self._depth -= 1
                    if self._depth == 0:
                        os.close(self._descriptor)

    def after_fork_in_child(self) -> None:
        """Let go of the file without unlocking it, which would unlock it for the parent."""
        if self._depth:
            self._depth = 0
            os.close(self._descriptor)

    def _lock(self) -> int:
        while True:
            descriptor = self._open()
            self._take(descriptor)
            if self._is_current(descriptor):
                break
            os.close(descriptor)  # of a gallery that was deleted a moment ago
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return descriptor

    def _open(self) -> int:
        try:
            return self._directory.open(self._name, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StoreUnavailable(
                f"{self._directory.path} can't be written ({error.strerror}); "
                "keep the gallery elsewhere with --gallery FOLDER"
            ) from error

    def _take(self, descriptor: int) -> None:
        try:
            posix.lock(descriptor)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder else "another process"
            raise StoreBusy(
                f"{who} is writing to the gallery in {self._directory.path}; try again when it is done"
            ) from error

    def _is_current(self, descriptor: int) -> bool:
        status = self._directory.status(self._name)
        return status is not None and os.path.samestat(status, os.fstat(descriptor))


LIVE_PAGE = 3
"""The page of the table `live`, the second that is made in a gallery."""

_MAGIC = (0x377F0682, 0x377F0683)
_LOG_HEAD, _FRAME = 32, 24  # bytes
_LEAF = 13  # the kind of a page that holds lines of a table
_FIRST_TEXT = 12
_MOST_FRAMES = 1 << 20  # 8 GB of the smallest pages: of a longer log nothing is known


class Mark(NamedTuple):
    """Where a gallery stood.

    identity: its token, or its generation where it has none.
    commits: how many there had been.
    """

    identity: str
    commits: int


def is_foreign(file: int, log: int) -> bool:
    """Whether a log certainly belongs to another file, or to another state of this one.

    Args:
        file: a descriptor of the gallery's file, which nobody may be using meanwhile.
        log: a descriptor of the log.
    """
    (page_size,) = struct.unpack(">H", os.pread(file, 2, 16))
    page_size = 65536 if page_size == 1 else page_size
    head = os.pread(log, _LOG_HEAD, 0)
    if len(head) < _LOG_HEAD or struct.unpack_from(">I", head)[0] not in _MAGIC:
        return False  # nothing is replayed from it
    if struct.unpack_from(">I", head, 8)[0] != page_size:
        return True
    stood = _mark(os.pread(file, page_size, (LIVE_PAGE - 1) * page_size))
    marks = _marks(log, page_size, head[16:24])
    first = next(marks, None)
    if stood is None or first is None:
        return False
    if (first.identity, first.commits) == (stood.identity, stood.commits + 1):
        return False
    return first != stood and all(mark not in {stood, None} for mark in marks)


def _marks(log: int, page_size: int, salt: bytes) -> Iterator[Mark | None]:
    """Read the marks of a log in the order of its commits; None for one that can't be read, or too many."""
    for number in range(_MOST_FRAMES):
        place = _LOG_HEAD + number * (_FRAME + page_size)
        frame = os.pread(log, _FRAME, place)
        page = int.from_bytes(frame[:4], "big")
        if len(frame) < _FRAME or frame[8:16] != salt or page == 0:
            return  # SQLite reads no further
        if page == LIVE_PAGE:
            yield _mark(os.pread(log, page_size, place + _FRAME))
    yield None


def _mark(page: bytes) -> Mark | None:
    """Read the one line of `live` (generation, commits, count, token …); None where the page is another's."""
    try:
        if page[0] != _LEAF or struct.unpack_from(">H", page, 3)[0] != 1:
            return None
        (place,) = struct.unpack_from(">H", page, 8)
        _, place = _varint(page, place)  # how long the line is
        _, place = _varint(page, place)  # its row
        values = _values(page, place)
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    if len(values) < 3 or not (isinstance(values[0], str) and isinstance(values[1], int)):
        return None
    token = values[3] if len(values) > 3 else ""
    return Mark(str(token or values[0]), values[1])


def _values(page: bytes, start: int) -> list[int | str]:
    size, place = _varint(page, start)
    content = start + size
    values: list[int | str] = []
    while place < start + size:
        kind, place = _varint(page, place)
        length = _length(kind)
        part = page[content : content + length]
        content += length
        values.append(part.decode() if kind >= _FIRST_TEXT else _integer(kind, part))
    return values


def _length(kind: int) -> int:
    """Return the bytes of a value of a kind: integers of 0 to 8 bytes, or text."""
    if kind >= _FIRST_TEXT:
        return (kind - _FIRST_TEXT) // 2
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]


def _integer(kind: int, part: bytes) -> int:
    return kind - 8 if kind in {8, 9} else int.from_bytes(part, "big", signed=True)


def _varint(page: bytes, place: int) -> tuple[int, int]:
    """Read a number of one to nine bytes, and where it ends."""
    value = 0
    for count in range(9):
        byte = page[place + count]
        if count == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    raise IndexError

"""The connections to one SQLite file: kept between uses, never carried over a fork, and bounded.

A stranger's file may lead in circles, or hold endless values. A sound file is read in steps that go with
its size; a tree whose pages lead back to each other has, for SQLite, as many rows as there are ways through
it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lookalike.errors import StoreUnavailable
from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LARGEST_VALUE = (1 << 26) + (1 << 16)
"""Bytes of a value or a row: the largest vector there is, and what stands beside it."""

_STEPS_A_CALL = 1_000_000
_LEAST_STEPS = 20_000_000
_STEPS_A_BYTE = 15
"""Of SQLite's virtual machine, for one statement: thirty words that name every class take 6."""


_execute, _executemany = sqlite3.Connection.execute, sqlite3.Connection.executemany
# `super()` at every statement of a search would be seen.


class Connection(sqlite3.Connection):
    """A connection each of whose statements ends, and none of whose values is too large."""

    def bound(self, path: Path) -> None:
        """Bound what comes by the size of the file, as it is then."""
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        self._work = _Work(path)
        self.set_progress_handler(self._work.is_too_much, _STEPS_A_CALL)

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Run a statement, whose steps are counted from now."""
        self._work.steps = 0
        try:
            return _execute(self, sql, parameters)
        except UnicodeDecodeError as error:  # of what SQLite says of a file whose names are no text
            raise sqlite3.DatabaseError("its tables have names that are no text") from error

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        """Run a statement for several sets of values."""
        self._work.steps = 0
        return _executemany(self, sql, parameters)


class _Work:
    """The steps of a statement so far; not the connection itself, which would then hold itself."""

    def __init__(self, path: Path) -> None:
        self.steps = 0
        self._files = (os.fspath(path), f"{os.fspath(path)}-wal")

    def is_too_much(self) -> bool:
        """Called by SQLite after so many steps; true ends the statement."""
        self.steps += _STEPS_A_CALL
        return self.steps > _LEAST_STEPS and self.steps > _LEAST_STEPS + _STEPS_A_BYTE * self._bytes()

    def _bytes(self) -> int:
        size = 0
        for file in self._files:
            with suppress(OSError):
                size += os.stat(file).st_size  # noqa: PTH116
        return size


_GLANCE = 0.002
"""Seconds between two looks for whether threads have come to rest before a fork."""

_torn: set[tuple[int, int]] = set()
"""Files of which this process, a child of a fork, holds connections that are its parent's."""


class Connections(Forked):
    """Connections to one file, shared by threads, each of which uses one at a time.

    SQLite keeps once a process what it holds of a file, and no connection may come into a child. So all of
    them are closed before a fork, and made again when they are needed, on either side. A fork waits for the
    transactions of other threads; where one goes on all the same, the child can't open the file.

    Args:
        path: of the file.
        connect: makes a connection.
    """

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self.path = path
        self._connect = connect
        self._mutex = forks.lock()
        self._idle: list[sqlite3.Connection] = []
        self._open: set[sqlite3.Connection] = set()
        self._at_work: dict[object, int] = {}
        self._still = False
        self._closed = False
        forks.watch(self)

    @contextmanager
    def taken(self) -> Iterator[sqlite3.Connection]:
        """A connection for the block; what goes wrong in it ends the connection.

        Raises:
            StoreUnavailable: they were closed, or the file can't be opened in this child of a fork.
        """
        turn = object()
        with self._mutex:
            self._require_open()
            self._at_work[turn] = threading.get_ident()
            connection = self._idle.pop() if self._idle else None
        try:
            connection = connection or self._made()
            yield connection
        except BaseException:
            self._leave(turn, connection, keep=False)
            raise
        self._leave(turn, connection, keep=True)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._open)

    def require_own(self, connection: sqlite3.Connection) -> None:
        """Raise `StoreUnavailable` unless a connection is this process's, and was not closed."""
        if connection not in self._open:
            self._require_open()
            raise self._unusable()

    def close(self) -> None:
        """Close every connection; a second time does nothing."""
        with self._mutex:
            self._closed = True
            connections, self._open, self._idle = self._open, set(), []
        for connection in connections:
            connection.close()

    def before_fork(self, until: float) -> None:
        """Close every connection, once no other thread is in the middle of something."""
        while not self._still:
            if not self._mutex.acquire(timeout=max(0.0, until - time.monotonic())):
                return
            threads = self._at_work.values()
            # What the thread that forks is itself in the middle of does not end before.
            if not threads or threading.get_ident() in threads or time.monotonic() >= until:
                self._still = True
            else:
                self._mutex.release()
                time.sleep(_GLANCE)
        if not self._at_work:
            connections, self._open, self._idle = self._open, set(), []
            for connection in connections:
                connection.close()

    def after_fork_in_parent(self) -> None:
        """Let threads go on."""
        if self._still:
            self._still = False
            self._mutex.release()

    def after_fork_in_child(self) -> None:
        """Have nothing to do with connections that are left of the parent's."""
        if self._open:
            _torn.add(_identity(self.path))
            forks.abandon(list(self._open))
        self._open, self._idle, self._at_work, self._still = set(), [], {}, False

    def _made(self) -> sqlite3.Connection:
        connection = self._connect()
        with self._mutex:
            self._open.add(connection)
        return connection

    def _leave(self, turn: object, connection: sqlite3.Connection | None, *, keep: bool) -> None:
        with self._mutex:
            self._at_work.pop(turn, None)
            if connection is None or connection not in self._open:
                return  # closed meanwhile, or of the process that this one was forked from
            if keep:
                self._idle.append(connection)
                return
            self._open.discard(connection)
        connection.close()

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the gallery in {self.path.parent} was closed; open it again")
        if _torn and _identity(self.path) in _torn:
            raise self._unusable()

    def _unusable(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"this process was forked while the gallery in {self.path.parent} was read or written, and "
            "can't open it; fork before or after that, or start processes by spawn"
        )


def _identity(path: Path) -> tuple[int, int]:
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return 0, 0

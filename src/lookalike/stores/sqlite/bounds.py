"""Bounds on what a statement may cost: a stranger's file may lead in circles, or hold endless values.

A sound file is read in steps that go with its size. A tree whose pages lead back to each other has, for
SQLite, as many rows as there are ways through it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

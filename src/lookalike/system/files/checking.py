"""What is written where the user says: made sure of before the work, not found out after it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection


def check_file(path: str | os.PathLike[str], endings: Collection[str], what: str) -> None:
    """Make sure that a file can be written, before the long work begins.

    Args:
        path: where to.
        endings: those that its name may have, as `.csv`, in small letters.
        what: is to be written, in words: `a page`.

    Raises:
        UsageError: another ending, or a place that can't be written.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        ending = f"the ending {path.suffix!r}" if path.suffix else "no ending"
        raise UsageError(f"{path}: {what} can't be written to a name with {ending}; use {_either(endings)}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; expected a file to write {what} to")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent} to write it to")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path}: can't be written: permission denied")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Make sure that a folder can be written to, or made where it is not there yet.

    Raises:
        UsageError: it can't.
    """
    path = Path(path)
    there = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise UsageError(f"{path} can't be made: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{path} can't be written: permission denied for {there}")


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a pipe or a device, such as /dev/stdout, whose name has no ending."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - of text as it was typed
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _either(endings: Collection[str]) -> str:
    *others, last = endings
    return f"{', '.join(others)} or {last}" if others else last

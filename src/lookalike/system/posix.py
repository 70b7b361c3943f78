"""What POSIX systems have, and others have by other names: careful descriptors, locks, a limit of memory.

Nothing else of the package imports `fcntl` or `resource`. What another system would need in the place of each
is said in docs/design.md.
"""

from __future__ import annotations

import fcntl
import os
import sys

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags that open a folder, to list it or to make it safe on disk."""

PASSING = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags that open a folder only to go on from there, which needs no right to list it."""

PATIENT = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Flags by which what is a pipe or a device after all neither holds nor takes this process."""

CAREFUL = PATIENT | os.O_NOFOLLOW
"""The same, and no link is followed."""


def open_to_read(path: str | bytes | os.PathLike[str]) -> int:
    """Return a descriptor of a file, which may turn out to be a pipe: it is not waited for.

    Raises:
        OSError: it is not there, or can't be opened.
    """
    return os.open(path, os.O_RDONLY | PATIENT)


def lock(descriptor: int) -> None:
    """Take the lock on an open file, which ends when its descriptor is closed, or the process ends.

    Raises:
        BlockingIOError: another process has it.
        OSError: the file system has no locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_range(descriptor: int, length: int, start: int) -> None:
    """Take the lock on some bytes of an open file, as SQLite does.

    Raises:
        OSError: another process has it, or the file system has no locks.
    """
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)


def unlock_range(descriptor: int, length: int, start: int) -> None:
    """Let go of the lock on some bytes of an open file."""
    fcntl.lockf(descriptor, fcntl.LOCK_UN, length, start)


def limit_memory(size: int) -> None:
    """Limit what this process may allocate, in bytes; nothing on macOS, which does not keep to it."""
    if sys.platform != "linux":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

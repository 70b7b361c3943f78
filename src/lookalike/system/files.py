"""Files of the user, made sure of before the work, replaced whole or not at all; their numbers in 64 bits."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


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


_PART = ".lookalike-{}.part"
_STREAMS = ("/dev/std", "/dev/fd/", "/proc/")  # of this process: never to be replaced, whatever they lead to
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def replacing(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, whose file takes the place of `file` when the block ends well.

    Raises:
        UsageError: the place can't be written; what was there is as it was.
    """
    try:
        with writing(file) as part:
            yield part
    except OSError as error:
        raise unwritable(file, error) from error


@contextmanager
def writing(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Do what `replacing` does, and leave the system's errors as they are.

    A link is followed, for it is the user's own wish; what is no plain file, such as a pipe or
    `/dev/stdout`, is written to as it is.

    Raises:
        OSError: as the system says.
    """
    before = _status(file)
    if Path(file).absolute().as_posix().startswith(_STREAMS) or not _plain(before):
        yield Path(file)
        return
    place = Path(os.path.realpath(file))
    part = place.with_name(_PART.format(os.urandom(6).hex()))
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        yield part
        _keep(part, before)
        part.replace(place)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def unwritable(file: str | os.PathLike[str], error: OSError) -> UsageError:
    """Return the error of a place that takes nothing, in words."""
    full = "; make room, and try again: what was there is as it was" if error.errno in _FULL else ""
    return UsageError(f"{os.fspath(file)} can't be written: {error.strerror or error}{full}")


def _status(file: str | os.PathLike[str]) -> os.stat_result | None:
    try:
        return Path(file).stat()
    except OSError:
        return None


def _plain(status: os.stat_result | None) -> bool:
    return status is None or stat.S_ISREG(status.st_mode)


def _keep(part: Path, before: os.stat_result | None) -> None:
    """Make a file safe on disk, with the rights that the one before had."""
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if before is not None:
            with suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""The whole numbers that fit."""


def fitting(number: int) -> int:
    """Return the number, or its lowest 64 bits as a signed number where it is larger than those.

    A time after the year 2262 does not fit, nor do some numbers of devices. Two that differ are told apart
    all the same, which is all that is asked of them.

    >>> fitting(1 << 63)
    -9223372036854775808
    """
    return number if LEAST <= number <= MOST else (number - LEAST) % (1 << 64) + LEAST


def stamp(status: os.stat_result) -> tuple[int, int]:
    """Return size and mtime_ns of a file as a store remembers them."""
    return fitting(status.st_size), fitting(status.st_mtime_ns)

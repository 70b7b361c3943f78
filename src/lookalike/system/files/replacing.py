"""A file is replaced whole, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

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

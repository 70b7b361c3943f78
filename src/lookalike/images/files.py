"""Files in: the bytes of regular files, and nothing that could hold us up."""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from pathlib import Path

from lookalike.errors import Unreadable
from lookalike.images.limits import ImageLimits, require_bytes
from lookalike.images.recognition import HEAD, recognise
from lookalike.system import posix

_HEADER = 1 << 16  # bytes


def digest(source: bytes) -> bytes:
    """16 bytes that are the same for the same file, and for no other."""
    return blake2b(source, digest_size=16).digest()


def read_file(path: str | bytes | os.PathLike[str], limits: ImageLimits | None = None) -> bytes:
    """The bytes of a picture's file; a pipe, socket, device or folder is refused and never waited for.

    What does not begin as a picture does is not read further: a folder may hold large videos.

    Raises:
        Unreadable: not a regular file, refused by the system, gone, or being written to.
        ImageError: not a picture, or a file larger than the limit.
    """
    source, size = _read(path, limits, None)
    if len(source) != size:
        raise Unreadable("changed while it was being read")
    return source


def read_head(path: str | bytes | os.PathLike[str], limits: ImageLimits | None = None) -> bytes:
    """The first 64 kB of a picture's file, which hold most headers.

    Raises:
        Unreadable, ImageError: as `read_file` does.
    """
    return _read(path, limits, _HEADER)[0]


def _read(
    path: str | bytes | os.PathLike[str], limits: ImageLimits | None, most: int | None
) -> tuple[bytes, int]:
    """The bytes of a picture's file, or the first of them, and how many it has."""
    limits = limits or ImageLimits.from_environment()
    try:
        _require_regular(Path(os.fsdecode(path)).stat())  # first: opening a device may already do something
        # The file may have been replaced since: non-blocking, so that a pipe does not hold us.
        descriptor = posix.open_to_read(path)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _require_regular(status)
            require_bytes(status.st_size, limits)
            head = file.read(min(HEAD, status.st_size))
            recognise(head)
            wanted = status.st_size + 1 if most is None else most
            return head + file.read(max(0, wanted - len(head))), status.st_size
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise Unreadable(f"can't be read: {getattr(error, 'strerror', None) or error}") from None


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
        raise Unreadable(f"not a file: {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}")

"""Arrays in numpy's own format: what their heads claim is held to what there is before it is believed."""

from __future__ import annotations

import os
import stat
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import UsageError
from lookalike.system import posix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST_DIM = 1 << 24
"""Numbers in a vector, at most: as many as a gallery keeps."""

_LARGEST_FILE = LARGEST_DIM * 16 + (1 << 16)
# What numpy, and Python's own readers of literals below it, raise for a head that it did not write.
_BROKEN = (ValueError, SyntaxError, TokenError, TypeError, KeyError, RecursionError, MemoryError, EOFError)


class Head(NamedTuple):
    """What an array says of itself: its shape, whether its columns come first, the type of its numbers."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """What its numbers take."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


def read_head(file: IO[bytes]) -> Head:
    """Read what stands before the numbers of an array.

    Raises:
        ValueError: it is none, or of things other than plain numbers and texts.
    """
    import numpy as np

    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        # Version 3 differs from 2 in the names of fields alone, and there are none.
        shape, fortran, dtype = readers[(2, 0) if version == (3, 0) else version](file)
    except _BROKEN as error:
        raise ValueError(f"it is no array in numpy's format: {error or type(error).__name__}") from error
    if dtype.hasobject or dtype.fields is not None or any(length < 0 for length in shape):
        raise ValueError(f"expected an array of plain numbers, found {dtype} of shape {shape}")
    return Head(shape, fortran, dtype)


def read_vector(path: str) -> NDArray[np.floating[Any]]:
    """Read the one vector of a `.npy` file, ndarray of shape (dim,).

    Raises:
        UsageError: it can't be read, or is anything else.
    """
    import numpy as np

    try:
        content = BytesIO(_content(path))
        head = read_head(content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: can't be read as an array: {reason}") from error
    numbers = content.read()
    if len(head.shape) != 1 or head.dtype.kind != "f" or not 0 < head.shape[0] <= LARGEST_DIM:
        raise UsageError(
            f"{path}: expected one vector of shape (dim,), found {head.dtype} of shape {head.shape}"
        )
    if len(numbers) != head.bytes:
        raise UsageError(
            f"{path}: says that it holds {head.shape[0]:,} numbers, and holds {len(numbers):,} bytes; it is "
            "damaged or was cut short: write it again"
        )
    return np.frombuffer(numbers, head.dtype)


def _content(path: str) -> bytes:
    """The bytes of a regular file, of which none can be larger than the largest vector."""
    _require_plain(Path(path).stat())
    descriptor = posix.open_to_read(path)
    with os.fdopen(descriptor, "rb") as file:
        _require_plain(os.fstat(descriptor))
        return file.read(_LARGEST_FILE + 1)


def _require_plain(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if status.st_size > _LARGEST_FILE:
        raise ValueError(f"it has {status.st_size:,} bytes, more than the largest vector")

"""Many rows held once: in memory, or in a temporary file where they are too many for it."""

from __future__ import annotations

import os
import tempfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import StoreUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Floats, RowType

_MEMORY = 5 << 28
"""Bytes of float32 rows that are kept in memory: 1.25 GiB."""


class Rows:
    """Vectors that grow one block at a time, read by position.

    Args:
        dim: numbers in a vector.
        expected: how many rows will come, as far as is known.
        row_type: what a number fits in without loss; decides only how it is kept in a file.
        memory: bytes from which on the rows lie in a file.
    """

    def __init__(self, dim: int, expected: int, row_type: RowType, *, memory: int = _MEMORY) -> None:
        self.dim = dim
        self._count = 0
        self._squares: list[NDArray[np.float64]] = []
        self._file = tempfile.TemporaryFile() if 4 * dim * expected > memory else None  # noqa: SIM115
        self._type = np.dtype(np.float32 if self._file is None else row_type)
        self._held: NDArray[np.floating[Any]] = np.empty((0, dim), self._type)
        if self._file is None:
            self._held = np.empty((expected, dim), self._type)

    def __len__(self) -> int:
        return self._count

    def append(self, vectors: Floats) -> None:
        """Add rows (m, dim) at the end.

        Raises:
            StoreUnavailable: there is no room for the temporary file.
        """
        if len(vectors) == 0:
            return
        end = self._count + len(vectors)
        if self._file is not None:
            self._write(self._file, vectors.astype(self._type), end)
        else:
            if end > len(self._held):
                more = np.empty((end // 8 + len(vectors), self.dim), self._type)
                self._held = np.concatenate([self._held[: self._count], more])
            self._held[self._count : end] = vectors
        self._squares.append(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        self._count = end

    def block(self, start: int, stop: int) -> Floats:
        """Rows of consecutive positions, ndarray of shape (stop − start, dim)."""
        block: Floats = self._held[start : min(stop, self._count)].astype(np.float32, copy=False)
        return block

    def take(self, positions: NDArray[np.int64]) -> Floats:
        """Rows of any positions, ndarray of shape (m, dim)."""
        taken: Floats = self._held.take(positions, axis=0).astype(np.float32, copy=False)
        return taken

    @property
    def squares(self) -> NDArray[np.float64]:
        """Their squared lengths, ndarray of shape (n,)."""
        if len(self._squares) != 1:
            self._squares = [np.concatenate([np.empty(0), *self._squares])]
        return self._squares[0]

    def close(self) -> None:
        """Let go of memory and file."""
        self._held = np.empty((0, self.dim), self._type)
        self._count, self._squares = 0, []
        if self._file is not None:
            self._file.close()

    def _write(self, file: IO[bytes], rows: NDArray[np.floating[Any]], count: int) -> None:
        """Append to the file and map it anew: written through a map, a full disk would end the process."""
        try:
            file.seek(0, os.SEEK_END)
            file.write(rows.tobytes())
            file.flush()
        except OSError as error:
            raise StoreUnavailable(
                f"no room for a temporary file of vectors in {tempfile.gettempdir()} ({error.strerror}); "
                "name a folder that has it by TMPDIR"
            ) from error
        self._held = np.memmap(file, self._type, "r", shape=(count, self.dim))

"""Vectors as blobs (float16 for unit vectors, else float32), and those kept in memory for searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import StoreCorrupt
from lookalike.indexes import distances
from lookalike.indexes.exact import Block
from lookalike.stores import records
from lookalike.stores.sqlite import schema
from lookalike.stores.sqlite.codec import chunks, marks
from lookalike.system import forks

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.stores.sqlite.database import Live
    from lookalike.types import Floats, RowType

BLOCK_BYTES = 16 << 20
"""Float32 numbers held at once while rows are read through."""


class Vectors:
    """Reads and writes the vectors of one gallery.

    Args:
        dim: numbers in a vector.
        row_type: how a number is kept.
    """

    def __init__(self, dim: int, row_type: RowType) -> None:
        self.dim = dim
        self.dtype: np.dtype[np.floating] = np.dtype(np.float16 if row_type == "float16" else np.float32)
        self.block = max(1, BLOCK_BYTES // (4 * dim))

    def blobs(self, vectors: Floats) -> list[bytes]:
        """Rows (n, dim) as they are kept."""
        return [row.tobytes() for row in vectors.astype(self.dtype)]

    def misfits(self, vectors: Floats, *, normalized: bool) -> dict[int, str]:
        """Which rows (n, dim) can't be kept, and why."""
        return records.misfits(vectors, self.dtype, normalized=normalized)

    def decoded(self, blobs: Sequence[bytes]) -> Floats:
        """Vectors (n, dim) from what is kept.

        Raises:
            StoreCorrupt: a blob is not as long as a vector, or does not hold finite numbers.
        """
        size = self.dim * self.dtype.itemsize
        if any(type(blob) is not bytes or len(blob) != size for blob in blobs):
            raise StoreCorrupt(f"a stored vector does not have {self.dim} numbers; {schema.ADVICE}")
        flat = np.frombuffer(b"".join(blobs), self.dtype)
        if _has_infinite(flat):
            raise StoreCorrupt(f"a stored vector holds what is no finite number; {schema.ADVICE}")
        rows = widened(flat) if self.dtype == np.float16 else flat
        return rows.reshape(len(blobs), self.dim)

    def of(self, connection: sqlite3.Connection, rows: Sequence[int]) -> tuple[NDArray[np.int64], Floats]:
        """Those of some rows that are still there: rows (n,) ascending, and vectors (n, dim)."""
        found: list[tuple[int, bytes]] = []
        for part in chunks(rows):
            # With placeholders, so that the statement of a search is prepared only once.
            found += connection.execute(
                f"SELECT row, vector FROM vectors WHERE row IN ({marks(part)})", part
            ).fetchall()
        found.sort()
        return np.array([row for row, _ in found], np.int64), self.decoded([blob for _, blob in found])

    def each(self, connection: sqlite3.Connection, rows: Sequence[int]) -> Floats:
        """The vectors (n, dim) of rows, in the order asked for.

        Raises:
            StoreCorrupt: one of them is not there.
        """
        unique = sorted(set(rows))
        found, vectors = self.of(connection, unique)
        if len(found) < len(unique):
            raise StoreCorrupt(f"a picture of the gallery has no vector; {schema.ADVICE}")
        return vectors[np.searchsorted(found, np.array(rows, np.int64))]

    def blocks(
        self, connection: sqlite3.Connection, *, after: int = 0
    ) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """All rows above one, in order, within bounded memory: rows (n,) and vectors (n, dim)."""
        cursor = connection.execute(
            f"SELECT row, vector, {schema.sound(schema.ROW)} FROM vectors WHERE row > ? ORDER BY row",
            (after,),
        )
        for found in schema.batches(cursor, "vectors", size=self.block):
            yield np.array([line[0] for line in found], np.int64), self.decoded([line[1] for line in found])

    def blocks_of(
        self, connection: sqlite3.Connection, rows: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Some rows within bounded memory."""
        for start in range(0, len(rows), self.block):
            yield self.of(connection, rows[start : start + self.block].tolist())


def _has_infinite(numbers: NDArray[np.floating]) -> bool:
    """Whether one is infinite or NaN: by their bits, in a third of the time of `isfinite`.

    As whole numbers with a sign these are the largest of the positive ones, without it the largest of all.
    """
    half = numbers.dtype == np.float16
    signed, unsigned = (np.int16, np.uint16) if half else (np.int32, np.uint32)
    least = 0x7C00 if half else 0x7F800000
    sign = 0x8000 if half else 0x80000000
    largest = np.maximum.reduce  # `max` itself asks the array what it is
    return bool(
        numbers.size
        and (largest(numbers.view(signed)) >= least or largest(numbers.view(unsigned)) >= sign + least)
    )


def widened(halves: NDArray[np.float16]) -> Floats:
    """Finite float16 as float32: what `astype` does, in half the time.

    The bits are moved to their place in a float32, whose exponent is then put right by a product;
    subnormal numbers come out right too.
    """
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x70002000)  # the sign, five bits of exponent, ten of mantissa
    numbers: Floats = bits.view(np.float32)
    numbers *= np.float32(2.0**112)
    return numbers


MAX_BYTES = 64 << 20

_UNPAIRED = f"the gallery has pictures without vectors, or vectors without pictures; {schema.ADVICE}"


class Resident:
    """The rows above one, brought up to date with each snapshot by what is new and what is gone."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._mutex = forks.lock()
        self._origin: tuple[str, int] | None = None
        self._as_of: tuple[Live, int] | None = None
        self._held: Block | None = None

    def rows(self, connection: sqlite3.Connection, live: Live, *, after: int) -> Block | None:
        """Return the rows above `after` as of a snapshot, with their squared lengths; None if too many."""
        with self._mutex:
            if (live, after) != self._as_of:
                if (live.generation, after) != self._origin:
                    self._held = None
                self._update(connection, after)
                self._origin, self._as_of = (live.generation, after), (live, after)
            return self._held

    def _update(self, connection: sqlite3.Connection, after: int) -> None:
        # Counted, for the gallery's own count may be wrong, but only as far as it matters.
        most = MAX_BYTES // (self._vectors.dim * 4)
        counted = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM pictures WHERE row > ? LIMIT ?)", (after, most + 1)
        )
        count = counted.fetchone()[0]
        if count > most:
            self._held = None
            return
        if (held := self._held) is None:
            self._held = self._read(connection, after, count)
        else:
            cursor = connection.execute("SELECT row FROM pictures WHERE row > ? ORDER BY row", (after,))
            self._held = self._changed(connection, held, np.fromiter((row for (row,) in cursor), np.int64))
        if len(self._held[0]) != count:
            raise StoreCorrupt(_UNPAIRED)

    def _read(self, connection: sqlite3.Connection, after: int, count: int) -> Block:
        keys, rows = [np.empty(0, np.int64)], [np.empty((0, self._vectors.dim), np.float32)]
        for some_keys, some_rows in self._vectors.blocks(connection, after=after):
            keys.append(some_keys)
            rows.append(some_rows)
            if sum(map(len, keys)) > count:
                raise StoreCorrupt(_UNPAIRED)
        return _measured(np.concatenate(keys), np.concatenate(rows))

    def _changed(self, connection: sqlite3.Connection, held: Block, alive: NDArray[np.int64]) -> Block:
        kept = np.isin(held.keys, alive, assume_unique=True)
        if not kept.all():
            held = held.take(np.flatnonzero(kept))
        keys, rows = self._vectors.of(connection, np.setdiff1d(alive, held.keys).tolist())
        return _measured(np.concatenate([held.keys, keys]), np.concatenate([held.rows, rows]))


def _measured(keys: NDArray[np.int64], rows: Floats) -> Block:
    return Block(keys, rows, distances.squared_lengths(rows))

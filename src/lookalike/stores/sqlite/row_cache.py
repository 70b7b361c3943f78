"""Rows kept in memory between searches: a small gallery, or those of a large one without codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import StoreCorrupt
from lookalike.stores.sqlite import columns
from lookalike.system import forks

if TYPE_CHECKING:
    import sqlite3

    from numpy.typing import NDArray

    from lookalike.stores.sqlite.database import Live
    from lookalike.stores.sqlite.vectors import Vectors
    from lookalike.types import Floats

MAX_BYTES = 64 << 20

_UNPAIRED = f"the gallery has pictures without vectors, or vectors without pictures; {columns.ADVICE}"


class Resident:
    """The rows above one, brought up to date with each snapshot by what is new and what is gone."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._mutex = forks.lock()
        self._origin: tuple[str, int] | None = None
        self._as_of: tuple[Live, int] | None = None
        self._held: tuple[NDArray[np.int64], Floats] | None = None

    def rows(
        self, connection: sqlite3.Connection, live: Live, *, after: int
    ) -> tuple[NDArray[np.int64], Floats] | None:
        """Rows (n,) above `after` and their vectors (n, dim) as of a snapshot; None if too many."""
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
            self._held = self._changed(connection, *held, np.fromiter((row for (row,) in cursor), np.int64))
        if len(self._held[0]) != count:
            raise StoreCorrupt(_UNPAIRED)

    def _read(
        self, connection: sqlite3.Connection, after: int, count: int
    ) -> tuple[NDArray[np.int64], Floats]:
        keys, rows = [np.empty(0, np.int64)], [np.empty((0, self._vectors.dim), np.float32)]
        for some_keys, some_rows in self._vectors.blocks(connection, after=after):
            keys.append(some_keys)
            rows.append(some_rows)
            if sum(map(len, keys)) > count:
                raise StoreCorrupt(_UNPAIRED)
        return np.concatenate(keys), np.concatenate(rows)

    def _changed(
        self, connection: sqlite3.Connection, keys: NDArray[np.int64], rows: Floats, alive: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Floats]:
        kept = np.isin(keys, alive, assume_unique=True)
        if not kept.all():
            keys, rows = keys[kept], rows[kept]
        new_keys, new_rows = self._vectors.of(connection, np.setdiff1d(alive, keys).tolist())
        keys, rows = np.concatenate([keys, new_keys]), np.concatenate([rows, new_rows])
        return keys, rows

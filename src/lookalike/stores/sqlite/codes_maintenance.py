"""Keeping the codes up to date with the rows: who writes does it, and nobody waits for it.

Nothing here loads numpy until there is something to do.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt, StoreUnavailable
from lookalike.stores.sqlite import schema
from lookalike.stores.sqlite.database import live

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.indexes.approximate import Digests
    from lookalike.indexes.cache import Cache, Head
    from lookalike.indexes.codes import Coder
    from lookalike.stores.sqlite.database import Database
    from lookalike.stores.sqlite.vectors import Vectors
    from lookalike.types import Floats, Header

LEAST_ROWS = 5_000
"""Below, comparing every row is as fast as going by codes (benches/search.py)."""

TAIL_ROWS = 4_096
"""Rows without a code that a search may have to compare, while others write."""

_DIMS = range(64, 8_193)
_DEAD = 0.2
_DOUBLED, _GROWN = 2, 1.25
_MEAN_ROWS, _READ_FOR_MEAN = 5_000, 50_000


def suits_codes(header: Header) -> bool:
    """Whether codes order vectors as the metric does: by their directions alone."""
    directions = header.space.metric == "cosine" or (
        header.space.metric == "euclidean" and header.space.normalized
    )
    return directions and header.space.dim in _DIMS


class Upkeep:
    """Looks after the codes of one gallery.

    Args:
        database: the gallery's file.
        cache: its codes.
        header: reads the gallery's header in a snapshot.
        least: rows from which on there are codes.
    """

    def __init__(
        self, database: Database, cache: Cache, header: Callable[[sqlite3.Connection], Header], least: int
    ) -> None:
        self.least = least
        self._database = database
        self._cache = cache
        self._header = header
        self._looked_at: tuple[int, int] | None = (0, 0)

    def are_due(self) -> bool:
        """Tell whether codes are missing or far behind; no writer is kept waiting by it."""
        stamp = self._cache.stamp()
        if stamp == self._looked_at:
            return False
        self._looked_at = stamp
        with self._database.reading() as connection:
            header = self._header(connection)
            head = self._cache.head(live(connection).generation, header.space.dim)
            return due(connection, header, head, tail=TAIL_ROWS, least=self.least) is not None

    def keep_up(self, *, tail: int) -> None:
        """Bring the codes up to date if more than `tail` rows lack them; with the right to write."""
        with self._database.reading() as connection:
            keep_up(connection, self._header(connection), self._cache, tail=tail, least=self.least)
        self._looked_at = self._cache.stamp()


def keep_up(
    connection: sqlite3.Connection, header: Header, cache: Cache, *, tail: int, least: int = LEAST_ROWS
) -> None:
    """Bring the codes up to date if more than `tail` rows lack them, of a gallery of at least so many.

    Raises:
        StoreUnavailable: the cache can't be written.
    """
    head = cache.head(live(connection).generation, header.space.dim)
    what = due(connection, header, head, tail=tail, least=least)
    if what is None:
        return
    from lookalike.stores.sqlite.vectors import Vectors

    vectors = Vectors(header.space.dim, header.space.row_type)
    try:
        if what == "build" or head is None or not extend(connection, vectors, cache, head):
            build(connection, header, vectors, cache)
    except OSError as error:
        with suppress(OSError):
            cache.clear_unpublished()
        raise StoreUnavailable(
            f"{cache.folder} can't be written ({error}); what was indexed is safe, but searches are slower"
        ) from error


def due(
    connection: sqlite3.Connection,
    header: Header,
    head: Head | None,
    *,
    tail: int = 0,
    least: int = LEAST_ROWS,
) -> str | None:
    """What is to be done: `build` everything anew, `extend` by the rows above `tail`, or nothing."""
    if not suits_codes(header):
        return None
    count = live(connection).count
    if head is None:
        return "build" if count >= least else None
    if head.commits > live(connection).commits:
        return "build"  # of a later state of the gallery than the one that was put back
    # What codes tell was measured on fewer rows. A run that ends has time to measure again.
    if count >= (_DOUBLED if tail else _GROWN) * head.calibrated:
        return "build"
    uncoded = connection.execute("SELECT count(*) FROM pictures WHERE row > ?", (head.last,)).fetchone()[0]
    foreign = head.useful and count - uncoded > head.rows  # codes of other rows than these
    if foreign or (head.rows and head.rows - (count - uncoded) > _DEAD * head.rows):
        return "build"
    return "extend" if head.useful and uncoded > tail else None


def extend(connection: sqlite3.Connection, vectors: Vectors, cache: Cache, head: Head) -> bool:
    """Add codes of the rows that have none; False where the cache turns out broken."""
    from lookalike.indexes.approximate import Digests
    from lookalike.indexes.codes import Coder

    loaded = cache.codes(head)
    if loaded is None or cache.shared(head):
        return False
    coder, digests = Coder(loaded[1], head.seed), Digests(cache.digests(head))
    for keys, rows in vectors.blocks(connection, after=head.last):
        head = _added(cache, head, coder, digests, keys, rows)
    cache.publish(replace(head, commits=live(connection).commits))
    return True


def build(connection: sqlite3.Connection, header: Header, vectors: Vectors, cache: Cache) -> None:
    """Make all codes anew, and measure what they tell."""
    import numpy as np

    from lookalike.indexes import calibration, distances, exact
    from lookalike.indexes.approximate import Digests
    from lookalike.indexes.codes import Bounds, Coder

    now = live(connection)
    mean = _mean(connection, vectors)
    head = cache.start(now.generation, header.space.dim, mean)
    coder, digests = Coder(mean, head.seed), Digests(np.empty(0, np.uint64))
    own = _directions(vectors, connection, _sample(connection, calibration.OWN, head.seed))
    queries = np.concatenate([own, calibration.foreign(own, head.seed)]) if len(own) else own
    most = calibration.NEIGHBOURS + 2
    truth = [exact.NOTHING] * len(queries)
    for keys, stored in vectors.blocks(connection):
        head = _added(cache, head, coder, digests, keys, stored)
        rows = distances.normalized(stored)
        found = exact.search(queries, [(keys, rows)], most, "cosine")
        truth = [exact.merge(a, b, most) for a, b in zip(truth, found, strict=True)]
    head = replace(head, calibrated=head.rows, commits=now.commits)
    near = [_directions(vectors, connection, found.keys.tolist()) for found in truth]
    bounds = Bounds(calibration.spread(coder, queries, near), head.nearest, head.farthest)
    loaded = cache.codes(head)
    asked = coder.queries(own)
    if len(own) and loaded and calibration.pays(bounds, asked, truth[: len(own)], loaded[0]):
        head = replace(head, spread=bounds.spread)
    else:
        # The head alone stays, so that the verdict is kept until there are twice as many rows.
        head = replace(head, rows=0)
    cache.publish(head)


def _added(
    cache: Cache, head: Head, coder: Coder, digests: Digests, keys: NDArray[np.int64], rows: Floats
) -> Head:
    """The head after the codes of rows (n, dim) were appended to the arrays."""
    from lookalike.indexes import distances
    from lookalike.indexes.cache import Coded

    away = coder.away(distances.normalized(rows[rows.any(axis=1)]))
    if len(away):
        nearest, farthest = float(away.min()), float(away.max())
        known = head.farthest > 0
        nearest = min(nearest, head.nearest) if known else nearest
        head = replace(head, nearest=nearest, farthest=max(farthest, head.farthest))
    made, firsts = digests.add(rows)
    return cache.append(head, Coded(keys, *coder.encode(rows), firsts, made), last=int(keys[-1]))


def _directions(vectors: Vectors, connection: sqlite3.Connection, rows: list[int]) -> Floats:
    """Those of some rows (n, dim) that are not zero, at unit length."""
    from lookalike.indexes import distances

    found = vectors.of(connection, rows)[1]
    return distances.normalized(found[found.any(axis=1)])


def _mean(connection: sqlite3.Connection, vectors: Vectors) -> Floats:
    """The mean direction of the first rows, each of equal ones once."""
    import numpy as np

    from lookalike.indexes import distances
    from lookalike.indexes.approximate import digests

    total, seen, read = np.zeros(vectors.dim, np.float64), 0, 0
    for _, stored in vectors.blocks(connection):
        rows = stored[np.unique(digests(stored), return_index=True)[1]]
        total += distances.normalized(rows).sum(axis=0)
        seen, read = seen + len(rows), read + len(stored)
        if seen >= _MEAN_ROWS or read >= _READ_FOR_MEAN:
            break
    return (total / max(seen, 1)).astype(np.float32)


def _sample(connection: sqlite3.Connection, size: int, seed: int) -> list[int]:
    """Some rows, spread evenly over all that there are."""
    rows = connection.execute("SELECT min(row), max(row), count(*) FROM vectors").fetchone()
    if not rows[2]:
        return []
    low, high, _ = rows
    if not 1 <= low <= high <= schema.LAST_ROW:
        raise StoreCorrupt(f"the gallery has vectors that are no picture's; {schema.ADVICE}")
    step = max(1.0, (high - low + 1) / size)
    start = low + (seed % 1000) / 1000 * step
    picked = set()
    for i in range(size):
        found = connection.execute(
            "SELECT min(row) FROM vectors WHERE row >= ?", (int(start + i * step),)
        ).fetchone()
        picked.add(found[0])
    return sorted(picked - {None})

"""Keeping the codes up to date with the rows: who writes does it, and nobody waits for it.

Nothing here loads numpy until there is something to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.errors import StoreUnavailable
from lookalike.stores.sqlite.database import live

if TYPE_CHECKING:
    import sqlite3

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.indexes.cache import Cache, Depth, Head
    from lookalike.indexes.codes import Coder
    from lookalike.indexes.exact import Found
    from lookalike.stores.sqlite.vectors import Vectors
    from lookalike.types import Floats, Header

LEAST_ROWS = 5_000
"""Below, comparing every row is as fast as going by codes (benches/search.py)."""

TAIL_ROWS = 4_096
"""Rows without a code that a search may have to compare, while others write."""

_DIMS = range(64, 8_193)
_DEAD = 0.2
_DOUBLED, _GROWN = 2, 1.25
_MEAN_ROWS = 5_000


def suits_codes(header: Header) -> bool:
    """Whether codes order vectors as the metric does: by their directions alone."""
    directions = header.metric == "cosine" or (header.metric == "euclidean" and header.normalized)
    return directions and header.dim in _DIMS


def keep_up(connection: sqlite3.Connection, header: Header, cache: Cache, *, tail: int) -> None:
    """Bring the codes up to date if more than `tail` rows lack them.

    Raises:
        StoreUnavailable: the cache can't be written.
    """
    head = cache.head(live(connection).generation, header.dim)
    what = due(connection, header, head, tail=tail)
    if what is None:
        return
    from lookalike.stores.sqlite.vectors import Vectors

    vectors = Vectors(header.dim, header.row_type)
    try:
        if what == "build" or head is None or not extend(connection, vectors, cache, head):
            build(connection, header, vectors, cache)
    except OSError as error:
        raise StoreUnavailable(
            f"{cache.folder} can't be written ({error}); what was indexed is safe, but searches are slower"
        ) from error


def due(connection: sqlite3.Connection, header: Header, head: Head | None, *, tail: int = 0) -> str | None:
    """What is to be done: `build` everything anew, `extend` by the rows above `tail`, or nothing."""
    if not suits_codes(header):
        return None
    count = live(connection).count
    if head is None:
        return "build" if count >= LEAST_ROWS else None
    # The depth of a search was measured on fewer rows. A run that ends has time to measure again.
    if count >= (_DOUBLED if tail else _GROWN) * head.calibrated:
        return "build"
    uncoded = connection.execute("SELECT count(*) FROM pictures WHERE row > ?", (head.last,)).fetchone()[0]
    if head.rows and head.rows - (count - uncoded) > _DEAD * head.rows:
        return "build"
    return "extend" if head.useful and uncoded > tail else None


def extend(connection: sqlite3.Connection, vectors: Vectors, cache: Cache, head: Head) -> bool:
    """Add codes of the rows that have none; False where the cache turns out broken."""
    from lookalike.indexes.codes import Coder

    loaded = cache.codes(head)
    if loaded is None:
        return False
    coder = Coder(loaded[1], head.seed)
    for keys, rows in vectors.blocks(connection, after=head.last):
        head = cache.append(head, keys, *coder.encode(rows), last=int(keys[-1]))
    cache.publish(head)
    return True


def build(connection: sqlite3.Connection, header: Header, vectors: Vectors, cache: Cache) -> None:
    """Make all codes anew, and measure how deep a search by them must go."""
    from lookalike import distances
    from lookalike.indexes import calibration
    from lookalike.indexes.codes import Coder

    now = live(connection)
    mean = _mean(connection, vectors)
    head = cache.start(now.generation, header.dim, mean)
    coder = Coder(mean, head.seed)
    sample = _sample(connection, calibration.QUERIES, head.seed)
    chosen, queries = vectors.of(connection, sample)
    truth: list[Found] = []
    for keys, stored in vectors.blocks(connection):
        rows = distances.normalized(stored)
        truth = _nearer(truth, queries, keys, rows, calibration.NEIGHBOURS + 2)
        head = cache.append(head, keys, *coder.encode(rows), last=int(keys[-1]))
    head = replace(head, calibrated=now.count)
    if len(chosen) and (depth := _depth(cache, head, coder, queries, chosen, truth)) is not None:
        head = replace(head, **depth._asdict())
    else:
        # The head alone stays, so that the verdict is kept until there are twice as many rows.
        head = replace(head, rows=0)
    cache.publish(head)


def _mean(connection: sqlite3.Connection, vectors: Vectors) -> Floats:
    """The mean direction of the first rows."""
    import numpy as np

    from lookalike import distances

    total, seen = np.zeros(vectors.dim, np.float64), 0
    for keys, rows in vectors.blocks(connection):
        total += distances.normalized(rows).sum(axis=0)
        seen += len(keys)
        if seen >= _MEAN_ROWS:
            break
    return (total / max(seen, 1)).astype(np.float32)


def _sample(connection: sqlite3.Connection, size: int, seed: int) -> list[int]:
    """Some rows, spread evenly over all that there are."""
    rows = connection.execute("SELECT min(row), max(row), count(*) FROM vectors").fetchone()
    if not rows[2]:
        return []
    low, high, _ = rows
    step = max(1.0, (high - low + 1) / size)
    start = low + (seed % 1000) / 1000 * step
    picked = set()
    for i in range(size):
        found = connection.execute(
            "SELECT min(row) FROM vectors WHERE row >= ?", (int(start + i * step),)
        ).fetchone()
        picked.add(found[0])
    return sorted(picked - {None})


def _nearer(
    truth: list[Found], queries: Floats, keys: NDArray[np.int64], rows: Floats, k: int
) -> list[Found]:
    from lookalike.indexes import exact

    found = exact.search(queries, [(keys, rows)], k, "cosine")
    return [exact.merge(a, b, k) for a, b in zip(truth, found, strict=True)] if truth else found


def _depth(
    cache: Cache, head: Head, coder: Coder, queries: Floats, chosen: NDArray[np.int64], truth: list[Found]
) -> Depth | None:
    import numpy as np

    from lookalike.indexes import calibration

    loaded = cache.codes(head)
    if loaded is None:
        return None
    codes, _ = loaded
    positions = [
        np.searchsorted(codes.keys, calibration.neighbours(found, int(row)))
        for found, row in zip(truth, chosen, strict=True)
    ]
    return calibration.calibrate(coder.queries(queries), positions, codes)

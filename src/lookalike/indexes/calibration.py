"""How deep a search by codes must go to find what an exact one finds: measured, not assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.indexes import codes as coding
from lookalike.indexes.cache import Depth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.indexes.cache import Codes
    from lookalike.indexes.codes import Query
    from lookalike.indexes.exact import Found

NEIGHBOURS = 10
QUERIES = 128

_SIEVES = (
    (600, 150),
    (600, 200),
    (800, 200),
    (800, 250),
    (800, 300),
    (1200, 300),
    (1200, 400),
    (1600, 400),
    (1600, 500),
    (2400, 600),
    (4000, 600),
    (8000, 400),
    (8000, 800),
    (8000, 1600),
    (8000, 3000),
    (16000, 4000),
)
"""How many rows are scanned for, and how many of those estimated: tried from the cheapest."""

_RESCORED = (12, 16, 24, 32, 48, 64, 80, 96, 128, 192, 256, 384, 512)
_DEEPEST = Depth(*_SIEVES[-1], _RESCORED[-1])
_TARGET = 0.998
"""Of the sampled neighbours: a larger share would hang on the one or two that are hardest to find."""

_MARGIN = 1.5
"""How much deeper than is enough for the sample: .9992 and more of other queries' (benches/search.py)."""

_TIE = 1e-6


def calibrate(queries: Sequence[Query], truth: Sequence[NDArray[np.int64]], codes: Codes) -> Depth | None:
    """The least depth that finds the true neighbours; None if none within bounds does.

    Args:
        queries: rows of the gallery as queries.
        truth: for each the positions of its neighbours.
        codes: of the gallery.
    """
    lists = coding.scan(queries, codes, min(_SIEVES[-1][0], len(codes.keys)))
    best: Depth | None = None
    for scanned, estimated in _SIEVES:
        if 2 * scanned > len(codes.keys):
            # To look at half of the rows one by one takes longer than to compare all.
            break
        if best is not None and _cost(Depth(scanned, estimated, _RESCORED[0])) >= _cost(best):
            continue
        ranks = np.concatenate(
            [
                _ranks(true, coding.ranked(query, codes, candidates[:scanned], estimated))
                for query, candidates, true in zip(queries, lists, truth, strict=True)
            ]
        )
        enough = (r for r in _RESCORED if (ranks < r).sum() >= _TARGET * len(ranks))
        if (rescored := next(enough, None)) is not None:
            best = min(Depth(scanned, estimated, rescored), best or _DEEPEST, key=_cost)
    return None if best is None else best.times(_MARGIN)


def _cost(depth: Depth) -> int:
    """Nanoseconds of a search, by what a row costs at each stage (benches/search.py)."""
    return 100 * depth.scanned + 600 * depth.estimated + 12000 * depth.rescored


def _ranks(true: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each true neighbour in an order; that of the last and beyond where it is not in it."""
    found = order[None, :] == true[:, None]  # (t, m)
    ranks: NDArray[np.int64] = np.where(found.any(axis=1), found.argmax(axis=1), len(order))
    return np.where(ranks < len(order), ranks, np.iinfo(np.int64).max)


def neighbours(found: Found, itself: int) -> NDArray[np.int64]:
    """Keys of a row's true neighbours, without itself and without those that tie at the edge.

    Where the last neighbour ties with the next row, an approximate search may rightly give either.
    """
    others = found.keys != itself
    keys: NDArray[np.int64] = found.keys[others]
    scores = found.scores[others]
    if len(keys) <= NEIGHBOURS:
        return keys
    edge = scores[NEIGHBOURS] + _TIE
    clear: NDArray[np.int64] = keys[:NEIGHBOURS][scores[:NEIGHBOURS] > edge]
    return clear

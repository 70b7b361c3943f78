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

_DEPTHS = tuple(
    Depth(scanned, estimated, rescored)
    for scanned, estimated in ((1000, 400), (2000, 400), (4000, 800), (8000, 1600))
    for rescored in (64, 96, 128, 192, 256)
)
_TARGET = 0.9985
"""Of the sampled neighbours: leaves room for the error of the sample below .995 overall."""

_TIE = 1e-6


def calibrate(queries: Sequence[Query], truth: Sequence[NDArray[np.int64]], codes: Codes) -> Depth | None:
    """The least depth that finds the true neighbours; None if none within bounds does.

    Args:
        queries: rows of the gallery as queries.
        truth: for each the positions of its neighbours.
        codes: of the gallery.
    """
    wanted = sum(map(len, truth))
    lists = coding.scan(queries, codes, min(_DEPTHS[-1].scanned, len(codes.keys)))
    for depth in _DEPTHS:
        found = 0
        for query, candidates, true in zip(queries, lists, truth, strict=True):
            kept = coding.refine(query, codes, candidates[: depth.scanned], depth)
            found += int(np.isin(true, kept).sum())
        if found >= _TARGET * wanted:
            return depth
    return None


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

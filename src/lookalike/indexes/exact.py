"""The exact index: every row is compared with every query, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.indexes import distances

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lookalike.types import Floats

_PRODUCT_BYTES = 32 << 20


class Found(NamedTuple):
    """The best rows for one query: keys (k,) and exact scores (k,), best first."""

    keys: NDArray[np.int64]
    scores: Floats


NOTHING = Found(np.empty(0, np.int64), np.empty(0, np.float32))


def search(
    queries: Floats, blocks: Iterable[tuple[NDArray[np.int64], Floats]], k: int, metric: str
) -> list[Found]:
    """The k best rows of all blocks for each query.

    Args:
        queries: ndarray of shape (q, dim).
        blocks: keys (n,) and rows (n, dim) at a time; keys are unique over all blocks.
        k: how many.
        metric: of the scores.
    """
    found = [NOTHING] * len(queries)
    if k == 0:
        return found
    for keys, rows in blocks:
        if len(keys) == 0:
            continue
        # Memory is bounded in the number of queries too.
        step = max(1, _PRODUCT_BYTES // (4 * len(keys)))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            for i, near in enumerate(distances.estimated(part, rows, metric), start):
                found[i] = merge(found[i], _rescored(queries[i], keys, rows, near, k, metric), k)
    return found


def merge(a: Found, b: Found, k: int) -> Found:
    """The k best of two answers that share no key."""
    for one, other in ((a, b), (b, a)):
        if len(one.keys) == 0:
            return Found(other.keys[:k], other.scores[:k])
    keys = np.concatenate([a.keys, b.keys])
    scores = np.concatenate([a.scores, b.scores])
    order = distances.best(scores, keys, k)
    return Found(keys[order], scores[order])


def _rescored(
    query: Floats,
    keys: NDArray[np.int64],
    rows: Floats,
    near: tuple[Floats, Floats],
    k: int,
    metric: str,
) -> Found:
    estimates, errors = near
    if k < len(keys):
        # Whatever may be among the k best, so far as rounding lets it be told; NaN tells nothing.
        least = -np.partition(errors - estimates, k - 1)[k - 1]
        chosen = np.flatnonzero(~(estimates + errors < least))
        keys, rows = keys[chosen], rows[chosen]
    scores = distances.scores(query, rows, metric)
    order = distances.best(scores, keys, k)
    return Found(keys[order], scores[order])

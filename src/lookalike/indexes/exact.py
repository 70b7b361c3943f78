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

_DIRECT = ("cosine", "inner")
"""Metrics whose scores cost no more than estimates of them."""


class Found(NamedTuple):
    """The best rows for one query: keys (k,) and exact scores (k,), best first."""

    keys: NDArray[np.int64]
    scores: Floats


class Block(NamedTuple):
    """Some of the rows to compare.

    keys: ndarray of shape (n,), int64.
    rows: ndarray of shape (n, dim).
    squares: their squared lengths, ndarray of shape (n,), where they are kept.
    """

    keys: NDArray[np.int64]
    rows: Floats
    squares: NDArray[np.float64] | None = None

    def take(self, places: NDArray[np.intp]) -> Block:
        """Return the rows at some places."""
        squares = None if self.squares is None else self.squares[places]
        return Block(self.keys[places], self.rows[places], squares)


NOTHING = Found(np.empty(0, np.int64), np.empty(0, np.float32))


def search(
    queries: Floats,
    blocks: Iterable[Block | tuple[NDArray[np.int64], Floats]],
    k: int,
    metric: str,
) -> list[Found]:
    """Return the k best rows of all blocks for each query.

    One query is scored directly, without a matrix product: threads of BLAS of several callers wait for
    each other, awake, and take several times as long as one thread each.

    Args:
        queries: ndarray of shape (q, dim).
        blocks: keys (n,) and rows (n, dim) at a time, `Block` or two of its fields; keys are unique over
            all blocks.
        k: how many.
        metric: of the scores.
    """
    found = [NOTHING] * len(queries)
    if k == 0:
        return found
    for block in blocks:
        keys, rows, squares = Block(*block)
        if len(keys) == 0:
            continue
        if len(queries) == 1 and metric in _DIRECT:
            scores = distances.scores(queries[0], rows, metric, squares=squares)
            found[0] = merge(found[0], _best(keys, scores, k), k)
            continue
        # Memory is bounded in the number of queries too.
        step = max(1, _PRODUCT_BYTES // (4 * len(keys)))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            for i, near in enumerate(distances.estimated(part, rows, metric, squares=squares), start):
                found[i] = merge(found[i], _rescored(queries[i], keys, rows, near, k, metric), k)
    return found


def merge(a: Found, b: Found, k: int) -> Found:
    """The k best of two answers that share no key."""
    for one, other in ((a, b), (b, a)):
        if len(one.keys) == 0:
            return Found(other.keys[:k], other.scores[:k])
    keys = np.concatenate([a.keys, b.keys])
    scores = np.concatenate([a.scores, b.scores])
    return _best(keys, scores, k)


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
    return _best(keys, distances.scores(query, rows, metric), k)


def _best(keys: NDArray[np.int64], scores: Floats, k: int) -> Found:
    order = distances.best(scores, keys, k)
    return Found(keys[order], scores[order])

"""Exact scores under each metric, and the best of them.

A score is larger where two vectors are closer: the cosine, the inner product, or the negative
distance of euclidean and of any other metric of scikit-learn. Whatever found a candidate, the score
that leaves a store is computed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import UsageError
from lookalike.system import imports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lookalike.types import Floats

CORE = ("cosine", "euclidean", "inner")
"""The metrics that are computed here; `check` says which others there are."""

_UNFIT = frozenset({"haversine", "mahalanobis", "precomputed", "seuclidean"})
"""Metrics of scikit-learn that need more than two vectors, or vectors of two numbers."""

_BOOLEAN = frozenset({"dice", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule"})
"""Metrics that see of each number only whether it is 0."""


_DIRECT = frozenset({"euclidean", "l2", "nan_euclidean"})
"""Names of one distance: no stored vector holds a NaN."""

_WIDE = 4096
"""Numbers in a vector above which products are summed in float64."""

_SMALL = 1e-24
"""Products smaller than this, or larger than its inverse, are made again in float64."""

_LEAST = 1e-35
"""What a product in float32 may lose because its terms are too small to be kept."""

_FOREIGN_ERROR = 1e-6
"""How far scikit-learn may be apart from itself, asked for many queries or for one."""

_PART = 1 << 19
"""Numbers held in float64 at once."""


def check(metric: str) -> None:
    """Make sure that vectors can be compared by a metric.

    Args:
        metric: `cosine`, `euclidean`, `inner`, or any other that scikit-learn's brute-force search
            knows by name and that needs nothing but two vectors.

    Raises:
        UsageError: it is none of these.
        MissingExtra: it might be one of scikit-learn's, which is not installed.
    """
    if metric in CORE:
        return
    others = _sklearn_metrics()
    if metric not in others:
        raise UsageError(
            f"{metric!r} is no metric to compare vectors by; expected one of {', '.join((*CORE, *others))}"
        )


def squared_lengths(rows: Floats) -> NDArray[np.float64]:
    """Return the squared lengths of rows (n, dim): ndarray of shape (n,)."""
    return _dots(rows, rows)


def scores(query: Floats, rows: Floats, metric: str, *, squares: NDArray[np.float64] | None = None) -> Floats:
    """Return exact scores of rows against one query; equal rows get equal scores, wherever they stand.

    Args:
        query: ndarray of shape (dim,).
        rows: ndarray of shape (n, dim).
        metric: `cosine` (0 against a zero vector), `euclidean` (−L2, by direct difference), `inner`;
            any other is −distance as scikit-learn computes it.
        squares: the `squared_lengths` of the rows, if they are known.

    Returns:
        ndarray of shape (n,), float32; finite.
    """
    if metric in _DIRECT:
        with np.errstate(over="ignore"):
            difference = rows - query
            # Summed in float64: with thousands of numbers float32 loses more than its own last digit.
            squares = np.einsum("ij,ij->i", difference, difference, dtype=np.float64)
        return _finite(-np.sqrt(squares))
    if metric not in CORE:
        one: Floats = _foreign(query[None], rows, metric)[0]
        return one
    products = _dots(rows, query)
    if metric == "inner":
        return _finite(products)
    squares = squared_lengths(rows) if squares is None else squares
    sizes = np.sqrt(squares * _dots(query[None], query))
    cosines = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
    clipped: Floats = np.clip(cosines, -1, 1).astype(np.float32)
    return clipped


def estimates(queries: Floats, rows: Floats, metric: str) -> Floats:
    """Numbers that order rows as their scores do, but for rounding: one matrix product.

    Args:
        queries: ndarray of shape (q, dim).
        rows: ndarray of shape (n, dim).
        metric: as for `scores`.

    Returns:
        ndarray of shape (q, n), float32; NaN where a number was too large to say.
    """
    return _estimates(queries, rows, metric, None if metric == "inner" else squared_lengths(rows))


def estimated(
    queries: Floats, rows: Floats, metric: str, *, squares: NDArray[np.float64] | None = None
) -> Iterator[tuple[Floats, Floats]]:
    """Estimates as of `estimates`, with how far rounding may have put each from the truth.

    Args:
        queries: ndarray of shape (q, dim).
        rows: ndarray of shape (n, dim).
        metric: as for `scores`.
        squares: the `squared_lengths` of the rows, if they are known.

    Yields:
        For each query the estimates and their errors, two ndarrays of shape (n,).
    """
    squares = squared_lengths(rows) if squares is None else squares
    values = _estimates(queries, rows, metric, squares)
    # A matrix product adds in at least eight lanes; the worst case of each, and of what is done after it.
    unit = np.finfo(np.float32).eps * (8 + rows.shape[1] / 8)
    for query, own in zip(queries, values, strict=True):
        if metric not in CORE:
            error = _FOREIGN_ERROR * np.abs(own)
        elif metric == "cosine":
            error = np.full_like(own, unit)
        else:
            error = unit * np.sqrt(_dots(query[None], query) * squares) + _LEAST
            error = 2 * error + unit * squares if metric == "euclidean" else error
        yield own, error


def _estimates(queries: Floats, rows: Floats, metric: str, squares: NDArray[np.float64] | None) -> Floats:
    if metric not in CORE:
        return (
            np.stack([scores(query, rows, metric) for query in queries])
            if metric in _DIRECT
            else (_foreign(queries, rows, metric))
        )
    with np.errstate(over="ignore", invalid="ignore"):
        products: Floats = (normalized(queries) if metric == "cosine" else queries) @ rows.T  # (q, n)
        if metric != "inner" and squares is not None:
            lengths = squares.astype(np.float32)
            if metric == "euclidean":
                products = 2 * products - lengths
            else:
                # Of numbers that small the product has lost its digits.
                lengths[(squares > 0) & (squares < _SMALL)] = np.nan
                products /= np.sqrt(np.where(squares > 0, lengths, np.float32(1)))
    products[~np.isfinite(products)] = np.nan
    return products


def best(values: Floats, keys: NDArray[np.int64], k: int) -> NDArray[np.intp]:
    """Positions of the k largest values, largest first; of equal ones the smaller key first.

    Args:
        values: ndarray of shape (n,).
        keys: ndarray of shape (n,), unique.
        k: how many; all if there are fewer.
    """
    chosen = np.arange(len(values))
    if 0 < k < len(values):
        # Everything as good as the k-th stays in, so that the keys decide between equals.
        least = values[np.argpartition(-values, k - 1)[k - 1]]
        chosen = np.flatnonzero(values >= least)
    order = np.lexsort((keys[chosen], -values[chosen]))
    return chosen[order[:k]]


def normalized(rows: Floats) -> Floats:
    """Rows at unit length, ndarray of shape (n, dim); zero rows stay zero."""
    sizes = np.sqrt(_dots(rows, rows))
    divisors: Floats = -_finite(-np.where(sizes > 0, sizes, 1))
    return rows / divisors[:, None]


def _foreign(queries: Floats, rows: Floats, metric: str) -> Floats:
    """−distances of (q, dim) queries and (n, dim) rows by a metric of scikit-learn: (q, n)."""
    check(metric)
    from sklearn.metrics import pairwise_distances

    a, b = (queries != 0, rows != 0) if metric in _BOOLEAN else (queries, rows)
    found: Floats = pairwise_distances(a, b, metric=metric).astype(np.float32)
    # Two vectors of which such a metric can say nothing (a constant one by correlation) are not close.
    return -np.where(np.isfinite(found), found, np.finfo(np.float32).max)


def _sklearn_metrics() -> list[str]:
    try:
        from sklearn.neighbors import VALID_METRICS
    except ImportError as error:
        raise imports.missing("a metric other than cosine, euclidean and inner", "metrics") from error
    return sorted(set(VALID_METRICS["brute"]) - _UNFIT - set(CORE))


def _dots(rows: Floats, others: Floats) -> NDArray[np.float64]:
    """Inner products of rows (n, dim) with one vector (dim,), or each with its own (n, dim): (n,)."""
    signature = "ij,j->i" if others.ndim == 1 else "ij,ij->i"
    if rows.shape[1] > _WIDE:
        return _long_dots(rows, others, signature)
    with np.errstate(over="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.einsum(signature, rows, others).astype(np.float64)
    size = np.abs(found)
    odd = np.flatnonzero(~((size > _SMALL) & (size < 1 / _SMALL)))
    if len(odd):
        found[odd] = _long_dots(rows[odd], others if others.ndim == 1 else others[odd], signature)
    return found


def _long_dots(rows: Floats, others: Floats, signature: str) -> NDArray[np.float64]:
    """The same in float64, for what float32 has not the digits or the range."""
    found = np.empty(len(rows), np.float64)
    step = max(1, _PART // max(rows.shape[1], 1))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        right = others if others.ndim == 1 else others[part]
        found[part] = np.einsum(signature, rows[part].astype(np.float64), right.astype(np.float64))
    return found


def _finite(values: NDArray[np.float64]) -> Floats:
    """As float32, the largest there is in place of what is larger."""
    most = np.finfo(np.float32).max
    finite: Floats = np.clip(values, -most, most).astype(np.float32)
    return finite

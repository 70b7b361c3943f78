"""Exact scores under each metric, and the best of them.

A score is larger where two vectors are closer: the cosine, the inner product, or the negative
distance of euclidean and of any other metric of scikit-learn. Whatever found a candidate, the score
that leaves a store is computed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Floats

CORE = ("cosine", "euclidean", "inner")
"""The metrics that are computed here; `check` says which others there are."""

_UNFIT = frozenset({"haversine", "mahalanobis", "precomputed", "seuclidean"})
"""Metrics of scikit-learn that need more than two vectors, or vectors of two numbers."""

_BOOLEAN = frozenset({"dice", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule"})
"""Metrics that see of each number only whether it is 0."""


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


def scores(query: Floats, rows: Floats, metric: str) -> Floats:
    """Exact scores of rows against one query; equal rows get equal scores, wherever they stand.

    Args:
        query: ndarray of shape (dim,).
        rows: ndarray of shape (n, dim).
        metric: `cosine` (0 against a zero vector), `euclidean` (−L2, by direct difference), `inner`;
            any other is −distance as scikit-learn computes it.

    Returns:
        ndarray of shape (n,), float32.
    """
    if metric not in CORE:
        one: Floats = _foreign(query[None], rows, metric)[0]
        return one
    if metric == "euclidean":
        difference = rows - query
        # Summed in float64: with thousands of numbers float32 loses more than its own last digit.
        squares = np.einsum("ij,ij->i", difference, difference, dtype=np.float64)
        apart: Floats = -np.sqrt(squares).astype(np.float32)
        return apart
    products: Floats = np.einsum("ij,j->i", rows, query)
    if metric == "inner":
        return products
    sizes = np.sqrt(_dot(rows, rows)) * np.float32(np.linalg.norm(query))
    cosines = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
    return np.clip(cosines, -1, 1)


def estimates(queries: Floats, rows: Floats, metric: str) -> Floats:
    """Numbers that order rows as their scores do, but for rounding: one matrix product.

    Args:
        queries: ndarray of shape (q, dim).
        rows: ndarray of shape (n, dim).
        metric: as for `scores`.

    Returns:
        ndarray of shape (q, n), float32.
    """
    if metric not in CORE:
        return _foreign(queries, rows, metric)
    products: Floats = queries @ rows.T  # (q, n)
    if metric == "inner":
        return products
    squares = _dot(rows, rows)
    if metric == "euclidean":
        return 2 * products - squares
    sizes: Floats = np.sqrt(np.where(squares > 0, squares, np.float32(1)))
    return products / sizes


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
    sizes = np.sqrt(_dot(rows, rows))
    divisors: Floats = np.where(sizes > 0, sizes, np.float32(1))
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
        raise MissingExtra(
            "metrics other than cosine, euclidean and inner need an extra package: "
            "pip install 'lookalike[metrics]'"
        ) from error
    return sorted(set(VALID_METRICS["brute"]) - _UNFIT - set(CORE))


def _dot(a: Floats, b: Floats) -> Floats:
    product: Floats = np.einsum("ij,ij->i", a, b)
    return product

"""Exact scores under each metric, and the best of them.

A score is larger where two vectors are closer: the cosine, the negative L2 distance, or the inner
product. Whatever found a candidate, the score that leaves a store is computed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Floats, Metric


def scores(query: Floats, rows: Floats, metric: Metric) -> Floats:
    """Exact scores of rows against one query; equal rows get equal scores, wherever they stand.

    Args:
        query: ndarray of shape (dim,).
        rows: ndarray of shape (n, dim).
        metric: `cosine` (0 against a zero vector), `euclidean` (−L2, by direct difference), `inner`.

    Returns:
        ndarray of shape (n,), float32.
    """
    if metric == "euclidean":
        difference = rows - query
        return -np.sqrt(_dot(difference, difference))
    products: Floats = np.einsum("ij,j->i", rows, query)
    if metric == "inner":
        return products
    sizes = np.sqrt(_dot(rows, rows)) * np.float32(np.linalg.norm(query))
    cosines = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
    return np.clip(cosines, -1, 1)


def estimates(queries: Floats, rows: Floats, metric: Metric) -> Floats:
    """Numbers that order rows as their scores do, but for rounding: one matrix product.

    Args:
        queries: ndarray of shape (q, dim).
        rows: ndarray of shape (n, dim).
        metric: as for `scores`.

    Returns:
        ndarray of shape (q, n), float32.
    """
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


def _dot(a: Floats, b: Floats) -> Floats:
    product: Floats = np.einsum("ij,ij->i", a, b)
    return product

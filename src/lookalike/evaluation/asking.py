"""Ask a gallery with its own stored vectors, exactly and in bounded memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from lookalike.evaluation import measures
from lookalike.indexes import distances
from lookalike.reports import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from lookalike.gallery import Gallery
    from lookalike.types import Floats

_NUMBERS = 1 << 25
"""Numbers of query vectors that are held at a time, in float64: 256 MB."""

_SCORES = 1 << 22
"""Scores that are looked at at a time."""

_PICTURES = 4096
"""Pictures read at a time; the store reads fewer of long vectors."""


def rankings(
    gallery: Gallery,
    ids: Sequence[str],
    labels: Sequence[Hashable],
    *,
    queries: NDArray[np.intp],
    searched: NDArray[np.bool_],
    depth: int,
    progress: Callable[[Progress], object] | None = None,
) -> measures.Ranking:
    """What each query finds among the pictures searched, by the gallery's own metric.

    A picture is never its own answer. The gallery's vectors are read once for every 256 MB of query
    vectors, some thousand pictures at a time, and nothing but the best of each query is kept.

    Args:
        gallery: whose vectors.
        ids: its pictures.
        labels: of each its label, as `lookalike.evaluation.measures` has them.
        queries: the rows of those that ask, shape (q,), at least one.
        searched: which pictures can be found, shape (n,); for each query at least one besides itself.
        depth: how many ranks to keep.
        progress: called with how many queries have been answered, and of the last ones the share.
    """
    rows = {id_: row for row, id_ in enumerate(ids)}
    alike = measures.Relevance(labels)
    # With itself left out a query can't fill more ranks than this.
    depth = min(depth, int(searched.sum()) - bool(searched[queries].any()))
    block = max(1, _NUMBERS // gallery.store.header.dim)
    parts = []
    began = time.perf_counter()
    for start in range(0, len(queries), block):
        asked = queries[start : start + block]

        def told(share: float, start: int = start, count: int = len(asked)) -> None:
            if progress is not None:
                done = start + int(share * count)
                progress(Progress(done, len(queries), 0, time.perf_counter() - began))

        best = _ask(gallery, rows, alike, asked, [ids[row] for row in asked], searched, depth, told)
        parts += [one.ranking(of) for one, of in zip(best, _split(asked), strict=True)]
    return measures.join(parts)


def similarity(queries: NDArray[np.floating], pictures: Floats, metric: str) -> Floats:
    """Scores by the metric, larger is closer, the same for equal vectors wherever they stand.

    A sum of many products depends on the order in which they are added, and so equal vectors may
    differ in the last digit, which would order what has no order. In float64 that digit is far behind
    the ones that are returned.

    Args:
        queries: ndarray of shape (q, dim); in float64 they need not be copied.
        pictures: ndarray of shape (n, dim), float32.
        metric: as `lookalike.indexes.distances` has them.

    Returns:
        ndarray of shape (q, n).
    """
    if metric not in distances.CORE:
        return distances.estimates(queries.astype(np.float32, copy=False), pictures, metric)
    one, other = np.asarray(queries, np.float64), np.asarray(pictures, np.float64)
    products: NDArray[np.float64] = one @ other.T  # (q, n)
    if metric == "inner":
        return products.astype(np.float32)
    ours, theirs = (np.einsum("ij,ij->i", x, x) for x in (one, other))
    if metric == "cosine":
        sizes = np.sqrt(ours)[:, None] * np.sqrt(theirs)
        products = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
        return products.astype(np.float32)
    sums = ours[:, None] + theirs
    squares = sums - 2 * products
    # What is left of equal vectors is the rounding of their squares.
    squares[squares < 1e-13 * sums] = 0
    scores: Floats = -np.sqrt(squares).astype(np.float32)
    return scores


def _ask(
    gallery: Gallery,
    rows: dict[str, int],
    alike: measures.Relevance,
    asked: NDArray[np.intp],
    ids: list[str],
    searched: NDArray[np.bool_],
    depth: int,
    told: Callable[[float], None],
) -> list[measures.Shortlist]:
    """The best of some queries, one shortlist for each of the parts that `_split` makes of them."""
    metric = gallery.store.header.metric
    parts = _split(asked)
    best = [measures.Shortlist(depth) for _ in parts]
    stored = gallery.vectors(ids)
    # As `similarity` wants them, once and not for every batch.
    held: NDArray[np.floating] = stored.astype(np.float64) if metric in distances.CORE else stored
    del stored
    vectors = np.split(held, np.cumsum([len(part) for part in parts])[:-1])
    read = 0
    for batch in gallery.store.scan(batch=_PICTURES):
        read += len(batch.records)
        # What came in since the labels were read has no row.
        found = np.array([rows.get(record.id, -1) for record in batch.records], np.intp)
        wanted = (found >= 0) & searched[found]
        found, pictures = found[wanted], batch.vectors[wanted]
        if not len(found):
            continue
        for one, part, own in zip(best, parts, vectors, strict=True):
            scores = similarity(own, pictures, metric)  # (q, n)
            relevant = alike.between(part, found)
            itself = part[:, None] == found
            scores[itself], relevant[itself] = -np.inf, False
            one.add(scores, relevant)
        told(min(read / max(len(rows), 1), 1))
    return best


def _split(queries: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Queries in parts whose scores on one batch of pictures are not too many."""
    size = _SCORES // _PICTURES
    return [queries[start : start + size] for start in range(0, len(queries), size)]

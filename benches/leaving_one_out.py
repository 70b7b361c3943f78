"""Rank by asking with each picture for the others, from vectors in memory: the plain form of `evaluate`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation.measures import Relevance, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from lookalike.evaluation.measures import Ranking

    Reals: TypeAlias = NDArray[np.floating]
    Similarity: TypeAlias = Callable[[Reals, Reals], Reals]

_BLOCK = 1 << 23
"""Scores ranked at a time."""


def frequent(labels: Sequence[Hashable], *, at_least: int = 5) -> NDArray[np.bool_]:
    """Return which pictures have a label that at least so many have, shape (n,). None is no label."""
    counts = Counter(labels)
    return np.array([label is not None and counts[label] >= at_least for label in labels], bool)


def leave_one_out(
    vectors: Reals,
    labels: Sequence[Hashable],
    similarity: Similarity,
    *,
    depth: int = 100,
    queries: ArrayLike | None = None,
) -> Iterator[Ranking]:
    """Ask with each picture for the others; those of its own label are relevant.

    A picture is never its own answer. Pictures whose label is None are there to be found, wrongly.

    Args:
        vectors: ndarray of shape (n, dim).
        labels: n labels.
        similarity: scores of (q, dim) queries with (n, dim) vectors, shape (q, n), larger is closer.
        depth: how many ranks to keep; at most n - 1 are.
        queries: the rows to ask with, each of which has a label; by default all that have one.

    Yields:
        Rankings of as many queries as keep the memory for their scores below some hundred MB;
        `join` makes them one.

    Raises:
        UsageError: if vectors and labels do not match, or there are less than two pictures.
    """
    count = len(labels)
    if len(vectors) != count or count < 2:
        raise UsageError(
            f"leaving one out needs a label for each of at least two pictures; "
            f"there are {len(vectors)} vectors and {count} labels."
        )
    alike = Relevance(labels)
    labelled = [row for row in range(count) if len(alike.of(row))]
    rows = np.asarray(labelled if queries is None else queries, np.intp)
    block = max(1, _BLOCK // count)
    for start in range(0, len(rows), block):
        asked = rows[start : start + block]
        itself = np.arange(len(asked)), asked
        scores = np.array(similarity(vectors[asked], vectors))  # (q, n)
        relevant = alike.between(asked, np.arange(count))
        scores[itself], relevant[itself] = -np.inf, False
        yield rank(scores, relevant, min(depth, count - 1), queries=asked)

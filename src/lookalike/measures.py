"""How good a ranking is: the measures of retrieval, and rankings to measure by leaving one out.

A ranking is given as relevances, best first: an array whose last axis is the rank, 1 where the
picture at that rank is relevant and 0 where it is not. Every measure works along that axis.

Equal scores have no order, so every measure of a `Ranking` is its expected value over all orders of
the pictures that tie, exactly (McSherry and Najork, "Computing information retrieval performance
measures efficiently in the presence of tied scores", 2008). A relevance is then the share of
relevant pictures among those that tie for the rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Reals: TypeAlias = NDArray[np.floating]
    Similarity: TypeAlias = Callable[[Reals, Reals], Reals]

_BLOCK = 1 << 23
"""Scores ranked at a time."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best of what some queries found, and how many pictures they should have found.

    queries: ndarray of shape (q,), the rows of the queries.
    relevant: ndarray of shape (q, depth), the probability that the picture at a rank is relevant:
        0 or 1 but for ties.
    found: ndarray of shape (q, depth), if the picture at a rank is relevant: how many are relevant
        from the first to this one, itself included.
    total: ndarray of shape (q,), the number of relevant pictures at any rank.
    best: ndarray of shape (q,), the score of the first.
    """

    queries: NDArray[np.intp]
    relevant: Reals
    found: Reals
    total: NDArray[np.intp]
    best: Reals


def precision_at(relevant: ArrayLike, k: int) -> Reals:
    """P@k = (relevant among the first k) / k. A ranking shorter than k is not excused.

    Args:
        relevant: relevances of shape (..., depth), best first.
        k: how many ranks to look at.

    Returns:
        Shape (...): one number a ranking.
    """
    return np.asarray(_first(relevant, k).sum(-1) / k)


def recall_at(relevant: ArrayLike, total: ArrayLike, k: int) -> Reals:
    """R@k = (relevant among the first k) / total; 0 where there are none to find.

    Args:
        relevant: relevances of shape (..., depth), best first.
        total: number of relevant pictures at any rank, shape (...).
        k: how many ranks to look at.
    """
    return _share(_first(relevant, k).sum(-1), total)


def average_precision_at(
    relevant: ArrayLike, total: ArrayLike, k: int, *, found: ArrayLike | None = None
) -> Reals:
    """AP@k = (sum of P@i over the ranks i ≤ k that are relevant) / min(total, k); 0 where total is 0.

    The mean over queries is mAP@k. With k at least the length of the ranking and every relevant
    picture in it, this is scikit-learn's `average_precision_score`, ties aside.

    Args:
        relevant: relevances of shape (..., depth), best first.
        total: number of relevant pictures at any rank, shape (...).
        k: how many ranks to look at.
        found: `Ranking.found`, for rankings with ties; without it, the running sum of `relevant`.
    """
    first = _first(relevant, k)
    counts = np.cumsum(first, -1) if found is None else _first(found, k)
    ranks = np.arange(1, first.shape[-1] + 1)
    return _share((first * counts / ranks).sum(-1), np.minimum(total, k))


def ndcg_at(relevant: ArrayLike, total: ArrayLike, k: int) -> Reals:
    """nDCG@k = DCG@k / (DCG@k of all relevant first), DCG@k = sum over i ≤ k of relevance_i / log2(i + 1).

    Args:
        relevant: relevances of shape (..., depth), best first.
        total: number of relevant pictures at any rank, shape (...).
        k: how many ranks to look at.
    """
    first = _first(relevant, k)
    gains = 1 / np.log2(np.arange(2, k + 2))  # (k,)
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[np.minimum(total, k)]
    return _share(first @ gains[: first.shape[-1]], ideal)


def auroc(relevant: ArrayLike, scores: ArrayLike) -> float:
    """The area under the ROC curve: P(score of a relevant > of a not relevant) + P(they are equal) / 2.

    Args:
        relevant: booleans of shape (n,), for instance whether a query's first hit is right.
        scores: shape (n,), larger for what is thought relevant.

    Raises:
        UsageError: if all are relevant or none is: the area is not defined.
    """
    right = np.asarray(relevant, bool)
    _, place, counts = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    positive, negative = int(right.sum()), int((~right).sum())
    if not positive or not negative:
        raise UsageError("aUROC needs both relevant and not relevant answers; all of these are of one kind.")
    ranks = np.cumsum(counts) - (counts - 1) / 2  # the mean rank of those that tie
    above = ranks[place][right].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))


def mean_by_label(values: ArrayLike, labels: Sequence[Hashable]) -> Mapping[Hashable, float]:
    """The mean of a measure over the queries of each label, in the order labels first appear."""
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    numbers = [order[label] for label in labels]
    sums = np.bincount(numbers, weights=np.asarray(values, float), minlength=len(order))
    means = sums / np.bincount(numbers, minlength=len(order))
    return dict(zip(order, means.tolist(), strict=True))


def frequent(labels: Sequence[Hashable], *, at_least: int = 5) -> NDArray[np.bool_]:
    """Which pictures have a label that at least so many have, shape (n,). None is no label."""
    numbers = _numbers(labels)
    counts = np.bincount(numbers[numbers >= 0], minlength=1)
    return np.asarray((numbers >= 0) & (counts[numbers] >= at_least))


def sample(labels: Sequence[Hashable], *, at_most: int, seed: int = 0) -> NDArray[np.intp]:
    """Rows in ascending order: of each label all pictures, or at_most of them drawn at random.

    Pictures whose label is None are never drawn.
    """
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(_numbers(labels) >= 0))
    numbers = _numbers(labels)[drawn]
    by_label = np.argsort(numbers, kind="stable")
    ordered = numbers[by_label]
    place = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)  # the how-manieth of its label
    return np.sort(drawn[by_label[place < at_most]])


def rank(scores: ArrayLike, relevant: ArrayLike, depth: int, *, queries: ArrayLike | None = None) -> Ranking:
    """The first ranks of each query, ties resolved into expected values.

    Args:
        scores: shape (q, n), larger is closer.
        relevant: booleans of shape (q, n).
        depth: how many ranks to keep; at most n are.
        queries: the rows to write into the ranking, shape (q,); 0 to q - 1 by default.

    Returns:
        A ranking of shape (q, min(depth, n)).

    Raises:
        UsageError: if there is nothing to rank, or a score is not a number.
    """
    scores, right = np.asarray(scores), np.asarray(relevant, bool)
    depth = min(depth, scores.shape[1])
    strange = int(np.isnan(scores).sum())
    if depth < 1 or strange:
        raise UsageError(
            f"a ranking needs at least one rank and one picture, and scores that are numbers; "
            f"it was asked for {depth} ranks of {scores.shape[1]} scores, {strange} of them NaN."
        )
    top = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)
    best = np.take_along_axis(scores, top, 1)  # (q, depth)
    # Of those that tie for the last rank some are cut off; which ones is chance, so all of them are counted.
    last = scores == best[:, -1:]  # (q, n)
    shares, found = _without_order(
        best, np.take_along_axis(right, top, 1), last.sum(1), (last & right).sum(1)
    )
    rows = np.arange(len(scores)) if queries is None else np.asarray(queries, np.intp)
    return Ranking(rows, shares, found, right.sum(1), best[:, 0])


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
    numbers = _numbers(labels)
    if len(vectors) != len(numbers) or len(numbers) < 2:
        raise UsageError(
            f"leaving one out needs a label for each of at least two pictures; "
            f"there are {len(vectors)} vectors and {len(numbers)} labels."
        )
    rows = np.flatnonzero(numbers >= 0) if queries is None else np.asarray(queries, np.intp)
    block = max(1, _BLOCK // len(numbers))
    for start in range(0, len(rows), block):
        asked = rows[start : start + block]
        itself = np.arange(len(asked)), asked
        scores = np.array(similarity(vectors[asked], vectors))  # (q, n)
        relevant = numbers[asked, None] == numbers
        scores[itself], relevant[itself] = -np.inf, False
        yield rank(scores, relevant, min(depth, len(numbers) - 1), queries=asked)


def join(rankings: Iterable[Ranking]) -> Ranking:
    """Rankings of the same depth as one."""
    parts = list(rankings)
    names = ("queries", "relevant", "found", "total", "best")
    return Ranking(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _first(relevant: ArrayLike, k: int) -> Reals:
    if k < 1:
        raise UsageError(f"k is how many ranks to look at, 1 or more; it is {k}.")
    return np.asarray(relevant, float)[..., :k]


def _share(part: ArrayLike, whole: ArrayLike) -> Reals:
    """Part / whole, and 0 where there is no whole."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    share: Reals = np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)
    return share


def _numbers(labels: Sequence[Hashable]) -> NDArray[np.intp]:
    """Labels as numbers from 0, and None as -1."""
    order: dict[Hashable, int] = {None: -1}
    return np.array([order.setdefault(label, len(order) - 1) for label in labels], np.intp)


def _without_order(
    scores: Reals, relevant: NDArray[np.bool_], last: NDArray[np.intp], last_relevant: NDArray[np.intp]
) -> tuple[Reals, Reals]:
    """Expected relevance at each rank, and expected count up to it if it is relevant.

    Of a tie of t pictures, m of them relevant, each is relevant with probability m / t; and if one
    is, each of the others is with (m - 1) / (t - 1).

    Args:
        scores: shape (q, depth), best first.
        relevant: booleans of shape (q, depth), in any order within a tie.
        last: t of the tie that the last rank is in, shape (q,), pictures below that rank included.
        last_relevant: m of the same.

    Returns:
        `Ranking.relevant` and `Ranking.found`.
    """
    begins = np.ones(scores.shape, bool)
    begins[:, 1:] = scores[:, 1:] != scores[:, :-1]
    tie = np.cumsum(begins).reshape(scores.shape) - 1  # (q, depth), numbered through all queries
    size, right = np.bincount(tie.ravel()), np.bincount(tie.ravel(), weights=relevant.ravel())
    size[tie[:, -1]], right[tie[:, -1]] = last, last_relevant
    shares = (right / size)[tie]
    others = np.maximum(right - 1, 0) / np.maximum(size - 1, 1)
    start = np.flatnonzero(begins) % scores.shape[1]  # the rank, from 0, where each tie begins
    before: NDArray[np.intp] = (np.cumsum(relevant, 1) - relevant)[begins]  # relevant above each tie
    within = np.arange(scores.shape[1]) - start[tie]
    return shares, 1 + before[tie] + within * others[tie]

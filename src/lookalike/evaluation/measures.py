"""How good a ranking is: the measures of retrieval, and rankings to measure by leaving one out.

A ranking is given as relevances, best first: an array whose last axis is the rank, 1 where the
picture at that rank is relevant and 0 where it is not. Every measure works along that axis.

Equal scores have no order, so every measure of a `Ranking` is its expected value over all orders of
the pictures that tie, exactly (McSherry and Najork, "Computing information retrieval performance
measures efficiently in the presence of tied scores", 2008). A relevance is then the share of
relevant pictures among those that tie for the rank.

A label is anything hashable; None is no label, and a frozenset is several labels of one picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Reals: TypeAlias = NDArray[np.floating]


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


def mean_by_label(values: ArrayLike, labels: Sequence[Hashable]) -> Mapping[Hashable, float]:
    """Return the mean of a measure over the queries of each label, in the order labels first appear.

    A query with several labels counts for each of them.
    """
    pairs = [(label, row) for row, given in enumerate(labels) for label in _several(given)]
    order = {label: number for number, label in enumerate(dict.fromkeys(label for label, _ in pairs))}
    numbers = [order[label] for label, _ in pairs]
    counted = np.asarray(values, float)[[row for _, row in pairs]]
    sums = np.bincount(numbers, weights=counted, minlength=len(order))
    means = sums / np.bincount(numbers, minlength=len(order))
    return dict(zip(order, means.tolist(), strict=True))


def sample(labels: Sequence[Hashable], *, at_most: int, seed: int = 0) -> NDArray[np.intp]:
    """Return rows in ascending order: of each label all pictures, or at_most of them drawn at random.

    Pictures whose label is None are never drawn.
    """
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(_numbers(labels) >= 0))
    numbers = _numbers(labels)[drawn]
    by_label = np.argsort(numbers, kind="stable")
    ordered = numbers[by_label]
    place = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)  # the how-manieth of its label
    return np.sort(drawn[by_label[place < at_most]])


def rank(scores: ArrayLike, relevant: ArrayLike, depth: int, *, queries: ArrayLike | None = None) -> Ranking:
    """Return the first ranks of each query, ties resolved into expected values.

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
    best = Shortlist(depth)
    best.add(np.asarray(scores), np.asarray(relevant, bool))
    return best.ranking(queries)


class Shortlist:
    """The best of what some queries have found so far: scores may come a block of pictures at a time.

    In whatever order and blocks they come, the ranking is that of all scores at once.

    Args:
        depth: how many ranks to keep.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._best: Reals = np.zeros((0, 0), np.float32)  # (q, kept), best first
        self._right = np.zeros((0, 0), bool)
        # Of those that tie for the last rank some are cut off; which ones is chance, so all are counted.
        self._cut = self._cut_right = self._total = np.zeros(0, np.intp)  # (q,)

    def add(self, scores: Reals, relevant: NDArray[np.bool_]) -> None:
        """Take in what every query scored on further pictures.

        Args:
            scores: shape (q, n), larger is closer.
            relevant: booleans of shape (q, n).

        Raises:
            UsageError: if there is nothing to rank, or a score is not a number.
        """
        strange = int(np.isnan(scores).sum())
        if self._depth < 1 or not scores.shape[1] or strange:
            raise UsageError(
                f"a ranking needs at least one rank and one picture, and scores that are numbers; "
                f"it was asked for {self._depth} ranks of {scores.shape[1]} scores, {strange} of them NaN."
            )
        if not len(self._total):
            self._best, self._right = scores[:, :0], relevant[:, :0]
            self._cut = self._cut_right = self._total = np.zeros(len(scores), np.intp)
        everything = np.concatenate([self._best, scores], axis=1)  # (q, kept + n)
        right = np.concatenate([self._right, relevant], axis=1)
        depth = min(self._depth, everything.shape[1])
        top = np.argpartition(-everything, depth - 1, axis=1)[:, :depth]
        top = np.take_along_axis(top, np.argsort(-np.take_along_axis(everything, top, 1), axis=1), 1)
        best, best_right = np.take_along_axis(everything, top, 1), np.take_along_axis(right, top, 1)
        ties, kept = everything == best[:, -1:], best == best[:, -1:]
        # What was cut off before stays in the count as long as nothing better took the last rank.
        same = self._best[:, -1:] == best[:, -1:] if self._best.shape[1] else ties[:, :1]
        self._cut = self._cut * same[:, 0] + ties.sum(1) - kept.sum(1)
        self._cut_right = self._cut_right * same[:, 0] + (ties & right).sum(1) - (kept & best_right).sum(1)
        self._best, self._right = best, best_right
        self._total = self._total + relevant.sum(1)

    def ranking(self, queries: ArrayLike | None = None) -> Ranking:
        """Return the ranking of everything added.

        Args:
            queries: the rows to write into it, shape (q,); 0 to q - 1 by default.
        """
        last = self._best == self._best[:, -1:]
        shares, found = _without_order(
            self._best,
            self._right,
            self._cut + last.sum(1),
            self._cut_right + (last & self._right).sum(1),
        )
        rows = np.arange(len(self._best)) if queries is None else np.asarray(queries, np.intp)
        return Ranking(rows, shares, found, self._total, self._best[:, 0])


class Relevance:
    """Tell which pictures are relevant to which: those that share a label.

    Args:
        labels: one a picture; see the top of this module.
    """

    def __init__(self, labels: Sequence[Hashable]) -> None:
        self._labels = [_several(label) for label in labels]
        rows: dict[Hashable, list[int]] = {}
        for row, several in enumerate(self._labels):
            for label in several:
                rows.setdefault(label, []).append(row)
        self._rows = {label: np.array(of, np.intp) for label, of in rows.items()}

    def of(self, row: int) -> NDArray[np.intp]:
        """Return the rows relevant to a picture, itself among them if it has a label, in ascending order."""
        rows = [self._rows[label] for label in self._labels[row]]
        if len(rows) == 1:
            return rows[0]
        return np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.intp)

    def between(self, queries: ArrayLike, pictures: ArrayLike) -> NDArray[np.bool_]:
        """Return which of some pictures are relevant to each of some queries, shape (q, n); both are rows."""
        asked, found = np.asarray(queries, np.intp), np.asarray(pictures, np.intp)
        relevant = np.zeros((len(asked), len(found)), bool)
        right = np.zeros(len(self._labels), bool)
        for place, row in enumerate(asked.tolist()):
            of = self.of(row)
            right[of] = True
            relevant[place] = right[found]
            right[of] = False
        return relevant


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
    """Return part / whole, and 0 where there is no whole."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    share: Reals = np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)
    return share


def _several(label: Hashable) -> frozenset[Hashable]:
    """Return the labels that a picture's label stands for."""
    if isinstance(label, frozenset):
        return label
    return frozenset() if label is None else frozenset([label])


def _numbers(labels: Sequence[Hashable]) -> NDArray[np.intp]:
    """Return labels as numbers from 0, and None as -1."""
    order: dict[Hashable, int] = {None: -1}
    return np.array([order.setdefault(label, len(order) - 1) for label in labels], np.intp)


def _without_order(
    scores: Reals, relevant: NDArray[np.bool_], last: NDArray[np.intp], last_relevant: NDArray[np.intp]
) -> tuple[Reals, Reals]:
    """Return expected relevance at each rank, and expected count up to it if it is relevant.

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

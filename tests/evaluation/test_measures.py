"""The measures by hand, against scikit-learn, and against the mean over all orders of what ties."""

import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from lookalike.errors import UsageError
from lookalike.evaluation.measures import (
    Relevance,
    Shortlist,
    average_precision_at,
    join,
    mean_by_label,
    ndcg_at,
    precision_at,
    rank,
    recall_at,
    sample,
)

sys.path.append(str(Path(__file__).resolve().parents[2] / "benches"))

import leaving_one_out
from leaving_one_out import frequent, leave_one_out

RANDOM = np.random.default_rng(7)


def cosine(queries, vectors):
    return queries @ vectors.T


def test_by_hand():
    """Right, wrong, right, right, with five to find: every measure as worked out on paper."""
    relevant = [1, 0, 1, 1]
    assert precision_at(relevant, 3) == pytest.approx(2 / 3)
    assert recall_at(relevant, 5, 3) == pytest.approx(2 / 5)
    assert average_precision_at(relevant, 5, 3) == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert average_precision_at(relevant, 5, 100) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 5)
    assert ndcg_at(relevant, 5, 3) == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2))


def test_average_precision_divides_by_what_could_be_found():
    """One to find, found first, is 1 at any k; of a thousand to find, a hundred of a hundred is 1."""
    assert average_precision_at([1, 0, 0], 1, 100) == 1
    assert average_precision_at(np.ones(100), 1000, 100) == 1


def test_a_short_ranking_is_not_excused():
    """Ranks that are not there count as wrong for precision, and cost the others nothing."""
    assert precision_at([1, 1], 5) == pytest.approx(2 / 5)
    assert recall_at([1, 1], 2, 5) == average_precision_at([1, 1], 2, 5) == ndcg_at([1, 1], 2, 5) == 1


def test_nothing_to_find_is_zero():
    """A query without relevant pictures scores 0, and no warning is given."""
    assert recall_at([0, 0], 0, 2) == average_precision_at([0, 0], 0, 2) == ndcg_at([0, 0], 0, 2) == 0


def test_many_rankings_at_once():
    """Rankings are rows; the answer has one number for each, equal to that of the row alone."""
    relevant = RANDOM.random((4, 9)) < 0.5
    total = relevant.sum(1)
    for measure in (recall_at, average_precision_at, ndcg_at):
        alone = [measure(row, n, 5) for row, n in zip(relevant, total, strict=True)]
        np.testing.assert_allclose(measure(relevant, total, 5), alone)


def test_k_must_be_positive():
    """No ranks, no measure."""
    with pytest.raises(UsageError, match="1 or more; it is 0"):
        precision_at([1], 0)


def test_equal_to_scikit_learn():
    """Average precision and nDCG of whole rankings, and the ROC area also with ties, are its numbers."""
    for _ in range(20):
        relevant = RANDOM.random(30) < 0.3
        relevant[:2] = True, False
        scores = RANDOM.random(30)
        ranked = rank(scores[None], relevant[None], 30)
        expected = average_precision_score(relevant, scores)
        assert average_precision_at(ranked.relevant, ranked.total, 30)[0] == pytest.approx(expected)
        for k in (3, 10, 30):
            expected = ndcg_score(relevant[None], scores[None], k=k)
            assert ndcg_at(ranked.relevant, ranked.total, k)[0] == pytest.approx(expected)


def test_ties_in_ndcg_are_equal_to_scikit_learn():
    """It averages over ties too, so coarse scores agree as well."""
    relevant, scores = RANDOM.random((5, 20)) < 0.4, RANDOM.integers(0, 4, (5, 20)).astype(float)
    ranked = rank(scores, relevant, 20)
    expected = [ndcg_score([right], [row], k=7) for right, row in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(ndcg_at(ranked.relevant, ranked.total, 7), expected)


@pytest.mark.parametrize("depth", [2, 4, 7])
def test_ties_are_the_mean_over_all_orders(depth):
    """Every order of seven pictures, sorted stably by score, averages to what the tie-aware ranking gives."""
    relevant = np.array([1, 0, 1, 1, 0, 0, 1], bool)
    scores = np.array([2, 2, 2, 1, 1, 3, 1], float)
    total, k = int(relevant.sum()), 5
    orders = [
        np.array(order)[np.argsort(-scores[list(order)], kind="stable")] for order in permutations(range(7))
    ]
    rows = relevant[np.array(orders)][:, :depth]
    ranked = rank(scores[None], relevant[None], depth)
    assert precision_at(ranked.relevant, k)[0] == pytest.approx(precision_at(rows, k).mean())
    assert recall_at(ranked.relevant, ranked.total, k)[0] == pytest.approx(recall_at(rows, total, k).mean())
    assert ndcg_at(ranked.relevant, ranked.total, k)[0] == pytest.approx(ndcg_at(rows, total, k).mean())
    tied = average_precision_at(ranked.relevant, ranked.total, k, found=ranked.found)
    assert tied[0] == pytest.approx(average_precision_at(rows, total, k).mean())


def test_without_ties_a_ranking_is_what_was_found():
    """Relevances are 0 and 1, and the count of those found is their running sum where it is used."""
    scores, relevant = RANDOM.random((6, 40)), RANDOM.random((6, 40)) < 0.3
    ranked = rank(scores, relevant, 10)
    order = np.argsort(-scores, axis=1)[:, :10]
    expected = np.take_along_axis(relevant, order, 1)
    np.testing.assert_array_equal(ranked.relevant, expected)
    np.testing.assert_array_equal((ranked.found * expected), np.cumsum(expected, 1) * expected)
    np.testing.assert_array_equal(ranked.best, scores.max(1))
    np.testing.assert_array_equal(ranked.total, relevant.sum(1))


def test_a_ranking_needs_numbers():
    """A score that is not a number is an error, and so is a ranking of nothing."""
    with pytest.raises(UsageError, match="1 of them NaN"):
        rank([[1.0, np.nan]], [[True, False]], 2)
    with pytest.raises(UsageError, match="at least one rank"):
        rank([[1.0]], [[True]], 0)


def test_leaving_one_out_by_hand():
    """Four pictures on a line of two labels: none finds itself, each finds what is next to it."""
    vectors = np.array([[0.0], [1.0], [3.0], [7.0]])
    ranked = join(leave_one_out(vectors, ["a", "a", "b", "b"], lambda q, v: -np.abs(q - v.T)))
    np.testing.assert_array_equal(ranked.queries, [0, 1, 2, 3])
    np.testing.assert_array_equal(ranked.relevant, [[1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(ranked.total, [1, 1, 1, 1])
    np.testing.assert_array_equal(ranked.best, [-1, -1, -2, -4])


def test_blocks_change_nothing(monkeypatch):
    """Ranked three queries at a time or all at once, the numbers are the same."""
    vectors, labels = RANDOM.normal(size=(40, 5)), RANDOM.integers(0, 4, 40).tolist()
    whole = list(leave_one_out(vectors, labels, cosine, depth=10))
    monkeypatch.setattr(leaving_one_out, "_BLOCK", 3 * 40)
    blocks = list(leave_one_out(vectors, labels, cosine, depth=10))
    assert (len(whole), len(blocks)) == (1, 14)
    for name in ("queries", "relevant", "found", "total"):
        np.testing.assert_array_equal(getattr(join(blocks), name), getattr(whole[0], name))


def test_unlabelled_pictures_are_found_but_do_not_ask():
    """None is no label: such pictures stand in the way, are no queries, and not relevant to each other."""
    vectors = np.array([[0.0], [0.1], [0.2], [5.0], [5.1]])
    ranked = join(leave_one_out(vectors, ["a", None, "a", None, None], lambda q, v: -np.abs(q - v.T)))
    np.testing.assert_array_equal(ranked.queries, [0, 2])
    np.testing.assert_array_equal(ranked.relevant[:, :2], [[0, 1], [0, 1]])


def test_only_some_queries():
    """Rows given are asked, in that order, with the whole collection to find."""
    vectors, labels = RANDOM.normal(size=(20, 3)), ["a", "b"] * 10
    every = join(leave_one_out(vectors, labels, cosine, depth=5))
    some = join(leave_one_out(vectors, labels, cosine, depth=5, queries=[7, 2]))
    np.testing.assert_array_equal(some.queries, [7, 2])
    np.testing.assert_array_equal(some.relevant, every.relevant[[7, 2]])


def test_labels_must_match_vectors():
    """A label too few is an error that names both numbers."""
    with pytest.raises(UsageError, match="3 vectors and 2 labels"):
        list(leave_one_out(np.eye(3), ["a", "b"], cosine))


def test_rare_labels_are_left_out():
    """Labels of fewer than so many pictures are not frequent, and None never is."""
    labels = ["a", "b", "a", None, None, None, "a"]
    assert frequent(labels, at_least=3).tolist() == [True, False, True, False, False, False, True]
    assert frequent([], at_least=1).tolist() == []


def test_a_sample_takes_so_many_of_each_label():
    """All of a rare label, a few of a common one, none without a label; the seed decides which."""
    labels = ["a"] * 50 + ["b"] * 2 + [None] * 9
    rows = sample(labels, at_most=5)
    assert [labels[row] for row in rows] == ["a"] * 5 + ["b"] * 2
    assert rows.tolist() == sample(labels, at_most=5).tolist() != sample(labels, at_most=5, seed=1).tolist()


def test_means_by_label():
    """Each label's own mean, in the order they come."""
    assert mean_by_label([1.0, 0.0, 0.5], ["b", "a", "b"]) == {"b": 0.75, "a": 0.0}


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_shortlist_takes_scores_in_blocks(size):
    """Scores that come a few pictures at a time give the ranking of all at once, what ties cut off, too."""
    scores, relevant = RANDOM.integers(0, 3, (6, 17)).astype(float), RANDOM.random((6, 17)) < 0.4
    best = Shortlist(depth=4)
    for start in range(0, 17, size):
        best.add(scores[:, start : start + size], relevant[:, start : start + size])
    whole, parts = rank(scores, relevant, 4), best.ranking()
    for name in ("queries", "total", "best"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    # Which of those that tie are kept differs; every measure is the same.
    for k in (1, 3, 4):
        np.testing.assert_allclose(precision_at(parts.relevant, k), precision_at(whole.relevant, k))
        np.testing.assert_allclose(
            average_precision_at(parts.relevant, parts.total, k, found=parts.found),
            average_precision_at(whole.relevant, whole.total, k, found=whole.found),
        )


def test_pictures_with_several_labels_are_relevant_if_they_share_one():
    """A frozenset is several labels: any in common makes relevant, none makes no query."""
    labels = [frozenset("ab"), frozenset("b"), "a", frozenset(), None, frozenset("cd")]
    alike = Relevance(labels)
    expected = [[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0], [0] * 6, [0] * 6]
    np.testing.assert_array_equal(alike.between(range(5), range(6)), expected)
    np.testing.assert_array_equal(alike.between([0], [2, 5]), [[1, 0]])
    assert alike.of(0).tolist() == [0, 1, 2]
    vectors = np.arange(6.0)[:, None]
    ranked = join(leave_one_out(vectors, labels, lambda q, v: -np.abs(q - v.T)))
    np.testing.assert_array_equal(ranked.queries, [0, 1, 2, 5])
    np.testing.assert_array_equal(ranked.total, [2, 1, 1, 0])


def test_a_query_counts_for_each_of_its_labels():
    """The mean of a label is over all queries that have it among others."""
    labels = [frozenset("ab"), "a", frozenset("b")]
    assert mean_by_label([1.0, 0.5, 0.0], labels) == {"a": 0.75, "b": 0.5}

"""Scores against plain arithmetic, and the best of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from lookalike.errors import UsageError
from lookalike.indexes import distances, exact


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner"])
def test_scores_against_plain_arithmetic(metric):
    """Each metric's score is what its definition says, to float32's precision."""
    rng = np.random.default_rng(0)
    query, rows = rng.normal(size=9).astype(np.float32), rng.normal(size=(20, 9)).astype(np.float32)
    for row, score in zip(rows.tolist(), distances.scores(query, rows, metric), strict=True):
        inner = math.fsum(a * b for a, b in zip(query.tolist(), row, strict=True))
        expected = {
            "inner": inner,
            "cosine": inner / math.hypot(*query.tolist()) / math.hypot(*row),
            "euclidean": -math.dist(query.tolist(), row),
        }[metric]
        assert score == pytest.approx(expected, abs=1e-6)


def test_itself():
    """A vector is at distance 0 from itself exactly, and its cosine is never above 1."""
    rows = np.random.default_rng(1).normal(size=(500, 1280)).astype(np.float32)
    assert all(distances.scores(row, row[None], "euclidean")[0] == 0 for row in rows)
    cosines = [float(distances.scores(row, row[None], "cosine")[0]) for row in rows]
    assert 1 - 1e-6 < min(cosines) <= max(cosines) <= 1


def test_zero_vectors():
    """The cosine with a zero vector is 0, without a warning."""
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    assert distances.scores(zero, np.stack([zero, one]), "cosine").tolist() == [0, 0]
    assert distances.scores(one, zero[None], "cosine").tolist() == [0]
    assert distances.normalized(zero[None]).tolist() == [[0, 0, 0, 0]]


def test_equal_rows_score_equal_wherever_they_stand():
    """Copies of one row get one score to the last bit, so that ties are ties."""
    rng = np.random.default_rng(2)
    query, row = rng.normal(size=(2, 1280)).astype(np.float32)
    for metric in ("cosine", "euclidean", "inner"):
        assert len(set(distances.scores(query, np.tile(row, (37, 1)), metric).tolist())) == 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner"])
def test_estimates_order_as_scores_do(metric):
    """The matrix product orders rows as their exact scores do."""
    rng = np.random.default_rng(3)
    query, rows = rng.normal(size=16).astype(np.float32), rng.normal(size=(50, 16)).astype(np.float32)
    exact = np.argsort(-distances.scores(query, rows, metric))
    assert np.argsort(-distances.estimates(query[None], rows, metric)[0]).tolist() == exact.tolist()


def test_best_against_sorting():
    """The best are those of a full sort, equal ones by their keys, for every k."""
    rng = np.random.default_rng(4)
    values, keys = rng.integers(0, 5, 40).astype(np.float32), rng.permutation(40)
    order = sorted(range(40), key=lambda i: (-values[i], keys[i]))
    for k in (0, 1, 7, 39, 40, 100):
        assert distances.best(values, keys, k).tolist() == order[:k]


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner", "l2", "manhattan", "hamming"])
@pytest.mark.parametrize("kind", ["pixels", "nearly equal", "huge", "tiny"])
def test_the_exact_search_is_exact_for_any_numbers(metric, kind):
    """The distances of the best agree with float64 arithmetic on every row, however hard the numbers are."""
    rng = np.random.default_rng(6)
    rows = {
        "pixels": lambda: rng.integers(0, 256, (60, 20_000)),
        "nearly equal": lambda: rng.normal(size=512) * 10 + rng.normal(size=(900, 512)) * 1e-3,
        "huge": lambda: rng.normal(size=(300, 64)) * 1e17,
        "tiny": lambda: rng.normal(size=(300, 64)) * 1e-25,
    }[kind]().astype(np.float32)
    a, b = rows[7].astype(np.float64), rows.astype(np.float64)
    true = {
        "cosine": lambda: 1 - b @ a / np.linalg.norm(a) / np.linalg.norm(b, axis=1),
        "inner": lambda: -(b @ a),
        "manhattan": lambda: np.abs(b - a).sum(axis=1),
        "hamming": lambda: (b != a).mean(axis=1),
    }.get(metric, lambda: np.linalg.norm(b - a, axis=1))()
    middle = len(rows) // 2
    keys = np.arange(len(rows))
    blocks = [(keys[:middle], rows[:middle]), (keys[middle:], rows[middle:])]
    scores = exact.search(rows[7:8], blocks, 9, metric)[0].scores.astype(np.float64)
    found = 1 - scores if metric == "cosine" else -scores
    assert found == pytest.approx(np.sort(true)[:9], rel=1e-6, abs=1e-6 if metric == "cosine" else 1e-40)


@pytest.mark.parametrize(
    "metric", ["manhattan", "chebyshev", "canberra", "braycurtis", "correlation", "jaccard"]
)
def test_every_other_metric_is_scikit_learns(metric):
    """A metric named as in scikit-learn gives the distances of its own brute-force search."""
    rng = np.random.default_rng(4)
    rows = np.maximum(rng.normal(size=(40, 9)), 0).astype(np.float32)
    seen = rows > 0 if metric == "jaccard" else rows
    engine = NearestNeighbors(n_neighbors=40, algorithm="brute", metric=metric).fit(seen)
    expected, order = engine.kneighbors(seen[:3])
    for query in range(3):
        found = -distances.scores(rows[query], rows, metric)
        assert found[order[query]] == pytest.approx(expected[query], abs=1e-6)
    assert np.allclose(
        distances.estimates(rows[:3], rows, metric)[1], distances.scores(rows[1], rows, metric)
    )


def test_a_metric_that_is_none():
    """A name that is no metric, or one that needs the whole collection, is refused with what there is."""
    for name in ("cosinus", "mahalanobis", "precomputed"):
        with pytest.raises(UsageError, match=f"{name}.*cosine, euclidean, inner, braycurtis"):
            distances.check(name)


def test_a_metric_that_can_say_nothing_is_far():
    """The correlation with a constant vector is not defined: a large distance, not a NaN."""
    flat, other = np.ones(4, np.float32), np.arange(4, dtype=np.float32)
    assert distances.scores(flat, other[None], "correlation")[0] < -1e30


def test_long_vectors_keep_their_digits():
    """The distance of two long vectors is exact to the last digit of float32."""
    a, b = np.random.default_rng(5).normal(scale=9, size=(2, 150_528)).astype(np.float32)
    expected = math.sqrt(math.fsum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))
    assert float(-distances.scores(a, b[None], "euclidean")[0]) == pytest.approx(expected, rel=2e-7)

"""Scores against plain arithmetic, and the best of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lookalike import distances


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

"""The exact index against a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.indexes import distances, exact


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner"])
@pytest.mark.parametrize("k", [0, 1, 10, 1000])
def test_blocks_against_one_sort(metric, k):
    """Whatever the blocks, the answer is that of sorting all rows by their scores."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 12)).astype(np.float32)
    rows[100:200] = rows[0]
    keys = np.arange(1000, 1300)
    queries = np.stack([rows[0], rows[250], np.zeros(12, np.float32)])
    blocks = [(keys[i : i + 70], rows[i : i + 70]) for i in range(0, 300, 70)]
    for query, found in zip(queries, exact.search(queries, blocks, k, metric), strict=True):
        scores = distances.scores(query, rows, metric)
        order = sorted(range(300), key=lambda i: (-scores[i], i))[:k]
        assert np.allclose(found.scores, scores[order])
        if metric != "inner" and query.any():
            assert sorted(found.keys) == sorted(keys[order]) or k == 10


def test_nothing_to_search():
    """No rows, no answers."""
    assert len(exact.search(np.ones((1, 3), np.float32), [], 5, "cosine")[0].keys) == 0


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner", "manhattan"])
def test_one_query_is_answered_as_one_of_many(metric):
    """A query asked alone, of rows whose lengths are kept, has the very hits that it has among others."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(500, 24)).astype(np.float32)
    rows[300:320] = rows[7]
    keys, squares = np.arange(500), distances.squared_lengths(rows)
    queries = np.stack([rows[7], rng.normal(size=24).astype(np.float32), np.zeros(24, np.float32)])
    blocks = [exact.Block(keys, rows, squares).take(part) for part in np.array_split(np.arange(500), 3)]
    together = exact.search(queries, [(keys, rows)], 15, metric)
    for query, other in zip(queries, together, strict=True):
        found = exact.search(query[None], blocks, 15, metric)[0]
        assert found.keys.tolist() == other.keys.tolist()
        assert found.scores.tolist() == other.scores.tolist()

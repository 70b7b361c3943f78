"""The neighbours of every row against a full sort of all others."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.indexes import distances, knn_join
from lookalike.indexes.knn_join import Pool, Rows


def rows_of(vectors, **options):
    rows = Rows(vectors.shape[1], 1, "float32", **options)
    for start in range(0, len(vectors), 300):
        rows.append(vectors[start : start + 300])
    return rows


def by_sorting(vectors, metric, k, codes=()):
    """For each row the k best others, ties by position, of each code only the best."""
    for i, query in enumerate(vectors):
        scores = distances.scores(query, vectors, metric)
        kept, seen = [], [{code[i]} for code in codes]
        for j in np.lexsort((np.arange(len(vectors)), -scores)).tolist():
            if j == i or len(kept) == k or any(c[j] in s for c, s in zip(codes, seen, strict=True)):
                continue
            kept.append(j)
            for code, known in zip(codes, seen, strict=True):
                known.add(code[j])
        yield kept, scores[kept]


def check(vectors, metric, k, codes=(), **options):
    task = knn_join.Task(rows_of(vectors), metric, k, codes)
    found = list(knn_join.nearest(task, **options))
    assert len(found) == len(vectors)
    for one, (keys, scores) in zip(found, by_sorting(vectors, metric, k, codes), strict=True):
        assert one.keys.tolist() == keys
        assert one.scores.tolist() == scores.tolist()


def mixtures(n, dim, seed=0):
    """Convex mixtures of two of a tenth as many non-negative vectors, plus noise, at unit length."""
    rng = np.random.default_rng(seed)
    # Directions of falling weight, as those of pictures have.
    weights = (1 + np.arange(dim)) ** -0.6
    real = distances.normalized(np.maximum(rng.normal(size=(n // 10, dim)) * weights, 0).astype(np.float32))
    share = rng.random((n, 1))
    one, other = (real[rng.integers(0, len(real), n)] for _ in range(2))
    mixed = share * one + (1 - share) * other + 0.01 * rng.normal(size=(n, dim))
    return distances.normalized(mixed.astype(np.float32))


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner"])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_exact_is_a_full_sort(metric, k):
    """Keys and scores are those of sorting, over several blocks, with rows that are all zeros."""
    vectors = np.random.default_rng(k).normal(size=(1500, 20)).astype(np.float32)
    vectors[[7, 1100]] = 0
    check(vectors, metric, k)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner"])
def test_ties_go_by_position(metric):
    """Rows of few small integers tie all the time; of equal scores the earlier row is better."""
    vectors = np.random.default_rng(1).integers(0, 3, (1200, 4)).astype(np.float32)
    check(vectors, metric, 5)


def test_rounding_never_decides():
    """Far from the origin float32 products can't tell the rows apart; the answer is exact all the same."""
    vectors = np.random.default_rng(2).normal(size=(1200, 30)).astype(np.float32) + np.float32(3000)
    task = knn_join.Task(rows_of(vectors), "euclidean", 3)
    assert task.tolerance[0] > np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean()
    check(vectors, "euclidean", 3)


def test_strips_do_not_matter(monkeypatch):
    """Where memory is for the pools of few rows at a time, the answer is the same."""
    monkeypatch.setattr(knn_join, "_POOL_BYTES", 1)
    monkeypatch.setattr(knn_join, "_BLOCK_ROWS", 100)
    check(np.random.default_rng(3).normal(size=(730, 16)).astype(np.float32), "euclidean", 3)


@pytest.mark.parametrize("values", [400, 30, 2])
def test_codes_keep_the_best_of_each_value(values):
    """No neighbour shares a code with the row or with a better neighbour, however many share one."""
    rng = np.random.default_rng(values)
    codes = [rng.integers(0, values, 1200), rng.integers(0, 600, 1200)]
    codes[0][::7] = -1 - np.arange(1200)[::7]
    check(rng.normal(size=(1200, 8)).astype(np.float32), "euclidean", 3, codes)


def test_fewer_rows_than_wanted():
    """There are never more neighbours than others, and one row has none."""
    vectors = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)
    check(vectors, "cosine", 10)
    check(vectors[:1], "cosine", 3)
    assert list(knn_join.nearest(knn_join.Task(rows_of(vectors[:0]), "cosine", 3))) == []


@pytest.mark.parametrize("metric", ["manhattan", "correlation"])
def test_metrics_of_scikit_learn(metric):
    """Any metric of scikit-learn gives its neighbours, by its distances."""
    vectors = np.random.default_rng(5).normal(size=(200, 9)).astype(np.float32)
    check(vectors, metric, 3)


def test_distances_equal_scikit_learns():
    """Order and distances are those of NearestNeighbors by brute force."""
    neighbors = pytest.importorskip("sklearn.neighbors")
    vectors = mixtures(2000, 64)
    found = knn_join.nearest(knn_join.Task(rows_of(vectors), "euclidean", 3))
    engine = neighbors.NearestNeighbors(algorithm="brute", metric="euclidean").fit(vectors)
    # Without X, a point is not its own neighbour.
    lengths, keys = engine.kneighbors(n_neighbors=3)
    for one, length, key in zip(found, lengths, keys, strict=True):
        assert one.keys.tolist() == key.tolist()
        assert -one.scores == pytest.approx(length, abs=1e-5)


def test_progress_goes_up_to_one():
    """The share that is done only grows, and ends at 1."""
    vectors = np.random.default_rng(7).normal(size=(2500, 8)).astype(np.float32)
    shares = []
    list(knn_join.nearest(knn_join.Task(rows_of(vectors), "cosine", 2), progress=shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert len(shares) > 1


def test_pool_keeps_the_largest():
    """Whatever the order of blocks, a pool holds the largest values, ties by key where they fit."""
    rng = np.random.default_rng(8)
    values = rng.normal(size=(50, 900)).astype(np.float32)
    values[3] = -np.inf
    pool = Pool(50, 7)
    for start in (600, 0, 300):
        pool.take(0, start, values[:20, start : start + 300])
        pool.take(20, start, np.asfortranarray(values[20:, start : start + 300]))
    keys, best = pool.best()
    assert np.array_equal(best, -np.sort(-values, axis=1)[:, :7])
    seen = np.delete(np.arange(50), 3)
    assert np.array_equal(np.take_along_axis(values, keys, 1)[seen], best[seen])


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_rows_in_a_file_are_rows(memory):
    """Rows that lie in a file, and rows that lie in memory, are what was put in; float16 fits in itself."""
    vectors = np.random.default_rng(9).normal(size=(2000, 6)).astype(np.float16).astype(np.float32)
    rows = Rows(6, 10, "float16", memory=memory)
    for start in range(0, 2000, 700):
        rows.append(vectors[start : start + 700])
    assert len(rows) == 2000
    assert np.array_equal(rows.block(0, 5000), vectors)
    assert np.array_equal(rows.take(np.array([5, 1999, 5])), vectors[[5, 1999, 5]])
    assert rows.squares == pytest.approx((vectors**2).sum(axis=1), rel=1e-5)
    rows.close()
    assert len(rows) == 0

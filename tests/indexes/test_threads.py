"""Jobs on all cores."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from lookalike.indexes.knn_join import Pool, spread


def blas_threads():
    """The threads of numpy's own BLAS; faiss and others may have brought theirs into the process."""
    own = (one for one in threadpool_info() if one["user_api"] == "blas" and "numpy" in one["filepath"])
    return [one["num_threads"] for one in own]


def test_results_come_in_the_order_of_jobs():
    """Each job's result stands where its job stood, also where an early job ends after a later one."""
    second = threading.Event()

    def work(job):
        if job == 0:
            assert second.wait(1) or threading.active_count() == 2
        second.set()
        return -job

    assert list(spread(work, range(50))) == [-i for i in range(50)]
    assert list(spread(work, [])) == []


def test_few_jobs_are_taken_ahead():
    """Jobs are drawn as results are asked for, so that any number of them may come."""
    drawn = []
    results = spread(lambda job: job, (drawn.append(i) or i for i in range(100_000)))
    assert [next(results), next(results)] == [0, 1]
    assert len(drawn) < 10_000
    results.close()


def test_a_job_has_one_thread_of_blas():
    """Within jobs BLAS has a thread; after them, as many as before, also if one of them failed."""
    before = blas_threads()
    assert set(next(spread(lambda _: blas_threads(), [0]))) == {1}
    with pytest.raises(ZeroDivisionError):
        list(spread(lambda job: 1 // job, [1, 0, 1]))
    assert blas_threads() == before


def test_threads_share_a_pool():
    """Blocks that are offered at once leave the same in a pool as one after the other."""
    values = np.random.default_rng(0).normal(size=(300, 4000)).astype(np.float32)
    pool = Pool(300, 9)
    list(spread(lambda start: pool.take(0, start, values[:, start : start + 50]), range(0, 4000, 50)))
    keys, best = pool.best()
    assert np.array_equal(best, -np.sort(-values, axis=1)[:, :9])
    assert np.array_equal(np.take_along_axis(values, keys, 1), best)

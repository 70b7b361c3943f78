"""What the graph of quantised vectors finds of what an exact search finds."""

from __future__ import annotations

import uuid
from contextlib import ExitStack, closing

import numpy as np
import pytest

from lookalike import stores
from lookalike.types import Condition, Header, Record, Space

COUNT, DIM, K = 6_000, 256, 10


def _mixtures(n, seed=0):
    """Convex mixtures of two of some hundred directions plus noise, as vectors of pictures are."""
    rng = np.random.default_rng(seed)
    some = rng.normal(size=(400, DIM)).astype(np.float32)
    share = rng.random((n, 1), np.float32)
    mixed = share * some[rng.integers(0, 400, n)] + (1 - share) * some[rng.integers(0, 400, n)]
    mixed += 0.2 * rng.normal(size=(n, DIM)).astype(np.float32)
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
    """Vectors of 6,000 pictures."""
    return _mixtures(COUNT)


@pytest.fixture(scope="module", params=["int8_hnsw", "bbq_hnsw", "hnsw"])
def store(request, elasticsearch, vectors):
    """A gallery of them by each type of index that has a graph."""
    name = f"test-{uuid.uuid4().hex}"
    address = elasticsearch.address(name)
    header = Header(Space("toy", "0" * 64, DIM, "cosine", "f32", True, "float16"), "")
    with ExitStack() as stack:
        stack.callback(elasticsearch.delete, name)
        opened = stores.open_store(f"{address}?index_type={request.param}", create=header)
        made = stack.enter_context(closing(opened))
        for start in range(0, COUNT, 1500):
            records = [
                Record(
                    f"{i:05}.jpg", "walk", 1, 1, i.to_bytes(16, "big"), 6, 4, {"lot": i % 10, "half": i % 2}
                )
                for i in range(start, start + 1500)
            ]
            made.write(records, vectors[start : start + 1500])
        made.refresh()
        yield made


def _recall(found, expected):
    return np.mean([len({*a.ids} & {*b.ids}) / len(b.ids) for a, b in zip(found, expected, strict=True)])


def test_recall(store, vectors):
    """Of the ten nearest 99 in a hundred are found, and scored as the exact search scores them."""
    queries = vectors[::61]
    found, expected = (store.search(queries, K, exact=exact) for exact in (False, True))
    assert _recall(found, expected) >= 0.99
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.scores[0] == pytest.approx(theirs.scores[0], abs=1e-5)


def test_exact_is_exact(store, vectors):
    """An exact search gives what numpy does, picture by picture, also behind a filter."""
    kept = vectors.astype(np.float16).astype(np.float32)
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    queries = vectors[5:2000:500]
    for where, passing in (
        ((), np.arange(COUNT)),
        ([Condition("half", "=", (1,))], np.arange(1, COUNT, 2)),
    ):
        for query, found in zip(queries, store.search(queries, 300, where=where, exact=True), strict=True):
            truth = kept[passing] @ query
            order = np.argsort(-truth, kind="stable")[:300]
            np.testing.assert_allclose(found.scores, truth[order], atol=1e-4)
            assert len({*found.ids} & {f"{passing[i]:05}.jpg" for i in order}) >= 299


def test_filtered_recall(store, vectors):
    """Behind a filter that one picture in ten passes as many of the nearest are found."""
    where = [Condition("lot", "=", (3,))]
    queries = vectors[::301]
    found, expected = (store.search(queries, K, where=where, exact=exact) for exact in (False, True))
    assert _recall(found, expected) >= 0.99


def test_all_of_them(store, vectors):
    """Asked for as many as there are, it gives every picture once."""
    (found,) = store.search(vectors[:1], 10_000)
    assert len(found.ids) == len(set(found.ids)) == COUNT

"""Search: the fast path against the exact one, filters against plain loops, edges."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from lookalike.errors import FilterError, UsageError
from lookalike.stores import where as where_language
from lookalike.stores.sqlite.database import live
from lookalike.types import Condition


def _recall(found, expected):
    return np.mean([len(set(a.ids) & set(b.ids)) / len(b.ids) for a, b in zip(found, expected, strict=True)])


def test_codes_find_what_exact_search_finds(filled, features):
    """By codes the ten nearest of own rows and foreign vectors are found, with the scores of exact search."""
    store, vectors = filled
    assert store.cache.head(store._known.generation, 256).useful
    queries = np.concatenate([vectors[:150], features(50, seed=1)])
    found, exact = store.search(queries, 10), store.search(queries, 10, exact=True)
    assert [f.ids for f in found] == [e.ids for e in exact]
    assert [f.scores.tolist() for f in found] == [e.scores.tolist() for e in exact]


@pytest.mark.parametrize("condition", ["lot=3", "lot<9", "name=000007.jpg", "lot!=0"])
def test_filters_are_exact(filled, condition):
    """Narrow and wide filters give the best of the rows that pass, not what is left of a top list."""
    store, vectors = filled
    where = where_language.typed(where_language.parse(condition), store.fields())
    found = store.search(vectors[:40], 10, where=where)
    assert _recall(found, store.search(vectors[:40], 10, where=where, exact=True)) >= 0.995
    for answer in found:
        for record in store.get(answer.ids):
            values = {"lot": record.metadata["lot"], "name": record.id[2:]}
            assert where_language.matches(where, values)


def test_new_rows_are_found_before_they_have_codes(filled, record, features):
    """A row is found as soon as it is written, a replaced one by its new vector alone."""
    store, vectors = filled
    new = features(2, seed=9)
    last = store.cache.head(store._known.generation, 256).last
    store.write([record("new.jpg"), record(5)], new)
    assert store.cache.head(store._known.generation, 256).last == last
    assert store.search(new[:1], 1)[0].ids == ["new.jpg"]
    assert store.search(new[1:], 1)[0].ids == ["p/000005.jpg"]
    assert store.search(vectors[5:6], 1)[0].ids != ["p/000005.jpg"]


def test_deleted_rows_do_not_crowd_out_live_ones(filled):
    """Where most of the best candidates were deleted, search goes deeper until it has k live ones."""
    store, vectors = filled
    dead = store.search(vectors[:1], 900)[0].ids
    store.delete(dead)
    found = store.search(vectors[:1], 10)
    assert _recall(found, store.search(vectors[:1], 10, exact=True)) >= 0.9
    assert not set(found[0].ids) & set(dead)


def test_compaction(filled):
    """When more than a fifth of the codes are dead they are made anew, without the dead."""
    store, _ = filled
    store.delete([f"p/{i:06}.jpg" for i in range(1300)])
    store.refresh()
    head = store.cache.head(store._known.generation, 256)
    assert head.rows == 4700
    assert store.check() == []


def test_vectors_that_codes_do_not_suit(tmp_path, open_at, header, record, units):
    """Where codes would not reach the recall, as on noise, the gallery searches exactly."""
    store = open_at(tmp_path / "noise", header(dim=64))
    vectors = units(6000, 64)
    store.write([record(i) for i in range(6000)], vectors)
    store.refresh()
    assert not store.cache.head(store._known.generation, 64).useful
    assert store.search(vectors[:1], 10)[0].ids == store.search(vectors[:1], 10, exact=True)[0].ids


def test_ties_come_in_the_order_they_came_in(store, record, units):
    """Equal scores keep the order of writing, whatever their ids."""
    vectors = np.repeat(units(1), 50, axis=0)
    store.write([record(f"{97 * i % 50:02}.jpg") for i in range(50)], vectors)
    assert store.search(vectors[:1], 5)[0].ids == [f"{97 * i % 50:02}.jpg" for i in range(5)]


@pytest.mark.parametrize(("rows", "distinct"), [(9188, 8), (9188, 300), (6000, 1)])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equal_vectors_do_not_crowd_out_nearer_ones(
    tmp_path, open_at, header, record, units, metric, rows, distinct
):
    """Where few vectors are distinct, foreign queries get what exact search gives, ties as they came in."""
    store = open_at(tmp_path / "equal", header(dim=64, metric=metric))
    vectors = units(distinct, 64)[np.random.default_rng(1).integers(0, distinct, rows)]
    store.write([record(i) for i in range(rows)], vectors)
    store.refresh()
    queries = units(10, 64, seed=5)
    for k in (1, 10, 1500):
        for found, exact in zip(store.search(queries, k), store.search(queries, k, exact=True), strict=True):
            assert found.ids == exact.ids
            assert found.scores.tolist() == exact.scores.tolist()


def test_the_first_of_equal_vectors_is_deleted(tmp_path, open_at, header, record, features):
    """Equal rows are found though the one that stands for them is gone, or does not pass the filter."""
    store = open_at(tmp_path / "equal", header(dim=256))
    vectors = features(6000)
    vectors[1000:3000] = vectors[7]
    store.write([record(i, metadata={"lot": int(i > 2000)}) for i in range(6000)], vectors)
    store.refresh()
    assert store.cache.head(store._known.generation, 256).useful
    store.delete([record(i).id for i in (7, *range(1000, 1100))])
    for conditions, first in ((None, 1100), (["lot=1"], 2001)):
        where = where_language.typed(where_language.parse(conditions), store.fields())
        found = store.search(vectors[7:8], 40, where=where)[0]
        assert found.ids == [record(i).id for i in range(first, first + 40)]
    assert store.check() == []


def test_a_burst_in_a_large_gallery(filled, record, features):
    """Of 700 pictures that hardly differ, which no sample met, a search gives the nearest in their order."""
    store, _ = filled
    burst = features(1, seed=8) + 1e-3 * np.random.default_rng(2).normal(size=(700, 256)).astype(np.float32)
    burst /= np.linalg.norm(burst, axis=1, keepdims=True)
    store.write([record(f"burst/{i}.jpg") for i in range(700)], burst)
    with store.writing():
        store._codes.keep_up(tail=0)
    head = store.cache.head(store._known.generation, 256)
    assert (head.rows, head.calibrated) == (6700, 6000)
    queries = np.concatenate([burst[:10], features(10, seed=7)])
    for k in (10, 40):
        found, exact = store.search(queries, k), store.search(queries, k, exact=True)
        assert [f.ids for f in found] == [e.ids for e in exact]


def test_queries_of_every_length(tmp_path, open_at, header, record, features):
    """By Euclidean distance a query may have any length, also none."""
    store = open_at(tmp_path / "e", header(dim=256, metric="euclidean"))
    vectors = features(6000)
    vectors[::100] = 0
    store.write([record(i) for i in range(6000)], vectors)
    store.refresh()
    assert store.cache.head(store._known.generation, 256).useful
    queries = np.concatenate([scale * features(4, seed=4) for scale in (1e-3, 0.4, 1, 3, 1000, 0)])
    found, exact = store.search(queries, 20), store.search(queries, 20, exact=True)
    assert [f.ids for f in found] == [e.ids for e in exact]


def test_codes_of_a_later_state_are_not_used(filled, record, features):
    """A search in a snapshot finds what was replaced since, though the codes are of the state after that."""
    store, vectors = filled
    searcher = store._searcher(store.header)
    with store.database.reading() as connection:
        before = live(connection)
        store.write([record(5)], features(1, seed=9))
        with store.writing():
            store._codes.keep_up(tail=0)
        found = searcher.search(connection, before, vectors[5:6], 1)
    assert found[0].ids == ["p/000005.jpg"]
    assert found[0].scores[0] > 0.999


def test_zero_vectors(store, record, units):
    """The cosine with a zero vector is 0: as query, and as picture."""
    vectors = units(3)
    vectors[1] = 0
    store.write([record(i) for i in range(3)], vectors)
    assert store.search(np.zeros((1, 8)), 3)[0].scores.tolist() == [0, 0, 0]
    found = store.search(vectors[:1], 3)[0]
    assert found.scores[found.ids.index("p/000001.jpg")] == 0


def test_itself_is_at_distance_zero(tmp_path, open_at, header, record, features):
    """A stored vector is at euclidean distance 0 from itself, also where codes are used."""
    store = open_at(tmp_path / "e", header(dim=256, metric="euclidean"))
    store.write([record(i) for i in range(6000)], features(6000))
    store.refresh()
    own = store.vectors(["p/000042.jpg"])
    found = store.search(own, 2)[0]
    assert (found.ids[0], found.scores[0]) == ("p/000042.jpg", 0)
    assert found.scores[1] < 0


def test_wide_vectors_in_bounded_memory(tmp_path, open_at, header, record, subprocess_python):
    """A gallery of 400 vectors of 150,528 numbers, 240 MB, is searched within 200 MB."""
    store = open_at(
        tmp_path / "w", header(dim=150_528, normalized=False, row_type="float32", metric="euclidean")
    )
    rng = np.random.default_rng(0)
    with store.writing():
        for start in range(0, 400, 50):
            vectors = rng.random((50, 150_528), np.float32)
            store.write([record(i) for i in range(start, start + 50)], vectors)
    store.close()
    code = (
        "import sys, resource, numpy as np; from lookalike.stores import open_store\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "store = open_store(sys.argv[1]); query = store.vectors(['p/000399.jpg']); before = peak()\n"
        "print(store.search(np.repeat(query, 3, axis=0), 1)[2].ids, peak() - before)"
    )
    ids, more = subprocess_python(code, store.address).rsplit(" ", 1)
    assert ids == "['p/000399.jpg']"
    assert int(more) < 200_000


def test_arguments_that_cannot_be_meant(store, record, units):
    """A wrong shape, a negative k, numbers that are none, an unknown field: each is said."""
    store.write([record(1)], units(1))
    with pytest.raises(UsageError, match=r"shape \(1, 7\), expected \(q, 8\)"):
        store.search(np.zeros((1, 7)), 1)
    with pytest.raises(UsageError, match="-1 pictures"):
        store.search(units(1), -1)
    with pytest.raises(UsageError, match="not finite"):
        store.search(np.full((1, 8), np.nan), 1)
    with pytest.raises(FilterError, match="no field 'colour'"):
        store.search(units(1), 1, where=[Condition("colour", "=", ("red",))])


def test_threads(filled, record, features):
    """Several threads search while one writes; each answer is right for what was there."""
    store, vectors = filled
    exact = store.search(vectors[:20], 1, exact=True)
    wrong = []

    def look():
        for _ in range(10):
            wrong.extend(
                a.ids for a, b in zip(store.search(vectors[:20], 1), exact, strict=True) if a.ids != b.ids
            )

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(20):
        store.write([record(f"new/{i}.jpg")], -features(1, seed=100 + i))
    for thread in threads:
        thread.join()
    assert wrong == []

"""A gallery in several shards gives what a gallery in a folder gives, and so does one read in many parts."""

from __future__ import annotations

from contextlib import ExitStack, closing
from itertools import product

import numpy as np
import pytest

from lookalike import stores
from lookalike.stores.elasticsearch import layout, searching
from lookalike.stores.elasticsearch import searching as pit
from lookalike.types import Classes, Condition, Header, Skipped, Space, Term

CLASSES = Classes(("n1", "n2", "n3"), ("tabby cat", "tiger cat", "dog"))
HEADER = Header(Space("toy", "0" * 64, 16, "cosine", "f32", True, "float32"), "", CLASSES)
COUNT = 400


@pytest.fixture
def vectors(unit_vectors):
    """Of every picture; one of them has no direction, and two are equal."""
    made = unit_vectors(COUNT, HEADER.space.dim)
    made[7] = 0
    made[9] = made[8]
    return made


@pytest.fixture
def both(tmp_path, elasticsearch_address, a_record, vectors):
    """The same pictures in a folder, and in three shards; some paths besides are skipped or removed."""
    scores = np.random.default_rng(1).dirichlet(np.full(3, 0.5), COUNT)
    records = [
        a_record(
            f"{'abc'[i % 3]}/{i} \N{OWL}.jpg",
            width=i,
            metadata={"note": ("beach", "a dog", "")[i % 3]},
            scores=sorted(zip(CLASSES.ids, scores[i].tolist(), strict=True), key=lambda pair: -pair[1]),
        )
        for i in range(COUNT)
    ]
    with ExitStack() as stack:
        made = []
        for address in (str(tmp_path / "gallery"), f"{elasticsearch_address}?shards=3"):
            store = stack.enter_context(closing(stores.open_store(address, create=HEADER)))
            assert store.write(records, vectors) == []
            store.skip([Skipped(f"b/{i}.txt", 1, 2, "not a picture") for i in range(20)])
            store.delete([records[20].id, "never seen"], keep_out=True)
            made.append(store)
        yield made


def test_there_are_three(client, name, both):
    """The address says how many; every one of them holds some of the pictures."""
    both[1].refresh()
    shards = client.cat.shards(index=name, format="json", h="docs,prirep")
    counts = [int(shard["docs"]) for shard in shards if shard["prirep"] == "p"]
    assert len(counts) == 3
    assert min(counts) > COUNT / 6


@pytest.mark.parametrize("exact", [False, True])
def test_searched(both, vectors, exact):
    """The same pictures with the same scores, however many are wanted, filtered or not."""
    queries = vectors[[0, 7, 8, 30]]
    for k, where in product((1, 9, 1000), ((), [Condition("width", "<", (90,))])):
        theirs, mine = (store.search(queries, k, where=where, exact=exact) for store in both)
        for expected, found in zip(theirs, mine, strict=True):
            np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
            told = dict(zip(expected.ids, expected.scores.tolist(), strict=True))
            assert len(set(found.ids)) == len(expected.ids)
            for id_, score in zip(found.ids, found.scores.tolist(), strict=True):
                assert told.get(id_, expected.scores[-1]) == pytest.approx(score, abs=1e-3)


def test_found(both):
    """By words the same pictures in the same order with the same numbers."""
    for terms in (
        [Term("cat", frozenset({"n1", "n2"}))],
        [Term("dog", frozenset({"n3"})), Term("cat", frozenset({"n1"}))],
        [Term("beach", frozenset())],
    ):
        theirs, mine = (store.find(terms, 50) for store in both)
        assert [match.id for match in mine] == [match.id for match in theirs]
        np.testing.assert_allclose([m[1:] for m in mine], [m[1:] for m in theirs], atol=1e-9)


def test_read_through(both, monkeypatch):
    """Pictures and paths come in the order of ids, all of them, however many a page holds."""
    for size in (pit.STATES, 7):
        monkeypatch.setattr(pit, "STATES", size)
        assert len(states := [list(store.states()) for store in both][1]) == COUNT + 21
        assert states == list(both[0].states())
        assert [store.skipped() for store in both][1] == both[0].skipped()
        scans = [list(store.scan(batch=30)) for store in both]
        ids = [[record.id for batch in batches for record in batch.records] for batches in scans]
        assert ids[1] == ids[0] == sorted(ids[0])
        rows = [np.concatenate([batch.vectors for batch in batches]) for batches in scans]
        np.testing.assert_allclose(rows[1], rows[0], atol=1e-6)


def test_exact_in_small_shares(both, vectors, monkeypatch):
    """A share that turns out too large is halved, until the server compares every picture of it."""
    monkeypatch.setattr(searching, "_SHARE", 150)
    monkeypatch.setattr(searching, "_MOST_CANDIDATES", 40)
    spans = []
    whole = searching.Searcher._share

    def seen(self, query, low, high, *rest):
        spans.append(high - low)
        return whole(self, query, low, high, *rest)

    monkeypatch.setattr(searching.Searcher, "_share", seen)
    queries = vectors[[3, 8]]
    for expected, found in zip(*(store.search(queries, 30, exact=True) for store in both), strict=True):
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
        assert set(found.ids) == set(expected.ids)
    assert max(spans) >= layout.BUCKETS // 3
    assert min(spans) <= layout.BUCKETS // 12


def test_ties_of_an_exact_search(both, a_record, vectors):
    """Of pictures that are equally near those of the smallest ids are given, from whichever shard."""
    mine, ids = both[1], ["a/0 \N{OWL}.jpg", *(f"tie {i:02}.jpg" for i in range(60))]
    mine.write([a_record(id_) for id_ in reversed(ids[1:])], np.tile(vectors[:1], (60, 1)))
    assert mine.search(vectors[:1], 41, exact=True)[0].ids == ids[:41]


def test_seen_by_others(client, name, both, a_record, vectors):
    """When writing ends, and by `refresh`, what was written is found by every other process at once."""
    client.indices.put_settings(index=name, settings={"index.refresh_interval": "-1"})
    mine = both[1]
    mine.refresh()
    with closing(stores.open_store(mine.address)) as other:
        with mine.writing():
            mine.write([a_record("one.jpg")], vectors[:1])
            assert other.count() == COUNT - 1
        assert other.count() == COUNT
        mine.write([a_record("two.jpg")], vectors[:1])
        assert other.count() == COUNT
        mine.refresh()
        assert other.count() == COUNT + 1
        assert {"one.jpg", "two.jpg"} < set(other.search(vectors[:1], 3)[0].ids)

"""A cluster that tests may damage, and work on it whose every acknowledged step is written down."""

from __future__ import annotations

import random
import threading
import time
import uuid
from contextlib import closing

import numpy as np
import pytest
from elasticsearch import Elasticsearch

from lookalike.stores import open_store
from lookalike.types import Header, Record, Space

DIM = 64
BATCH = 40
BASE = 200
HEADER = Header(Space("toy", "0" * 64, DIM, "cosine", "f32", True, "float32"), "")

# A record's digest is its version, so that a replacement that was lost can be told.
GONE = None


def vector(id_, version):
    """The unit vector of one version of a picture."""
    drawn = np.random.default_rng([int(id_[1:]), version]).normal(size=DIM).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def record(id_, version):
    """One version of a picture."""
    return Record(id_, "walk", 10, version, version.to_bytes(16, "big"), 4, 3)


class Load:
    """Threads that write to a gallery and search it, and what the gallery must hold after that.

    Each batch adds pictures, replaces some that are there, and deletes one.

    Args:
        address: of the gallery, which is made.
        seed: of what is written.
    """

    def __init__(self, address, seed):
        self.address = address
        self.writing = threading.Event()
        self.answered = []  # when each search ended
        self.acknowledged = []  # when each batch was
        self.errors = []
        # Of every picture: the versions that may be there. One after a step was acknowledged; two while
        # it is not known whether the step was done.
        self.versions = {}
        self._dice = random.Random(seed)  # noqa: S311
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(f,)) for f in (self._write_some, self.search_one)
        ]
        with closing(open_store(address, create=HEADER)) as store:
            self._step(store, [f"p{i}" for i in range(BASE)], GONE)
            store.refresh()
        self._base = dict(self.versions)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        for thread in self._threads:
            thread.join()
        if exception == (None, None, None):
            assert not self.errors, self.errors

    def lasts(self, seconds):
        """Let the work go on for a while, and until something more was acknowledged and answered."""
        until = time.monotonic() + seconds
        time.sleep(seconds)
        while not (self.acknowledged[-1:] > [until] and self.answered[-1:] > [until]):
            assert not self.errors, self.errors
            assert time.monotonic() < until + 60, "nothing goes on"
            time.sleep(0.05)

    def verify(self, *, faults=0):
        """Nothing acknowledged is lost, nothing is there twice, and what is there is whole.

        Args:
            faults: how many the check may find: one where a node is still missing.
        """
        with closing(open_store(self.address)) as store:
            ids = [state.id for state in store.states()]
            assert ids == sorted(set(ids))
            assert store.count() == len(ids)
            assert [r.id for batch in store.scan() for r in batch.records] == ids
            found = {id_: int.from_bytes(r.digest, "big") for id_, r in zip(ids, store.get(ids), strict=True)}
            lost = {
                id_: (found.get(id_, GONE), allowed)
                for id_, allowed in self.versions.items()
                if found.get(id_, GONE) not in allowed
            }
            assert not lost, f"of {len(self.versions)} pictures (found, acknowledged): {lost}"
            assert set(found) <= set(self.versions)
            expected = np.stack([vector(id_, found[id_]) for id_ in ids])
            np.testing.assert_allclose(store.vectors(ids), expected, atol=1e-6)
            everything = store.search(expected[:1], len(ids))[0].ids
            assert sorted(everything) == ids
            told = store.check()
            assert len(told) == faults, told
            assert all("on no node" in fault for fault in told)

    def search_one(self, store):
        """One of the pictures that were there before the fault, which is nearest to itself."""
        id_ = self._dice.choice(list(self._base))
        (best,) = store.search(vector(id_, 1)[None], 3)
        assert best.ids[0] == id_
        assert best.scores[0] == pytest.approx(1, abs=1e-3)
        self.answered.append(time.monotonic())

    def _guarded(self, work):
        try:
            with closing(open_store(self.address)) as store:
                # With pauses, for the nodes that come back share two cores with the work.
                while not self._over.wait(0.02):
                    work(store)
        except Exception as error:  # noqa: BLE001  # told by the test's own thread
            self.errors.append(error)

    def write_again(self, store):
        """Write a picture that is there already, exactly as it is."""
        with store.writing():
            assert not store.write([record("p0", 1)], vector("p0", 1)[None])

    def _write_some(self, store):
        known = [id_ for id_, allowed in self.versions.items() if allowed != {GONE} and id_ not in self._base]
        new = [f"p{len(self.versions) + i}" for i in range(BATCH)]
        again = self._dice.sample(known, min(5, len(known)))
        gone = self._dice.choice(known) if known else GONE
        self._step(store, new + again, gone)
        self.acknowledged.append(time.monotonic())

    def _step(self, store, ids, gone):
        versions = [
            max([v for v in self.versions.get(id_, ()) if v is not GONE], default=0) + 1 for id_ in ids
        ]
        for id_, version in zip(ids, versions, strict=True):
            self.versions[id_] = self.versions.get(id_, {GONE}) | {version}
        self.writing.set()
        with store.writing():
            refused = store.write(
                [record(*pair) for pair in zip(ids, versions, strict=True)],
                np.stack([vector(*pair) for pair in zip(ids, versions, strict=True)]),
            )
            self.writing.clear()
            assert not refused, refused
            self.versions.update({id_: {version} for id_, version in zip(ids, versions, strict=True)})
            if gone is not GONE:
                self.versions[gone] = self.versions[gone] | {GONE}
                store.delete([gone])
                self.versions[gone] = {GONE}


@pytest.fixture
def pictures():
    """The header of a gallery, and some records with their vectors (n, dim)."""
    ids = [f"p{i}" for i in range(9)]
    return HEADER, [record(id_, 1) for id_ in ids], np.stack([vector(id_, 1) for id_ in ids])


@pytest.fixture(scope="session")
def a_record():
    """Makes a picture's record: of an id, or of a number, after which it is called."""

    def make(named, **changes):
        number = isinstance(named, int)
        id_ = f"p/{named:04}.jpg" if number else named
        digest = named.to_bytes(16, "big") if number else id_.encode(errors="replace").ljust(16, b"-")[:16]
        fields = {"size": 10, "mtime_ns": 20, "digest": digest, "width": 640, "height": 480}
        return Record(**{"id": id_, "source": "walk", **fields, **changes})

    return make


@pytest.fixture(scope="session")
def unit_vectors():
    """Makes n vectors of unit length, ndarray of shape (n, dim)."""

    def make(n, dim=8, seed=0):
        vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return make


@pytest.fixture
def client(elasticsearch):
    """The official client, as a user of the same server has it."""
    with Elasticsearch(elasticsearch.urls[0]) as es:
        yield es


@pytest.fixture
def name(elasticsearch_address):
    """The name of the gallery at the test's address."""
    return elasticsearch_address.rpartition("/")[2]


@pytest.fixture
def own_name():
    """The name of a gallery of the test's own."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def cluster(elasticsearch_cluster):
    """Three nodes, all of them alive when a test begins."""
    dead = [node for node in range(3) if not elasticsearch_cluster.lives(node)]
    elasticsearch_cluster.start(*dead)
    elasticsearch_cluster.wait("green", nodes=3)
    return elasticsearch_cluster


@pytest.fixture
def replicated(cluster, own_name):
    """The address of a new gallery of one shard with one replica; one of three nodes holds nothing of it."""
    yield f"{cluster.address(own_name)}?shards=1&replicas=1"
    cluster.delete(own_name)


@pytest.fixture
def load(seed):
    """Puts a gallery under load, until the block ends."""
    return lambda address: Load(address, seed)

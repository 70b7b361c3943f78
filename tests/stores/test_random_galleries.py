"""Random galleries against brute force; LOOKALIKE_TEST_GALLERIES says how many."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pytest

from lookalike import Gallery
from lookalike.extractors.model import Model
from lookalike.stores import where as where_language
from lookalike.stores.sqlite import SqliteStore

GALLERIES = int(os.environ.get("LOOKALIKE_TEST_GALLERIES", "40"))
FIRST = int(os.environ.get("LOOKALIKE_TEST_FIRST_GALLERY", "0"))

ROUNDING = 4e-6
"""What a float32 score may be off, relative to the largest there is."""

CODED = 200
"""Rows from which on these galleries have codes: a few thousand of each would take minutes to write."""


def _unit(rows):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _noise(rng, n, dim):
    return _unit(rng.normal(size=(n, dim)))


def _mixtures(rng, n, dim):
    """What vectors of pictures look like: mixtures of two out of some dozens, and noise."""
    some, share = _noise(rng, 60, dim), rng.random((n, 1))
    mixed = share * some[rng.integers(0, 60, n)] + (1 - share) * some[rng.integers(0, 60, n)]
    return _unit(mixed + rng.choice([0.0, 0.01, 0.2, 0.5]) * _noise(rng, n, dim))


def _bursts(rng, n, dim):
    """Groups of vectors that hardly differ, or are equal."""
    groups = int(rng.choice([1, 8, 60, 200]))
    spread = rng.choice([0.0, 1e-4, 1e-2, 0.2], (groups, 1))
    of = rng.integers(0, groups, n)
    return _unit(_noise(rng, groups, dim)[of] + spread[of] * _noise(rng, n, dim))


def _few(rng, n, dim):
    """Few distinct vectors, each many times."""
    distinct = int(rng.choice([1, 2, 12, 40]))
    return _noise(rng, distinct, dim)[rng.integers(0, distinct, n)]


def _dominated(rng, n, dim):
    """One vector makes nine tenths, sometimes the zero vector; the rest is as of pictures."""
    rows = _mixtures(rng, n, dim)
    rows[rng.random(n) < 0.9] = rng.choice([0, 1]) * rows[0]
    return rows


def _sparse(rng, n, dim):
    """One number or two of each vector are not zero, as in class scores."""
    rows = np.zeros((n, dim))
    for _ in range(2):
        rows[np.arange(n), rng.integers(0, min(dim, 60), n)] += rng.choice([0.0, 0.3, 1.0], n)
    return _unit(rows)


KINDS = (_noise, _mixtures, _mixtures, _mixtures, _bursts, _bursts, _bursts, _few, _few, _dominated, _sparse)
ROWS = (1, 30, 300, 900, 900, 2_000, 2_000)
DIMS = (8, 64, 128, 256, 600, 600)
METRICS = ("cosine", "cosine", "cosine", "euclidean", "euclidean", "inner", "manhattan")


@dataclass
class Made:
    """A gallery, and what is known of its pictures, in the order in which they came in."""

    store: SqliteStore
    ids: list[str]
    rows: np.ndarray
    lots: np.ndarray
    digests: list[bytes]


def _write(store, record, made, numbers, vectors, rng):
    lots, files = rng.integers(0, 6, len(numbers)), rng.integers(0, 40, len(numbers))
    records = [
        record(i, metadata={"lot": int(lot)}, digest=bytes([file]) * 16 if file < 10 else os.urandom(16))
        for i, lot, file in zip(numbers, lots, files, strict=True)
    ]
    store.write(records, vectors)
    kept = store.vectors([r.id for r in records])
    for r, lot, row in zip(records, lots.tolist(), kept, strict=True):
        made.pop(r.id, None)  # a picture that is replaced comes in anew
        made[r.id] = (row, lot, r.digest)


def _make(folder, header, record, rng):
    """A random gallery with a history: batches, replaced and deleted pictures, a tail without codes."""
    kind = KINDS[rng.integers(0, len(KINDS))]
    n, dim = int(rng.choice(ROWS)), int(rng.choice(DIMS))
    metric = str(rng.choice(METRICS))
    unit = bool(metric != "inner" and rng.random() < 0.8)
    made, vectors = {}, kind(rng, n + 60, dim)
    if not unit:
        vectors *= rng.choice([1e-3, 1, 50]) * rng.uniform(0.5, 2, (len(vectors), 1)).astype(np.float32)
    about = header(dim=dim, metric=metric, normalized=unit, row_type="float16" if unit else "float32")
    store = SqliteStore(folder, create=about, coded=CODED if rng.random() < 0.85 else 5_000)
    with store.writing():
        for part in np.array_split(np.arange(n), rng.integers(1, 4)):
            if len(part):
                _write(store, record, made, part.tolist(), vectors[part], rng)
        store.refresh()
        for _ in range(rng.integers(0, 3)):
            again = rng.choice(n, min(n, 20), replace=False)
            _write(
                store, record, made, again.tolist(), vectors[rng.permutation(len(vectors))[: len(again)]], rng
            )
            gone = [f"p/{i:06}.jpg" for i in rng.choice(n, n // 20, replace=False)]
            store.delete(gone)
            for id_ in gone:
                made.pop(id_, None)
            if rng.random() < 0.3:
                store.refresh()
        if rng.random() < 0.7:
            _write(store, record, made, list(range(n, n + 30)), vectors[n : n + 30], rng)
    rows, lots, digests = zip(*made.values(), strict=True)
    return Made(store, list(made), np.stack(rows), np.array(lots), list(digests)), vectors


def _queries(rng, made, vectors):
    """Own rows and foreign ones: mixtures, rows with a little or much noise, noise, another length, zero."""
    own, other = made.rows[rng.integers(0, len(made.rows), (2, 3))]
    noise = _noise(rng, 3, own.shape[1]) * np.linalg.norm(own, axis=1, keepdims=True)
    foreign = np.concatenate([own + other, own + 1e-3 * noise, own + noise, noise, 0 * own])
    scaled = own[:1] * rng.choice([1e-3, 0.3, 7.0])
    return np.concatenate([own, foreign[rng.permutation(len(foreign))[:5]], scaled]).astype(np.float32)


def _scores(query, rows, metric):
    """By brute force, in float64."""
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        return np.divide(rows @ query, lengths, out=np.zeros(len(rows)), where=lengths > 0)
    if metric == "inner":
        return rows @ query
    return -np.linalg.norm(rows - query, axis=1, ord=1 if metric == "manhattan" else 2)


def _hold(found, made, passing, query, k, metric):
    """An answer is right: as long as it can be, best first, each score right, equal ones as they came in."""
    scores = _scores(query, made.rows, metric)
    off = ROUNDING * max(1.0, np.abs(scores).max())
    places = np.array([made.ids.index(id_) for id_ in found.ids], int)
    best = np.sort(scores[passing])[::-1][:k]
    assert len(places) == min(k, passing.sum()) == len(set(places.tolist()))
    assert passing[places].all()
    assert np.abs(found.scores - scores[places]).max(initial=0) <= off
    assert np.abs(found.scores - best).max(initial=0) <= off
    assert (np.diff(found.scores) <= 0).all()
    assert (np.diff(places)[np.diff(found.scores) == 0] > 0).all()
    # Of pictures whose vectors are equal none is left out that came in before one that is there.
    for place in places[-3:]:
        twins = np.flatnonzero(passing & (made.rows == made.rows[place]).all(axis=1))
        assert set(twins[twins < place]) <= set(places.tolist())


def _chosen(ranking, made, k, own, distinct):
    """What is left of a whole ranking by a plain loop over it."""
    values = {"lot": made.lots, "digest": made.digests}
    place = {id_: i for i, id_ in enumerate(made.ids)}
    taken = {(field, values[field][place[own]]) for field in distinct if own is not None}
    chosen = []
    for id_ in ranking.ids:
        mine = {(field, values[field][place[id_]]) for field in distinct}
        if id_ != own and not mine & taken:
            chosen.append(id_)
            taken |= mine
    return chosen[:k]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + GALLERIES))
def test_answers_are_those_of_brute_force(tmp_path, header, record, seed):
    """Whatever the vectors, the metric, the filter and the history: scores, order and ties are right."""
    rng = np.random.default_rng(seed)
    made, vectors = _make(tmp_path / "g", header, record, rng)
    store, metric = made.store, made.store.header.space.metric
    queries = _queries(rng, made, vectors)
    conditions = [[], [f"lot={rng.integers(0, 6)}"], ["lot<4"], ["lot=7"]][rng.integers(0, 4)]
    where = where_language.typed(where_language.parse(conditions), store.fields())
    passing = np.array([where_language.matches(where, {"lot": int(lot)}) for lot in made.lots])
    for k in (0, 1, 10, int(rng.choice([25, 100, len(made.ids), len(made.ids) + 7]))):
        fast, exact = (store.search(queries, k, where=where, exact=wish) for wish in (False, True))
        for query, a, b in zip(queries, fast, exact, strict=True):
            _hold(b, made, passing, query, k, metric)
            assert (a.ids, a.scores.tolist()) == (b.ids, b.scores.tolist())
    gallery = Gallery(str(tmp_path), store, str(tmp_path), Model(None))
    own = str(rng.choice(made.ids))
    row = made.rows[made.ids.index(own)]
    for options in ({"distinct": "lot"}, {"unique": True}, {"distinct": "lot", "unique": True}, {}):
        fields = [*(["lot"] if "distinct" in options else []), *(["digest"] if "unique" in options else [])]
        for query, asked, vector in ((f"id:{own}", own, row), (queries[3], None, queries[3])):
            ranking = store.search(vector[None], len(made.ids), where=where, exact=True)[0]
            for k in (1, 5, 60):
                hits = gallery.search(query, k, where=conditions or None, **options)
                assert [hit.id for hit in hits] == _chosen(ranking, made, k, asked, fields)
    store.close()

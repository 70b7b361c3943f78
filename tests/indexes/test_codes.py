"""The codes: an orthogonal rotation, estimates without bias, and bounds that hold."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lookalike.indexes import calibration, exact
from lookalike.indexes import codes as coding
from lookalike.indexes.cache import Codes, width
from lookalike.indexes.codes import Coder

PINNED = "efe951457e854150"


def _unit(n, dim, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _codes(coder, rows):
    bits, factors = coder.encode(rows)
    first, whole = min(width(coder.dim), 64), width(coder.dim)
    parts = (bits[:, :first], bits[:, first:whole], bits[:, whole:])
    keys = np.arange(len(rows))
    return Codes(keys, *map(np.ascontiguousarray, parts), factors, keys)


@pytest.mark.parametrize("dim", [2, 3, 64, 127, 200, 1280])
def test_the_rotation_is_orthogonal(dim):
    """Lengths and products are the same after the rotation, for every number of dimensions."""
    rows = _unit(5, dim)
    queries = Coder(np.zeros(dim, np.float32), 7).queries(rows)
    turned = np.stack([query.turned for query in queries])
    assert np.allclose(turned @ turned.T, rows @ rows.T, atol=1e-5)


def test_the_same_seed_gives_the_same_codes():
    """Codes depend on seed and mean alone: pinned, because they stay on disk."""
    row = (np.arange(64, dtype=np.float32)[None] - 30) ** 2
    one, two = (Coder(np.zeros(64, np.float32), seed).encode(row)[0] for seed in (1, 2))
    assert one[0, :8].tobytes().hex() == PINNED
    assert (one != two).any()


def test_ranking_follows_the_true_scores():
    """Ranked by estimates, candidates come nearly in the order of their true products."""
    rows = _unit(400, 512)
    coder = Coder(rows.mean(axis=0), 3)
    query = rows[:1] + 0.5 * rows[1:2] + 0.25 * rows[2:3]
    estimates = coding.estimated(coder.queries(query)[0], _codes(coder, rows), np.arange(400))
    assert np.argsort(-estimates)[:3].tolist() == [0, 1, 2]
    true = rows @ query[0] / np.linalg.norm(query)
    assert np.corrcoef(np.argsort(np.argsort(estimates)), np.argsort(np.argsort(true)))[0, 1] > 0.95


def test_estimates_are_off_by_no_more_than_rounding_explains():
    """The cosine that eight bits tell is within the bound of the row's own factor, for every row."""
    rows, queries = _unit(2000, 300), _unit(20, 300, seed=1)
    coder = Coder(rows.mean(axis=0), 3)
    codes = _codes(coder, rows)
    for vector, query in zip(queries, coder.queries(queries), strict=True):
        off = np.abs(coding.estimated(query, codes, np.arange(2000)) - rows @ vector)
        assert (off <= coding.rounding(1.0) * codes.factors).all()
        assert off.max() > coding.rounding(0.2) * codes.factors.min()


def test_signs_differ_by_no_more_than_angles_explain():
    """A row of at least some cosine with a query differs in no more signs than the bound of that cosine."""
    rows = _unit(40, 512)[np.arange(2000) % 40] + 0.8 * _unit(2000, 512, seed=1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    coder = Coder(rows.mean(axis=0) * 3, 5)
    away = coder.away(rows)
    limits = coding.Bounds(coding.SPREAD, float(away.min()), float(away.max()))
    codes = _codes(coder, rows)
    for vector, query in zip(rows[:40], coder.queries(rows[:40]), strict=True):
        apart = coding.apart(query, codes)
        for cosine in (0.95, 0.5, 0.2):
            near = rows @ vector >= cosine
            most = limits.most(limits.share(query.away, cosine), 512)
            assert (apart[near] <= most).all()
            assert cosine < 0.5 or (apart <= most).mean() < 0.5


def test_a_code_is_nearest_to_itself():
    """A row's own code differs from it in no sign, whether codes have one part or two."""
    for dim in (64, 300, 1280):
        rows = _unit(50, dim)
        coder = Coder(np.zeros(dim, np.float32), 5)
        codes = _codes(coder, rows)
        for place, query in enumerate(coder.queries(rows)):
            apart = coding.apart(query, codes)
            in_all = coding.apart_in_all(query, codes, np.arange(50), apart)
            assert np.flatnonzero(in_all == 0).tolist() == [place]
            assert (apart <= in_all).all()


def test_comparing_some():
    """Told where to look, a comparison gives what one of those codes alone gives."""
    rows = _unit(80, 300)
    coder = Coder(np.zeros(300, np.float32), 5)
    among = np.arange(1, 80, 2)
    query = coder.queries(rows[:1])[0]
    found = coding.apart(query, _codes(coder, rows), among)
    assert (found == coding.apart(query, _codes(coder, rows[among]))).all()


@pytest.mark.parametrize(("rows", "bytes_"), [(3000, 8), (700, 160), (9000, 64)])
def test_numpy_alone_finds_the_same(monkeypatch, rows, bytes_):
    """As long as faiss is not imported numpy compares, and counts the same."""
    codes, query = np.split(np.random.default_rng(0).integers(0, 256, (rows + 1, bytes_), np.uint8), [rows])
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "faiss", raising=False)
        cold = coding._differing(query[0], codes)
        assert "faiss" not in sys.modules
    __import__("faiss")
    assert (coding._differing(query[0], codes) == cold).all()
    assert (cold == np.unpackbits(codes ^ query, axis=1).sum(axis=1)).all()


def test_codes_do_not_pay_where_they_tell_nothing_apart():
    """On noise a search would look at every row, on clusters at few."""
    rng = np.random.default_rng(0)
    for spread, paid in ((None, False), (0.5, True)):
        rows = _unit(9000, 64)
        if spread is not None:
            centres = np.repeat(_unit(600, 256, seed=1), 15, axis=0)
            rows = centres + spread / 16 * rng.normal(size=(9000, 256)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        coder = Coder(rows.mean(axis=0), 5)
        away = coder.away(rows)
        measured = coding.Bounds(coding.SPREAD, float(away.min()), float(away.max()))
        truth = exact.search(rows[:64], [(np.arange(9000), rows)], 12, "cosine")
        assert calibration.pays(measured, coder.queries(rows[:64]), truth, _codes(coder, rows)) == paid


def test_the_spread_is_measured():
    """Where signs scatter as coins do the usual is allowed for; where vectors are nearly empty, more."""
    ones = np.eye(256, dtype=np.float32)
    sparse = (ones[0] + 0.3 * ones[1:65]) / np.float32(np.hypot(1, 0.3))
    dense = _unit(64, 256)
    for rows, wider in ((dense, False), (sparse, True)):
        coder = Coder(np.zeros(256, np.float32), 5)
        near = [np.delete(rows, place, axis=0) for place in range(len(rows))]
        assert (calibration.spread(coder, rows, near) > coding.SPREAD) == wider


def test_foreign_vectors_are_asked_with():
    """The sample has vectors that are like rows and vectors that are like none."""
    rows = _unit(100, 64)
    nearest = (calibration.foreign(rows, 1) @ rows.T).max(axis=1)
    assert len(nearest) == calibration.FOREIGN
    assert nearest.max() < 1 - 1e-4
    assert nearest.max() > 0.9
    assert nearest.min() < 0.5

"""The codes: an orthogonal rotation, estimates without bias, and a depth that is measured."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lookalike.indexes import calibration
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
    return Codes(np.arange(len(rows)), *map(np.ascontiguousarray, parts), factors)


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
    codes = _codes(coder, rows)
    order = coding.ranked(coder.queries(query)[0], codes, np.arange(400), 400)
    assert order[:3].tolist() == [0, 1, 2]
    true = rows @ query[0]
    places = np.empty(400)
    places[order] = np.arange(400)
    assert np.corrcoef(places, np.argsort(np.argsort(-true)))[0, 1] > 0.95


def test_scanning_finds_the_code_itself():
    """A row's own code is the nearest to it, whether codes have one part or two."""
    for dim in (64, 300, 1280):
        rows = _unit(50, dim)
        coder = Coder(np.zeros(dim, np.float32), 5)
        found = coding.scan(coder.queries(rows), _codes(coder, rows), 3)
        assert found[:, 0].tolist() == list(range(50))


def test_scanning_among_some():
    """Told where to look, a scan gives what one of those codes alone gives, by their places in all."""
    rows = _unit(80, 300)
    coder = Coder(np.zeros(300, np.float32), 5)
    among = np.arange(1, 80, 2)
    queries = coder.queries(rows[:4])
    found = coding.scan(queries, _codes(coder, rows), 9, among)
    assert (found == among[coding.scan(queries, _codes(coder, rows[among]), 9)]).all()


@pytest.mark.parametrize(("rows", "bytes_", "depth"), [(3000, 8, 50), (700, 160, 700), (9000, 64, 1500)])
def test_numpy_alone_finds_the_same(monkeypatch, rows, bytes_, depth):
    """As long as faiss is not imported numpy scans, and gives the same codes in the same order."""
    codes, query = np.split(np.random.default_rng(0).integers(0, 256, (rows + 1, bytes_), np.uint8), [rows])
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "faiss", raising=False)
        cold = coding._nearest(query, codes, depth)
        assert "faiss" not in sys.modules
    __import__("faiss")
    assert (coding._nearest(query, codes, depth) == cold).all()


def test_calibration_refuses_what_codes_cannot_tell_apart():
    """On noise no depth within bounds finds the neighbours, on clusters a small one does."""
    rng = np.random.default_rng(0)
    for spread, reached in ((None, False), (0.5, True)):
        rows = _unit(9000, 64)
        if spread is not None:
            centres = np.repeat(_unit(600, 256, seed=1), 15, axis=0)
            rows = centres + spread / 16 * rng.normal(size=(9000, 256)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        coder = Coder(rows.mean(axis=0), 5)
        queries = rows[:64]
        products = queries @ rows.T
        np.fill_diagonal(products, -1)
        truth = list(np.argsort(-products, axis=1)[:, :10])
        depth = calibration.calibrate(coder.queries(queries), truth, _codes(coder, rows))
        assert (depth is not None) == reached

"""The codes on disk: nothing counts before it is safe, and nothing there is trusted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lookalike.indexes.approximate import digests
from lookalike.indexes.cache import Cache, Coded
from lookalike.indexes.codes import Coder
from lookalike.system.directory import Directory


@pytest.fixture
def cache(tmp_path):
    """A cache of 40 codes of 100 numbers, published."""
    cache = Cache(Directory(tmp_path / "cache"))
    coder = Coder(np.zeros(100, np.float32), 0)
    head = cache.start("g", 100, coder.mean)
    rows = np.random.default_rng(0).normal(size=(40, 100)).astype(np.float32)
    cache.publish(cache.append(head, _coded(coder, rows, 1), last=40))
    return cache


def _coded(coder, rows, first):
    """Rows under numbers from one on, none of which is equal to another."""
    keys = np.arange(first, first + len(rows))
    return Coded(keys, *coder.encode(rows), keys - 1, digests(rows))


def test_what_was_published_comes_back(cache):
    """Arrays come back as they were, in the shapes the dimensions give."""
    head = cache.head("g", 100)
    codes, mean = cache.codes(head)
    assert (head.rows, head.last, codes.keys.tolist()) == (40, 40, list(range(1, 41)))
    assert (codes.first.shape, codes.rest.shape, codes.fine.shape) == ((40, 16), (40, 0), (40, 100))
    assert mean.tolist() == [0] * 100


def test_rows_behind_the_head_do_not_count(cache):
    """What was appended and not published is not there, and is written over."""
    head = cache.head("g", 100)
    coder, rows = Coder(np.zeros(100, np.float32), 0), np.ones((3, 100), np.float32)
    cache.append(head, _coded(coder, rows, 77), last=79)
    assert cache.codes(cache.head("g", 100))[0].keys[-1] == 40
    cache.publish(cache.append(cache.head("g", 100), _coded(coder, rows, 41), last=43))
    assert cache.codes(cache.head("g", 100))[0].keys[-3:].tolist() == [41, 42, 43]


def test_a_reader_is_not_disturbed(cache):
    """Arrays that are mapped stay readable while new ones take their place."""
    codes, _ = cache.codes(cache.head("g", 100))
    before = codes.fine.copy()
    cache.publish(cache.start("g", 100, np.zeros(100, np.float32)))
    assert cache.head("g", 100).rows == 0
    assert (codes.fine == before).all()


@pytest.mark.parametrize("firsts", [[-1] * 40, [39, *range(1, 40)], [0, 0, 1, *range(3, 40)], [1 << 40] * 40])
def test_firsts_that_can_not_be(cache, firsts):
    """A row stands for later ones alone, and for itself: anything else is as good as no cache."""
    head = cache.head("g", 100)
    (cache.folder / f"{head.token}.firsts").write_bytes(np.array(firsts, np.int64).tobytes())
    assert cache.codes(head) is None


def test_of_another_gallery(cache):
    """A cache of another generation or dimension is as good as none."""
    assert cache.head("other", 100) is None
    assert cache.head("g", 101) is None


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 41},
        {"rows": -1},
        {"rows": 2**70},
        {"rows": "40"},
        {"rows": 1.5},
        {"token": "../../etc/pass"},
        {"token": None},
        {"format": 99},
        {"more": 1},
    ],
)
def test_a_head_that_anybody_wrote(cache, change):
    """A head that does not fit its arrays, or is of no known shape, is as good as none."""
    path = cache.folder / "head.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert cache.head("g", 100) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"[" * 4000, b"{", b"0"])
def test_a_head_that_is_no_json(cache, content):
    """Garbage in place of the head is as good as none."""
    (cache.folder / "head.json").write_bytes(content)
    assert cache.head("g", 100) is None

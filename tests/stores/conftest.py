"""Galleries made by hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from lookalike.stores import open_store
from lookalike.types import Classes, Header, Record, Space

SPACE = {field.name for field in fields(Space)}
CLASSES = Classes(("c0", "c1", "c2"), ("red", "green", "blue"))


def _header(**changes):
    space = {
        "extractor": "toy",
        "digest": "0" * 64,
        "dim": 8,
        "metric": "cosine",
        "precision": "f32",
        "normalized": True,
        "row_type": "float16",
    }
    about = {"root": "", "classes": CLASSES} | {key: changes.pop(key) for key in {*changes} - SPACE}
    return Header(Space(**space | changes), **about)


@pytest.fixture
def header():
    """Makes headers: of unit vectors of 8 numbers unless told otherwise."""
    return _header


def _record(i, **changes):
    fields = {
        "id": i if isinstance(i, str) else f"p/{i:06}.jpg",
        "source": "walk",
        "size": 10,
        "mtime_ns": 20,
        "digest": str(i).encode().ljust(16, b"-")[:16],
        "width": 640,
        "height": 480,
    }
    return Record(**fields | changes)


@pytest.fixture
def record():
    """Makes records by number, or by id."""
    return _record


@pytest.fixture
def units():
    """Makes random unit vectors (n, dim)."""

    def make(n, dim=8, seed=0):
        vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return make


def _features(n, dim=256, seed=0):
    rng = np.random.default_rng(seed)
    some = rng.normal(size=(400, dim)).astype(np.float32)
    share = rng.random((n, 1), np.float32)
    mixed = share * some[rng.integers(0, 400, n)] + (1 - share) * some[rng.integers(0, 400, n)]
    mixed += 0.2 * rng.normal(size=(n, dim)).astype(np.float32)
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def features():
    """Makes unit vectors (n, dim) as those of pictures are: mixtures of two out of some hundreds."""
    return _features


@pytest.fixture
def open_at():
    """Opens stores that are closed when the test ends."""
    opened = []

    def at(folder, header=None):
        opened.append(open_store(folder, create=header))
        return opened[-1]

    yield at
    for store in opened:
        store.close()


@pytest.fixture
def store(tmp_path, open_at, header):
    """An empty gallery of unit vectors of 8 numbers."""
    return open_at(tmp_path / ".lookalike" / "default", header())


@pytest.fixture(scope="session")
def _made(tmp_path_factory):
    """A gallery of 6,000 pictures with codes, made once."""
    folder = tmp_path_factory.mktemp("filled")
    store, vectors = open_store(folder, create=_header(dim=256)), _features(6000)
    with store.writing():
        for start in range(0, 6000, 1500):
            numbers = range(start, start + 1500)
            store.write(
                [_record(i, metadata={"lot": i % 10}) for i in numbers], vectors[start : start + 1500]
            )
        store.refresh()
    store.close()
    return folder, vectors


@pytest.fixture
def filled(tmp_path, open_at, _made):
    """A gallery of 6,000 pictures with codes, and its vectors."""
    folder, vectors = _made
    return open_at(shutil.copytree(folder, tmp_path / "filled")), vectors


@pytest.fixture
def subprocess_python():
    """Runs Python code in a process of its own; gives what it printed."""

    def run(code, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run

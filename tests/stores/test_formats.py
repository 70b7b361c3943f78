"""Galleries of an earlier format: read as they are, brought up to date by the first write.

`format_1.tar.xz` was written by the last version that knew format 1 alone: `small` has a bit of everything,
`coded` 5,200 pictures, 40 of each of 130 vectors, with their codes.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookalike.types import Folder, Skipped, Term

FIXTURE = Path(__file__).with_name("format_1.tar.xz")


@pytest.fixture
def old(tmp_path):
    """The folder of a gallery of format 1, by its name in the archive."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    return lambda name: tmp_path / name


def _tables(folder):
    connection = sqlite3.connect(folder / "gallery.sqlite")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    definitions = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
    connection.close()
    return version, definitions


def _everything(store):
    """All that can be asked of `small` without a change."""
    vectors = store.vectors([record.id for batch in store.scan() for record in batch.records])
    return (
        [record for batch in store.scan() for record in batch.records],
        vectors.tolist(),
        [found.ids for found in store.search(vectors[:3], 5, where=())],
        [match.id for match in store.find([Term("green", frozenset({"c1"}))], 3)],
        list(store.states()),
        store.skipped(),
        store.removed(),
        store.folders(),
        store.fields(),
        store.count(),
    )


def test_read_as_it_is(old, open_at):
    """A gallery of format 1 is read, searched and checked without a change; what it lacks is unknown."""
    before = _tables(old("small"))
    store = open_at(old("small"))
    records = store.get(["p/000003.jpg", "p/000000.jpg", "none"])
    assert [(r.decoder, r.format) for r in records if r] == [(0, ""), (0, "")]
    assert (records[0].thumbnail, records[0].source, records[0].metadata["price"]) == (b"small", "url", 1.5)
    assert len(_everything(store)[0]) == 19
    assert (store.skipped(), store.folders()) == (
        [Skipped("broken.jpg", 7, 8, "not a picture")],
        [Folder("", 7)],
    )
    assert (store.header.format, store.indexed_ns) == (1, 0)
    assert store.check() == []
    store.close()
    assert _tables(old("small")) == before
    assert before[0] == 1


def test_brought_up_to_date(old, open_at, record, units, header, tmp_path):
    """The first write gives an older gallery today's tables, loses nothing, and keeps its identity."""
    store, reader = open_at(old("small")), open_at(old("small"))
    before, token = _everything(store), store.token
    store.touch([])
    assert _everything(store) == before == _everything(reader)
    assert store.token == reader.token == token
    assert store.check() == []
    store.write([replace(record(77), decoder=1, format="PNG")], units(1))
    assert [(r.decoder, r.format) for r in reader.get(["p/000077.jpg"])] == [(1, "PNG")]
    open_at(tmp_path / "new", header())
    assert _tables(old("small")) == _tables(tmp_path / "new")
    again = open_at(old("small"))
    assert (again.header.format, again.token, again.count()) == (2, token, 20)


def test_codes_stay(old, open_at, record):
    """The codes of an older gallery serve before and after it is brought up to date."""
    store = open_at(old("coded"))
    base = np.sign(np.random.default_rng(2).normal(size=(130, 64))).astype(np.float32) / 8
    for written in (False, True):
        if written:
            store.write([record("last", mtime_ns=3)], base[:1])
            assert store.count() == 5201
        for query, found in zip(base[5:9], store.search(base[5:9], 40), strict=True):
            assert np.allclose(found.scores, 1, atol=1e-3)
            assert {int(id_.removesuffix(".jpg")) % 130 for id_ in found.ids} == {
                int(np.argmax(base @ query))
            }
        assert store.check() == []


@pytest.mark.parametrize("name", ["small", "coded"])
def test_rebuilt(old, open_at, name):
    """A gallery of format 1 that is built anew is of today's format, and keeps identity and lists."""
    store = open_at(old(name))
    token, folders = store.token, store.folders()
    with store.writing(), store.replacement(store.header.with_space(digest="1" * 64)) as fresh:
        for batch in store.scan():
            fresh.write(batch.records, batch.vectors)
    again = open_at(old(name))
    assert (again.header.format, again.token, again.folders()) == (2, token, folders)
    assert again.header.space.digest == "1" * 64
    assert again.check() == []


_KILLED = """
import os, signal, sys
from lookalike.stores import open_store
from lookalike.stores.sqlite import schema as migrations
steps = int(sys.argv[2])
store = open_store(sys.argv[1])
writer = store.database._connect()
writer.execute("PRAGMA cache_size = 1")
def step(statement):
    global steps
    steps -= not statement.startswith("--")
    if steps < 0:
        os.kill(os.getpid(), signal.SIGKILL)
writer.set_trace_callback(step)
with store.writing():
    migrations.migrate(writer)
"""


@pytest.mark.parametrize("steps", [1, 2, 4, 6, 8])
def test_killed_in_the_middle(old, open_at, steps):
    """A process that is killed while it brings a gallery up to date leaves it as it was."""
    code = subprocess.run([sys.executable, "-c", _KILLED, old("small"), str(steps)], check=False).returncode
    assert code == -signal.SIGKILL
    store = open_at(old("small"))
    assert (store.header.format, store.count(), store.check()) == (1, 19, [])
    store.touch([])
    assert store.check() == []
    assert _tables(old("small"))[0] == 2


def test_read_only(old, subprocess_python):
    """A gallery of format 1 in a folder that can't be written is read as it is."""
    folder = old("small")
    for path in [p for p in folder.parents if p.name.startswith(("pytest", "popen", "test"))]:
        path.chmod(0o755)
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    code = (
        "import os, sys, numpy.fft, faiss, lookalike.stores.sqlite.checking\n"
        "import lookalike.stores.sqlite.searching\n"
        "from lookalike.stores import open_store\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "store = open_store(sys.argv[1]); query = store.vectors(['p/000007.jpg'])\n"
        "print(store.search(query, 1)[0].ids, store.check(), store.get(['p/000007.jpg'])[0].decoder)\n"
    )
    try:
        assert subprocess_python(code, str(folder)) == "['p/000007.jpg'] [] 0\n"
    finally:
        for path in [folder, *folder.iterdir()]:
            path.chmod(0o755)

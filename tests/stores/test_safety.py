"""Crashes, other processes, damage, files of strangers, folders that can't be written."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest

from lookalike.errors import StoreBusy, StoreCorrupt, StoreUnavailable
from lookalike.stores import open_store
from lookalike.types import Folder

_WRITER = """
import sys, numpy as np
from lookalike.stores import open_store
from lookalike.types import Record
store = open_store(sys.argv[1])
with store.writing():
    n = 64 * (store.count() // 64)
    while True:
        numbers = range(n, n + 64)
        records = [Record(f"p/{i}", "walk", 1, 1, bytes(16), 1, 1, {"n": i}, (("c0", .5),)) for i in numbers]
        vectors = np.random.default_rng(n).normal(size=(64, 8)).astype(np.float32)
        assert store.write(records, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) == []
        n += 64
        print(n, flush=True)
"""

_REPLACER = """
import sys
from lookalike.stores import open_store
from dataclasses import replace
store = open_store(sys.argv[1])
n = 0
while True:
    n += 1
    with store.replacement(store.header.with_space(digest=f"{n:064}")) as fresh:
        for batch in store.scan():
            fresh.write(batch.records, batch.vectors)
    print(n, flush=True)
"""


def _killed_after(code, address, seconds):
    """Run code, kill it at a moment of its own, and give the last whole line it printed."""
    process = subprocess.Popen([sys.executable, "-c", code, address], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    lines = process.communicate()[0].split("\n")
    return int(lines[-2]) if len(lines) > 1 else 0


def test_kill_while_writing(store):
    """Killed at random moments, a gallery opens, has what was committed, no duplicates, no faults."""
    store.close()
    moments = random.Random(7)  # noqa: S311 - moments, not secrets
    for _ in range(5):
        reported = _killed_after(_WRITER, store.address, moments.uniform(0, 0.3))
        again = open_store(store.address)
        ids = [state.id for state in again.states()]
        assert again.count() == len(ids) == len(set(ids)) >= reported
        assert again.count() % 64 == 0
        assert again.check() == []
        again.close()


def test_kill_while_replacing(store, record, units):
    """Killed while everything is replaced, a gallery is wholly the old one or the new one."""
    store.write([record(i) for i in range(300)], units(300))
    store.close()
    moments = random.Random(8)  # noqa: S311 - moments, not secrets
    for _ in range(4):
        _killed_after(_REPLACER, store.address, moments.uniform(0, 0.2))
        again = open_store(store.address)
        assert again.count() == 300
        assert again.check() == []
        assert len(again.search(units(1), 500)[0].ids) == 300
        again.close()


def test_another_process_sees_a_commit_at_once(store, record, units):
    """An open store of another process finds a picture right after it was written here."""
    code = (
        "import sys, numpy as np; from lookalike.stores import open_store; s = open_store(sys.argv[1])\n"
        "for line in sys.stdin:\n"
        "    print(s.search(np.eye(1, 8), 99)[0].ids, s.header.space.digest[0], flush=True)"
    )
    store.write([record(0)], units(1))
    with subprocess.Popen(
        [sys.executable, "-c", code, store.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:

        def seen():
            reader.stdin.write("\n")
            reader.stdin.flush()
            return reader.stdout.readline()

        assert seen() == "['p/000000.jpg'] 0\n"
        store.write([record("new")], units(1))
        assert "'new'" in seen()
        store.delete(["new"])
        assert "'new'" not in seen()
        with store.replacement(store.header.with_space(digest="1" * 64)) as fresh:
            fresh.write([record("other")], units(1))
        assert seen() == "['other'] 1\n"
        reader.stdin.close()


def test_one_writer(store):
    """A second writer is refused and told who the first is; the first may take the right again."""
    second = open_store(store.address)
    refused = pytest.raises(StoreBusy, match=f"process {os.getpid()} is writing")
    with store.writing(), store.writing(), refused, second.writing():
        pass
    with second.writing():
        pass
    second.close()


def test_replacement_carries_over(store, record, units):
    """Ids that stay out, folders and fields are taken over; a failed attempt is gone on with."""
    store.write([record(i, metadata={"price": 1.5}) for i in range(3)], units(3))
    store.delete(["p/000001.jpg"], keep_out=True)
    store.set_folders([Folder("", 7)])
    header = store.header
    with suppress(RuntimeError), store.replacement(header) as fresh:
        fresh.write([record(0)], units(1))
        raise RuntimeError
    assert store.count() == 2
    with store.replacement(header) as fresh:
        assert fresh.count() == 1
        fresh.write([record(2)], units(1))
    assert (store.count(), store.removed(), store.folders()) == (2, ["p/000001.jpg"], [Folder("", 7)])
    assert store.fields()["price"] == "real"
    assert store.check() == []


@pytest.mark.parametrize("keep", [0, 1, 100, 5000, 20_000])
def test_a_truncated_file(filled, keep):
    """A gallery cut short is a clear error when it is opened or read, never a wrong answer or a crash."""
    store, vectors = filled
    store.close()
    os.truncate(store.path, keep)
    with pytest.raises(StoreCorrupt, match=r"gallery\.sqlite"):
        _used(store.address, vectors)


def test_garbage_in_the_file(filled):
    """Bytes overwritten in the middle are found by check or are a clear error, and never a crash."""
    store, vectors = filled
    store.close()
    content = bytearray(store.path.read_bytes())
    noise = random.Random(3)  # noqa: S311 - noise, not secrets
    for place in range(8192 * 3, len(content), 8192 * 5):
        content[place : place + 64] = noise.randbytes(64)
    store.path.write_bytes(content)
    try:
        faults = _used(store.address, vectors)
    except StoreCorrupt as error:
        faults = [str(error)]
    assert faults


def _used(address, vectors):
    store = open_store(address)
    try:
        store.search(vectors[:3], 10, exact=True)
        list(store.states())
        list(store.scan())
        return store.check()
    finally:
        store.close()


@pytest.mark.parametrize(
    "harm",
    [
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON paths BEGIN DELETE FROM paths; END",
        "CREATE TABLE more (x)",
        "DROP INDEX pictures_filter",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 99",
    ],
)
def test_a_file_with_other_tables(store, harm):
    """A file that has more, less or other things than our tables is refused before it is used."""
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute(harm)
    connection.close()
    with pytest.raises(StoreCorrupt, match=r"not a gallery of lookalike|has format 99"):
        open_store(store.address)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"dim": -1}', "[" * 5000, "null"])
def test_a_header_that_is_none(store, content):
    """A header that anybody wrote is a clear error."""
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE header SET content = ?", (content,))
    connection.commit()
    connection.close()
    with pytest.raises(StoreCorrupt, match="header can't be read"):
        open_store(store.address)


@pytest.mark.parametrize("name", ["head.json", "*.keys", "*.first", "*.fine", "*.mean"])
@pytest.mark.parametrize("harm", ["flip", "cut", "drop"])
def test_a_damaged_cache(filled, name, harm):
    """A cache that is damaged never makes an answer wrong; repair makes it again."""
    store, vectors = filled
    expected = store.search(vectors[:20], 5, exact=True)
    store.close()
    path = next(store.cache.folder.glob(name))
    content = np.fromfile(path, np.uint8)
    if harm == "drop":
        path.unlink()
    elif harm == "cut":
        os.truncate(path, len(content) // 2)
    else:
        content[::3] ^= 0x55
        content.tofile(path)
    again = open_store(store.address)
    for found, exact in zip(again.search(vectors[:20], 5), expected, strict=True):
        true = dict(zip(exact.ids, exact.scores, strict=True))
        assert len(set(found.ids)) == 5
        assert all(
            abs(true[id_] - s) < 1e-6 for id_, s in zip(found.ids, found.scores, strict=True) if id_ in true
        )
        assert (found.scores <= exact.scores + 1e-6).all()
    again.check(repair=True)
    assert again.check() == []
    pairs = zip(again.search(vectors[:20], 5), expected, strict=True)
    assert sum(len(set(found.ids) & set(exact.ids)) for found, exact in pairs) >= 98
    again.close()


def test_check_and_repair(store, record, units):
    """Check names each kind of fault, and repair makes again what follows from the pictures."""
    scores = (("c0", 0.5), ("c1", 0.25))
    store.write([record(i, scores=scores) for i in range(9)], units(9))
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute("DELETE FROM postings WHERE row = 3")
    connection.execute("DELETE FROM words WHERE rowid = 4")
    connection.execute("UPDATE live SET count = 77")
    connection.commit()
    again = open_store(store.address)
    faults = " ".join(again.check())
    assert "counts 77 pictures, there are 9" in faults
    assert "postings of class scores do not agree" in faults
    assert "words of names and metadata do not agree" in faults
    assert again.check(repair=True) == []
    connection.execute("UPDATE vectors SET vector = zeroblob(3) WHERE row = 5")
    connection.execute(
        "UPDATE vectors SET vector = ? WHERE row = 6", (np.full(8, np.nan, np.float16).tobytes(),)
    )
    connection.execute("DELETE FROM pictures WHERE row = 7")
    connection.commit()
    connection.close()
    faults = " ".join(again.check())
    assert "does not have 8 numbers (repair takes them out, then index again): p/000004.jpg" in faults
    assert "is not finite (repair takes them out, then index again): p/000005.jpg" in faults
    assert "paths without their picture: p/000006.jpg" in faults
    again.close()


def test_a_folder_that_cannot_be_written(filled, subprocess_python):
    """A read-only gallery is searched all the same; writing to it says how to keep it elsewhere."""
    store, _ = filled
    store.close()
    for path in [store.folder, *store.folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in [p for p in store.folder.parents if p.name.startswith(("pytest", "popen", "test"))]:
        path.chmod(0o755)
    before = sorted(path.name for path in store.folder.iterdir())
    code = (
        "import mmap, os, sys, numpy.fft, faiss, lookalike.stores.sqlite.checking\n"
        "import lookalike.stores.sqlite.searching\n"
        "from lookalike.stores import open_store; from lookalike.errors import StoreUnavailable\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "store = open_store(sys.argv[1]); query = store.vectors(['p/000007.jpg'])\n"
        "print(store.search(query, 1)[0].ids, store.count(), store.check())\n"
        "try: store.delete(['p/000007.jpg'])\n"
        "except StoreUnavailable as error: print('--gallery' in str(error))\n"
    )
    try:
        assert subprocess_python(code, store.address) == "['p/000007.jpg'] 6000 []\nTrue\n"
    finally:
        for path in [store.folder, *store.folder.rglob("*")]:
            path.chmod(0o755)
    assert sorted(path.name for path in store.folder.iterdir()) == before


def test_a_gallery_moves(filled, tmp_path):
    """A gallery that was moved or copied opens with its codes where it is now."""
    store, vectors = filled
    store.close()
    moved = open_store(shutil.move(store.folder, tmp_path / "elsewhere ?#%"))
    assert moved.cache.head(moved._known.generation, 256).useful
    assert moved.search(vectors[:1], 1)[0].ids == ["p/000000.jpg"]
    moved.close()


def test_closed(store, units):
    """A store that was closed says so."""
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed; open it again"):
        store.search(units(1), 1)


def test_forgotten_while_another_is_opened(store, record, units, subprocess_python):
    """Galleries that the garbage collector lets go of while others are opened hold nobody up."""
    store.write([record(0)], units(1))
    store.close()
    code = (
        "import faulthandler, gc, sys; from pathlib import Path; from lookalike.stores import open_store\n"
        "faulthandler.dump_traceback_later(60, exit=True); gc.disable()\n"
        "def collect(event, of): event == 'open' and of[0] == 'gallery.sqlite' and gc.collect()\n"
        "sys.addaudithook(collect)\n"
        "for place in sys.argv[1:]: opened = open_store(place); opened.itself = opened\n"
        "del opened; gc.collect()\n"
        "print([f for f in Path('/proc/self/fd').iterdir() if 'gallery.sqlite' in str(f.resolve())])"
    )
    copies = [shutil.copytree(store.address, f"{store.address}{i}") for i in range(5)]
    assert subprocess_python(code, *copies) == "[]\n"

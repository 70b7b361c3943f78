"""Logs that outlived their file: what is replayed is what belongs to it, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike.stores import delete_store, open_store

# Writes so many pictures in batches, and ends without closing: the log stays.
WRITER = """
import os, sys, numpy as np
from lookalike.stores import open_store
from lookalike.types import Record
store, first, last = open_store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with store.writing():
    for n in range(first, last, 50):
        records = [Record(f"p/{i}", "walk", 1, 1, bytes(16), 1, 1, {}, ()) for i in range(n, n + 50)]
        store.write(records, np.tile(np.eye(1, 8, dtype=np.float32), (50, 1)))
os._exit(0) if sys.argv[4] == "stop" else store.close()
"""


def _write(folder, first, last, end="stop"):
    subprocess.run([sys.executable, "-c", WRITER, folder, str(first), str(last), end], check=True)


def _contents(folder):
    """How many pictures a gallery has, once it is sure that it is sound."""
    store = open_store(folder)
    try:
        assert store.check() == []
        assert store.count() == len(list(store.states()))
        return store.count()
    finally:
        store.close()


@pytest.fixture
def folder(tmp_path, open_at, header):
    """The folder of a gallery of 100 pictures that is closed."""
    store = open_at(tmp_path / "gallery", header())
    store.close()
    _write(tmp_path / "gallery", 0, 100, "close")
    assert not (tmp_path / "gallery" / "gallery.sqlite-wal").exists()
    return tmp_path / "gallery"


def test_a_log_that_belongs_is_replayed(folder):
    """What was committed before a process ended without closing is there."""
    _write(folder, 100, 400)
    assert (folder / "gallery.sqlite-wal").stat().st_size > 0
    assert _contents(folder) == 400


def test_a_log_whose_file_was_deleted(folder, header):
    """A new gallery has nothing of what was in the log of the old one."""
    _write(folder, 100, 3_100)
    (folder / "gallery.sqlite").unlink()
    open_store(folder, create=header()).close()
    assert _contents(folder) == 0


def test_an_older_file_that_was_put_back(folder, tmp_path):
    """A copy of before that was put back is as it was, whatever log lies beside it."""
    shutil.copy(folder / "gallery.sqlite", tmp_path / "copy")
    _write(folder, 100, 200, "close")
    _write(folder, 200, 300)
    shutil.copy(tmp_path / "copy", folder / "gallery.sqlite")
    assert _contents(folder) == 100
    assert not (folder / "gallery.sqlite-wal").exists()


def test_a_newer_file_that_was_put_in_place(folder, tmp_path):
    """A later copy that was put in place of a file with a log is as it was."""
    _write(folder, 100, 200)
    shutil.copytree(folder, tmp_path / "later")
    _write(tmp_path / "later", 200, 500, "close")
    shutil.copy(tmp_path / "later" / "gallery.sqlite", folder / "gallery.sqlite")
    assert _contents(folder) == 500


def test_the_file_of_another_gallery(folder, tmp_path, open_at, header):
    """The file of one gallery takes nothing from the log of another, even where the counts would fit."""
    _write(folder, 100, 200)
    open_at(tmp_path / "other", header()).close()
    _write(tmp_path / "other", 0, 100, "close")
    shutil.copy(tmp_path / "other" / "gallery.sqlite", folder / "gallery.sqlite")
    assert _contents(folder) == 100


def test_a_log_with_pages_of_another_size(folder, tmp_path, open_at, header):
    """A log whose pages have another size than the file's is another's."""
    open_at(tmp_path / "other", header(dim=4096)).close()
    shutil.copy(tmp_path / "other" / "gallery.sqlite", tmp_path / "file")
    _write(folder, 100, 200)
    shutil.copy(tmp_path / "file", folder / "gallery.sqlite")
    assert _contents(folder) == 0


@pytest.mark.parametrize("salt", [bytes(8), b"saltsalt"])
def test_a_log_of_any_length(folder, salt):
    """A log that claims to be endless keeps nobody busy."""
    content = bytes.fromhex("377f0682002de218") + (8192).to_bytes(4, "big") + bytes(4) + salt + bytes(8)
    (folder / "gallery.sqlite-wal").write_bytes(content)
    os.truncate(folder / "gallery.sqlite-wal", 1 << 40)
    assert _contents(folder) == 100


def test_the_page_of_the_line(folder, open_at, header):
    """The line that tells a log is on one page in every gallery."""
    from lookalike.stores.sqlite import file as log

    store = open_at(folder)
    with store.database.reading() as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'live'").fetchone()
        line = connection.execute("SELECT token, commits FROM live").fetchone()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    assert page == log.LIVE_PAGE
    store.close()
    assert log._mark((folder / "gallery.sqlite").read_bytes()[(page - 1) * size : page * size]) == line


def _seized(folder, to):
    """The file and the log as they are at this moment, in a folder of their own."""
    to.mkdir()
    for name in ("gallery.sqlite", "gallery.sqlite-wal"):
        if (folder / name).exists():
            shutil.copy(folder / name, to / name)
    return to


def _history(store, tmp_path, record, units):
    """Copies of a gallery's files at many moments, with how many pictures there were.

    Among them are a log merged in part while somebody reads, one merged whole, and a replacement.
    """
    dice, moments, number = random.Random(5), [], 0  # noqa: S311
    for step in range(40):
        act = dice.choice(["write", "write", "write", "delete", "part", "whole", "replace"])
        if act == "write":
            store.write([record(number + i) for i in range(9)], units(9, seed=step))
            number += 9
        elif act == "delete":
            store.delete([record(dice.randrange(max(1, number))).id])
        elif act in {"part", "whole"}:
            with store.database.reading() as reader:
                reader.execute("SELECT * FROM live").fetchone()
                store.write([record(number)], units(1))
                if act == "part":
                    with store.database._writing() as writer:
                        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
            number += 1
            if act == "whole":
                with store.database._writing() as writer:
                    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        elif step % 2:
            with store.replacement(store.header.with_space(digest=f"{step:064}")) as fresh:
                fresh.write([record(i) for i in range(0, number, 2)], units(len(range(0, number, 2))))
        moments.append((_seized(store.folder, tmp_path / f"moment-{step}"), store.count()))
    return moments


def _together(folder, *files):
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    found = _contents(folder)
    shutil.rmtree(folder)
    return found


def test_any_file_with_any_log(tmp_path, open_at, header, record, units):
    """A file with the log of any moment gives what the two were together, or what the file is alone."""
    store = open_at(tmp_path / "gallery", header())
    moments = _history(store, tmp_path, record, units)
    assert sum((moment / "gallery.sqlite-wal").stat().st_size > 0 for moment, _ in moments) > 20
    dice, replayed, cleared = random.Random(6), 0, 0  # noqa: S311
    for moment, count in moments:
        assert _together(tmp_path / "own", *moment.iterdir()) == count
    for _ in range(160):
        (one, _), (other, count) = dice.sample(moments, 2)
        alone = _together(tmp_path / "alone", one / "gallery.sqlite")
        found = _together(tmp_path / "mixed", one / "gallery.sqlite", other / "gallery.sqlite-wal")
        assert found in {alone, count}
        replayed += found == count != alone
        cleared += found == alone != count
    assert min(replayed, cleared) > 5


def test_a_replacement_that_was_not_merged(tmp_path, open_at, header, record, units):
    """What took everything's place is there, also where the process ended before the log was merged."""
    store = open_at(tmp_path / "gallery", header())
    store.write([record(i) for i in range(30)], units(30))
    store.close()
    store = open_at(tmp_path / "gallery")
    with store.database.reading() as reader:
        reader.execute("SELECT * FROM live").fetchone()  # so that the log can't be merged
        with store.database._writing() as writer:
            writer.execute("PRAGMA busy_timeout = 100")
        with store.replacement(store.header.with_space(digest="1" * 64)) as fresh:
            for number in range(7):
                fresh.write([record(number)], units(1))
        seized = _seized(store.folder, tmp_path / "seized")
    assert (seized / "gallery.sqlite-wal").stat().st_size > 0
    assert _contents(seized) == 7


READER = """
import sys
from lookalike.stores import open_store
store = open_store(sys.argv[1])
print(store.count(), flush=True)
sys.stdin.read()
store.close()
"""


def test_a_reader_of_a_deleted_gallery(folder, header):
    """Who has a deleted gallery open, and closes it, takes nothing from the new one in its place."""
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with reader:
        assert reader.stdout.readline() == "100\n"
        delete_store(folder)
        open_store(folder, create=header()).close()
        _write(folder, 0, 200)
        reader.stdin.close()
    assert reader.returncode == 0
    assert (folder / "gallery.sqlite-wal").stat().st_size > 0
    assert _contents(folder) == 200


def test_a_delete_that_was_stopped(folder):
    """What is left of a gallery whose deleting was stopped between two files can be deleted."""
    _write(folder, 100, 200)
    (folder / "gallery.sqlite-wal").unlink()
    delete_store(folder)
    assert not folder.exists()


def test_a_log_of_nothing_but_holes(folder):
    """A log that is said to have terabytes of frames, and has none, is not read to its end."""
    file = folder / "gallery.sqlite"
    page_size = int.from_bytes(file.read_bytes()[16:18], "big")
    head = struct.pack(">8I", 0x377F0682, 3007000, 65536 if page_size == 1 else page_size, 0, 0, 0, 0, 0)
    with Path(f"{file}-wal").open("wb") as log:
        log.write(head)
        log.truncate(1 << 42)
    assert _contents(folder)


def test_a_path_that_begins_with_two_slashes(folder):
    """It is a path as any other."""
    assert _contents(f"/{folder}") == _contents(folder)

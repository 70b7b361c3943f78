"""Galleries somebody else made: whatever lies in them, no file of the user's is touched."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import LookalikeError, StoreCorrupt, StoreUnavailable
from lookalike.stores import delete_store, open_store

_SPECIFICATION = importlib.util.spec_from_file_location("journals", Path(__file__).with_name("journals.py"))
journals = importlib.util.module_from_spec(_SPECIFICATION)
_SPECIFICATION.loader.exec_module(journals)

COMMANDS = {
    "index": ["index", "."],
    "info": ["info"],
    "search": ["search", "id:0.bmp"],
    "find": ["find", "red"],
    "describe": ["describe", "id:0.bmp"],
    "check": ["check"],
    "repair": ["check", "--repair"],
    "remove": ["remove", "0.bmp"],
    "export": ["export", "../out.csv"],
    "neighbors": ["neighbors", "--out", "../out.csv"],
    "reindex": ["reindex", "--model", "toy"],
    "delete": ["delete", "--yes", "--name", "default"],
}

FEW = ("index", "search", "reindex", "delete")


@pytest.fixture(scope="module")
def _pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers") / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (2, 2), (number * 80, 99, 9)).save(folder / f"{number}.bmp")
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add()
    return folder


@pytest.fixture
def pictures(tmp_path, _pictures, monkeypatch):
    """A folder of pictures with a gallery, which is the current folder."""
    folder = shutil.copytree(_pictures, tmp_path / "pictures")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def inner(pictures):
    """The gallery's own folder."""
    return pictures / ".lookalike" / "default"


@pytest.fixture
def victim(tmp_path):
    """A file of the user's."""
    file = tmp_path / "thesis.txt"
    file.write_text("ten years of work\n" * 99)
    return file


def _state(folder):
    """All that is outside the gallery: names, kinds, and what they hold."""
    inner = folder / "pictures" / ".lookalike"
    paths = sorted(path for path in folder.rglob("*") if inner not in (path, *path.parents))
    return {
        path: hashlib.sha256(path.read_bytes()).digest() if path.is_file() else path.lstat().st_mode
        for path in paths
        if path.name != "out.csv"
    }


def _everything(tmp_path, capfd, *, refused, deletes=False, names=tuple(COMMANDS)):
    """Every command, in turn; what is outside the gallery stays as it is, and errors are in words."""
    before = _state(tmp_path)
    for name in names:
        code = run(COMMANDS[name])
        said = capfd.readouterr().err
        assert "unexpected" not in said
        assert "Traceback" not in said
        if refused:
            assert (name, code) == (name, int(not (deletes and name == "delete")))
            assert (refused in said) == (code == 1)
        assert _state(tmp_path) == before


@pytest.mark.parametrize("relative", [False, True])
def test_a_journal_that_names_a_file(pictures, inner, victim, tmp_path, capfd, relative):
    """A journal that would make SQLite delete a file is refused by every command, and the file stays."""
    name = os.path.relpath(victim) if relative else victim
    journal = inner / "gallery.sqlite-journal"
    journal.write_bytes(journals.with_victim(inner / "gallery.sqlite", name))
    _everything(tmp_path, capfd, refused="there is a journal beside", deletes=True)
    assert not inner.exists()


@pytest.mark.parametrize("name", ["gallery.sqlite.new", "gallery.sqlite.tmp", "gallery.sqlite.new.tmp"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_journal_of_what_was_left(pictures, inner, victim, tmp_path, capfd, name, relative):
    """What an unfinished run left, with a journal, is cleared away unopened."""
    for words in (COMMANDS["reindex"], COMMANDS["delete"]):
        shutil.copy(inner / "gallery.sqlite", inner / name)
        path = os.path.relpath(victim) if relative else victim
        (inner / f"{name}-journal").write_bytes(journals.with_victim(inner / "gallery.sqlite", path))
        before = _state(tmp_path)
        assert run(words) == 0
        assert _state(tmp_path) == before
        # A file that `index` begins with is of no use to the others, and harms none.
        kept = name == "gallery.sqlite.tmp" and words[0] == "reindex"
        assert (inner / f"{name}-journal").exists() == kept
    assert not inner.exists()


def test_the_journal_is_one(inner, victim):
    """SQLite itself would delete the file that the journal names."""
    (inner / "gallery.sqlite-journal").write_bytes(journals.with_victim(inner / "gallery.sqlite", victim))
    connection = sqlite3.connect(inner / "gallery.sqlite")
    connection.execute("SELECT count(*) FROM live").fetchone()
    connection.close()
    assert not victim.exists()


def test_a_new_gallery_where_a_journal_waits(pictures, inner, victim, tmp_path):
    """A journal and a log that wait for a gallery to be made are cleared before it is."""
    content = journals.with_victim(inner / "gallery.sqlite", victim)
    (inner / "gallery.sqlite").unlink()
    for name in ("gallery.sqlite-journal", "gallery.sqlite.tmp-journal", "gallery.sqlite.tmp"):
        (inner / name).write_bytes(content)
    before = _state(tmp_path)
    assert run(["index", ".", "--model", "toy"]) == 0
    assert _state(tmp_path) == before
    assert run(["check"]) == 0


OWN = (
    *(
        "lock",
        "cache",
        "gallery.sqlite",
        "gallery.sqlite-wal",
        "gallery.sqlite-shm",
        "gallery.sqlite-journal",
    ),
    *("gallery.sqlite.new", "gallery.sqlite.new-wal", "gallery.sqlite.new.cache", "gallery.sqlite.tmp"),
)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("kind", ["file", "folder", "dangling"])
def test_links_among_our_own_names(pictures, inner, victim, tmp_path, capfd, name, kind):
    """No command follows a link that has one of our own names, be it to a file, a folder or nowhere."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "head.json").write_text("{}")
    target = {"file": victim, "folder": tmp_path / "documents", "dangling": tmp_path / "nowhere"}[kind]
    shutil.rmtree(inner / name) if (inner / name).is_dir() else (inner / name).unlink(missing_ok=True)
    (inner / name).symlink_to(target)
    before = _state(tmp_path)
    needed = name.startswith("gallery.sqlite") and "." not in name.removeprefix("gallery.sqlite")
    _everything(tmp_path, capfd, refused="is a link" if needed else "", names=FEW)
    assert not (tmp_path / "nowhere").exists()
    assert _state(tmp_path) == before


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("kind", ["pipe", "folder", "socket"])
def test_what_is_no_file_blocks_nobody(pictures, inner, tmp_path, capfd, name, kind):
    """What is no file under one of our names is an error in words, and no command waits for it."""
    shutil.rmtree(inner / name) if (inner / name).is_dir() else (inner / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(inner / name)
    elif kind == "folder":
        (inner / name).mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(inner / name))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(60)
    try:
        _everything(tmp_path, capfd, refused="", names=FEW)
    finally:
        signal.alarm(0)


@pytest.fixture
def coded(tmp_path, filled):
    """A gallery with codes that is closed: its folder, and vectors to look for."""
    store, vectors = filled
    store.close()
    return store.folder, vectors


@pytest.mark.parametrize(
    "name", ["head.json", "head.json.new", "mean", "keys", "first", "rest", "fine", "factors"]
)
@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_links_in_the_cache(coded, victim, name, kind, record):
    """A link among the codes is never written through, by searching, writing or repairing."""
    folder, vectors = coded
    token = next((folder / "cache").glob("*.keys")).stem
    path = folder / "cache" / (name if name.startswith("head") else f"{token}.{name}")
    path.unlink(missing_ok=True)
    (path.symlink_to if kind == "soft" else path.hardlink_to)(victim)
    before = victim.read_text()
    store = open_store(folder)
    for use in (
        lambda: store.search(vectors[:1], 3),
        lambda: store.write([record(i) for i in range(7_000, 12_000)], vectors[:5_000]),
        store.refresh,
        lambda: store.check(repair=True),
    ):
        with suppress(LookalikeError):
            use()
        assert victim.read_text() == before
    store.close()
    with suppress(LookalikeError):
        delete_store(folder)
    assert victim.read_text() == before


@pytest.mark.parametrize("depth", [".lookalike", ".lookalike/default"])
def test_the_folder_of_galleries_is_no_link(pictures, tmp_path, capfd, depth):
    """A gallery's folder that is a link is refused, for it may lead to another gallery of the user's."""
    other = tmp_path / "other"
    shutil.copytree(pictures / ".lookalike", other / ".lookalike")
    shutil.rmtree(pictures / depth)
    (pictures / depth).symlink_to(other / depth)
    _everything(tmp_path, capfd, refused="is a link")


def test_links_on_the_way_are_the_users_own(pictures, tmp_path):
    """A path that leads to a gallery through links, or is one, keeps working."""
    (tmp_path / "linked").symlink_to(pictures)
    (tmp_path / "gallery").symlink_to(pictures / ".lookalike" / "default")
    assert run(["info", "--gallery", str(tmp_path / "gallery")]) == 0
    assert run(["search", "id:0.bmp", "--gallery", str(tmp_path / "linked")]) == 0
    with Gallery.open(tmp_path / "linked") as gallery:
        assert gallery.add().unchanged == 3


def test_a_gallery_in_another_mode(inner):
    """A file that is not in WAL mode is refused in words that say what can be done."""
    connection = sqlite3.connect(inner / "gallery.sqlite")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    with pytest.raises(StoreCorrupt, match="journal_mode = WAL"):
        open_store(inner)


def test_a_file_with_several_names(inner, tmp_path, record):
    """A gallery whose file has another name elsewhere is read, and not written: the other would change."""
    (tmp_path / "other.sqlite").hardlink_to(inner / "gallery.sqlite")
    before = (tmp_path / "other.sqlite").read_bytes()
    store = open_store(inner)
    assert store.count() == 3
    with pytest.raises(StoreUnavailable, match="has 2 names"):
        store.delete(["0.bmp"])
    store.close()
    assert (tmp_path / "other.sqlite").read_bytes() == before


def test_a_gallery_that_is_replaced_while_it_is_open(inner, tmp_path):
    """An open gallery whose file another one takes the place of says so, and mixes nothing."""
    store = open_store(inner)
    shutil.copy(inner / "gallery.sqlite", tmp_path / "copy")
    (tmp_path / "copy").replace(inner / "gallery.sqlite")
    with pytest.raises(StoreUnavailable, match="was replaced"):
        store.delete(["0.bmp"])
    store.close()


def test_a_gallery_that_is_deleted_while_it_is_open(inner):
    """What would be written to a gallery that another process deleted is refused, and not lost silently."""
    store = open_store(inner)
    (inner / "notes.txt").write_text("so that the folder stays")
    delete_store(inner)
    with pytest.raises(StoreUnavailable, match="was deleted"):
        store.delete(["0.bmp"])
    store.close()


def test_one_of_several_that_is_closed(inner):
    """To close a gallery leaves the locks of another store of this process on the same file as they are."""
    first, second = open_store(inner), open_store(inner)
    with first.database.changing() as change:
        change.connection.execute("UPDATE live SET count = count")
        second.close()
        with suppress(LookalikeError):
            delete_store(inner.parent)
        code = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
            "try: c.execute('BEGIN IMMEDIATE')\n"
            "except sqlite3.OperationalError as e: print(e)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, inner / "gallery.sqlite"], capture_output=True, text=True, check=True
        )
        assert done.stdout == "database is locked\n"
    assert first.count() == 3
    first.close()


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a#b", "file:a", "ä ö", "new\nline"])
def test_names_that_an_address_would_mean_otherwise(tmp_path, name, open_at, header, record, units):
    """A gallery in a folder with any name is made there and nowhere else."""
    folder = tmp_path / name
    folder.mkdir()
    store = open_at(folder / "g", header())
    store.write([record(0)], units(1))
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert open_at(folder / "g").search(np.eye(1, 8, dtype=np.float32), 1)[0].ids == ["p/000000.jpg"]

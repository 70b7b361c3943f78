"""What lies where a gallery does and is not its own stays: beside it, in its cache, or in its place."""

from __future__ import annotations

import sqlite3

import pytest

from lookalike.errors import StoreCorrupt
from lookalike.stores import delete_store, open_store


@pytest.fixture
def gallery(tmp_path, open_at, header, record, features):
    """The folder of a gallery with codes."""
    store = open_at(tmp_path / "gallery", header(dim=256))
    store.write([record(i) for i in range(5_000)], features(5_000))
    store.refresh()
    store.close()
    return tmp_path / "gallery"


def _names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_strangers_in_the_cache_stay(gallery):
    """Files and folders of others stay where they are, and stop nothing; everything of the gallery goes."""
    (gallery / "cache" / "thesis.pdf").write_text("mine")
    (gallery / "cache" / "0000 more").mkdir()
    (gallery / "cache" / "0000 more" / "thesis.pdf").write_text("mine")
    delete_store(gallery)
    assert _names(gallery) == {"cache", "cache/thesis.pdf", "cache/0000 more", "cache/0000 more/thesis.pdf"}


def test_strangers_in_the_cache_survive_writing(gallery, record, features, header):
    """New codes take the place of the old ones and of nothing else; repairing clears nothing else away."""
    (gallery / "cache" / "thesis.pdf").write_text("mine")
    (gallery / "cache" / "folder").mkdir()
    store = open_store(gallery)
    before = _names(gallery / "cache")
    store.write([record(i) for i in range(5_000, 12_000)], features(7_000, seed=1))
    store.refresh()
    assert store.check(repair=True) == []
    store.close()
    after = _names(gallery / "cache")
    assert {"thesis.pdf", "folder"} < after
    assert len(after) == len(before)


@pytest.mark.parametrize("content", ["text", "database", "empty"])
def test_a_file_in_its_place_stays(tmp_path, content):
    """A file of that name which lookalike did not make is not deleted, nor is anything beside it."""
    file = tmp_path / "gallery.sqlite"
    file.write_text("my notes" if content == "text" else "")
    if content == "database":
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE live (generation, commits, count)")
        connection.close()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "head.json").write_text("{}")
    before = _names(tmp_path)
    with pytest.raises(StoreCorrupt, match="is not a gallery of lookalike; nothing was deleted"):
        delete_store(tmp_path)
    assert _names(tmp_path) == before


def test_a_damaged_gallery_goes(gallery):
    """What was one of ours may go, however damaged it is behind its head."""
    file = gallery / "gallery.sqlite"
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    delete_store(gallery)
    assert not gallery.exists()


def test_a_link_is_not_followed(gallery, tmp_path):
    """A file that is reached by a link is no gallery to be deleted, and neither of the two goes."""
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "gallery.sqlite").symlink_to(gallery / "gallery.sqlite")
    with pytest.raises(StoreCorrupt, match="is a link"):
        delete_store(linked)
    assert (linked / "gallery.sqlite").is_symlink()
    assert (gallery / "gallery.sqlite").is_file()

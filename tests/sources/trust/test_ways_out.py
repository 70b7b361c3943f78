"""Ways out of a gallery's folder that lead through two readings of one name, or past what a command named."""

from __future__ import annotations

import os

import pytest

from lookalike import Gallery, NotTrusted, UsageError
from lookalike.evaluation import compare
from lookalike.images import ImageLimits
from lookalike.search.delivery import gather
from lookalike.sources.access import Access


def shown(folder):
    """The page of a search for which every picture of a gallery is read, each by itself, too."""
    with Gallery.open(gallery=folder / ".lookalike" / "default") as gallery:
        for record in gallery.records():
            gallery.thumbnail(record.id)
        return gallery.search(str(folder / "red.png"), 20).html()


def test_an_address_of_this_machine_has_no_escapes(received, plant, picture, tmp_path, read_files):
    r"""In `file://…` a backslash is one: what is looked at is what is opened."""
    secret = picture(tmp_path / "private" / "secret.png")
    picture(received / "a\\b" / "secret.png")
    (received / "a\\\\b").symlink_to(secret.parent)
    plant(received, f"file://{received}/a\\\\b/secret.png")
    page = shown(received)
    assert str(secret) not in read_files
    assert page.count("data:image/jpeg") == 2


def test_a_folder_that_is_named_with_escapes(received, edit, picture, tmp_path, read_files):
    """What is looked at is the very folder that is walked."""
    secret = picture(tmp_path / "private" / "secret.png")
    picture(received / "a\\b" / "inner.png")
    (received / "a\\\\b").symlink_to(secret.parent)
    edit(received, "DELETE FROM folders")
    edit(received, "INSERT INTO folders VALUES (?, 0)", "a\\\\\\\\b/")
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        with pytest.raises(NotTrusted):
            gallery.add()
        assert gallery.reach()["folders"] == [f"{received}/a\\\\b"]
    assert str(secret) not in read_files


def test_a_pipe_is_not_waited_for(received, plant, tmp_path):
    """Neither by its name nor by an address that leads to it; a copy of it is refused."""
    os.mkfifo(received / "pipe.png")
    plant(received, "pipe.png", f"file://{received}/pipe.png", f"local://{received}/pipe.png")
    assert shown(received).count("data:image/jpeg") == 2
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        hits = gallery.search(str(received / "red.png"))
        with pytest.raises(UsageError, match=r"pipe\.png can't be copied: it is no plain file"):
            gather(hits, tmp_path / "copies")


def test_what_an_index_did_not_name_is_not_read_again(received, plant, edit, picture, tmp_path, read_files):
    """A picture outside that the gallery says an older decoder has read, with the size and time it has."""
    secret = picture(tmp_path / "private" / "secret.png")
    status = secret.stat()
    plant(received, f"../{secret.parent.name}/{secret.name}")
    edit(received, "UPDATE pictures SET decoder = 0")
    edit(
        received,
        "UPDATE paths SET size = ?, mtime_ns = ? WHERE size = 10",
        status.st_size,
        status.st_mtime_ns,
    )
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        gallery.add(str(received))
    assert str(secret) not in read_files


def test_a_table_among_the_pictures_of_a_gallery(received, plant, picture, listener, tmp_path, read_files):
    """A comparison reads some pictures of a gallery to see how fast that is; none is taken for a table."""
    secret = picture(tmp_path / "private" / "secret.png")
    rows = (str(secret), f"http://127.0.0.1:{listener.port}/a.png")
    (received / "list.csv").write_text("image\n" + "\n".join(rows) + "\n")
    plant(received, "list.csv")
    compared = compare(received, galleries=["default"], queries=["id:red.png"])
    assert not compared.failed
    assert str(secret) not in read_files
    assert listener.count == 0


def test_a_root_that_is_not_whole(received, set_header, picture, monkeypatch, read_files):
    """Its ids lead to one place, wherever the command is called from."""
    picture(received / "inner" / "red.png")
    set_header(received, root="inner")
    monkeypatch.chdir(received)
    with Gallery.open(gallery=received / ".lookalike" / "default") as gallery:
        assert gallery.root == f"{received}/inner"
        monkeypatch.chdir("/")
        assert gallery.thumbnail("red.png") is not None


def test_an_archive_that_is_named_is_that_one_alone(tmp_path):
    """An id in an archive that is in another one, elsewhere, is not in the archive that the caller named."""
    named = "zip://photos::file:///data/a.zip"
    access = Access("/data", ImageLimits(), str(tmp_path), named=(named,))
    assert access.refusal("zip://photos/1.png::file:///data/a.zip") == ""
    assert access.refusal("zip://photos/1.png::http://127.0.0.1/::file:///data/a.zip") != ""
    assert access.refusal("zip://photos/1.png::zip://b.zip::file:///data/a.zip") != ""

"""The walk: its order, its ids, and what it says of what it could not see."""

import os
import socket

import pytest

from lookalike.sources import ignoring
from lookalike.sources.folder import Walk, id_of, path_of, to_id, to_path, under


def make(folder, *names):
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def ids(folder, **options):
    return [found.id for found in Walk(str(folder), "", **options)]


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "ä b.jpg", "line\nbreak", "🐈.png", "back\\slash", "\\x41", os.fsdecode(b"caf\xe9.jpg"), "\\"],
)
def test_every_name_has_one_id_and_back(name):
    """A name that is not UTF-8, or has a backslash, comes back as it was, and its id is valid text."""
    assert to_path(to_id(name)) == name
    to_id(name).encode()


def test_names_that_look_escaped_do_not_collide():
    """The byte E9 and the four characters of its escape have different ids."""
    assert to_id(os.fsdecode(b"\xe9")) != to_id("\\xe9")


def test_order_is_that_of_ids(tmp_path):
    """A folder's files stand where their ids sort, even beside names with characters below `/`."""
    make(
        tmp_path,
        "a/z.jpg",
        "a.jpg",
        "a-b/c.jpg",
        "a0.jpg",
        "B.jpg",
        "é.jpg",
        "🐈.jpg",
        b"\xff.jpg",
        "a/b/c.jpg",
    )
    found = ids(tmp_path)
    assert found == sorted(found)
    assert len(found) == 9


def test_hidden_names_are_left_out_unless_asked_for(tmp_path):
    """Dot files and dot folders are walked only with `hidden`, galleries never."""
    make(tmp_path, ".a.jpg", ".d/b.jpg", "c.jpg", ".lookalike/default/gallery.sqlite", ".lookalikeignore")
    assert ids(tmp_path) == ["c.jpg"]
    assert ids(tmp_path, hidden=True) == [".a.jpg", ".d/b.jpg", "c.jpg"]


def test_links_to_folders_are_not_followed(tmp_path):
    """A loop of symbolic links ends, and is reported as what it is."""
    make(tmp_path, "d/a.jpg")
    (tmp_path / "d" / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    faults = {found.id: found.fault for found in Walk(str(tmp_path), "")}
    assert faults["d/a.jpg"] == ""
    assert "link to a folder" in faults["d/loop"]
    assert "leads nowhere" in faults["nowhere"]


def test_a_link_to_a_file_is_that_file(tmp_path):
    """A symbolic link to a file is walked with the size of the file."""
    make(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    assert [(found.id, found.size) for found in Walk(str(tmp_path), "")] == [("a.jpg", 1), ("b.jpg", 1)]


def test_pipes_and_sockets_are_faults(tmp_path, monkeypatch):
    """What is no file is named, not opened."""
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        faults = [found.fault for found in Walk(str(tmp_path), "")]
    assert faults == ["a named pipe, not a file", "a socket, not a file"]


def test_a_folder_that_is_gone_is_unlisted(tmp_path):
    """A top that can't be listed is told with its prefix, and nothing is yielded."""
    gone = Walk(str(tmp_path / "gone"), "g/")
    assert list(gone) == []
    assert gone.survey.unlisted == {"g/": "No such file or directory"}


def test_the_device_of_the_top_is_told(tmp_path):
    """One device number for the top, none for folders on the same device."""
    make(tmp_path, "d/a.jpg")
    top = Walk(str(tmp_path), "")
    assert len(list(top)) == top.survey.files[""] == 1
    assert top.survey.devices == {"": tmp_path.stat().st_dev}


def test_known_folders_are_told_apart(tmp_path):
    """A folder that was indexed by itself has its own device and its own count of files."""
    make(tmp_path, "a.jpg", "d/b.jpg", "d/e/c.jpg", "f/g.jpg")
    top = Walk(str(tmp_path), "", known=frozenset({"d/"}))
    assert len(list(top)) == 4
    assert set(top.survey.devices) == {"", "d/"}
    assert top.survey.files == {"": 2, "d/": 2}


def test_folders_left_out_are_not_entered(tmp_path):
    """A gallery kept among the pictures is not walked."""
    make(tmp_path, "a.jpg", "gallery/gallery.sqlite")
    assert ids(tmp_path, left_out=frozenset({str(tmp_path / "gallery")})) == ["a.jpg"]


def test_ignored_patterns_are_those_of_gitignore(tmp_path):
    """The ignore file and further patterns both count; an ignored folder is not entered."""
    make(tmp_path, "a.jpg", "raw/b.jpg", "c.tmp", "keep/d.tmp")
    (tmp_path / ignoring.IGNORE_FILE).write_text("raw/\n*.tmp\n!keep/d.tmp\n")
    assert ids(tmp_path, ignored=ignoring.of_folder(tmp_path, ())) == ["a.jpg", "keep/d.tmp"]
    assert ids(tmp_path, ignored=ignoring.of_folder(tmp_path, ("a.*",))) == ["keep/d.tmp"]
    (tmp_path / ignoring.IGNORE_FILE).unlink()
    assert ignoring.of_folder(tmp_path, ()) is None


def test_ids_inside_and_outside_of_the_root():
    """Inside the root an id is relative, outside it is the absolute path."""
    assert id_of("/p/2024/a.jpg", "/p") == "2024/a.jpg"
    assert id_of("/q/a.jpg", "/p") == "/q/a.jpg"
    assert id_of("/a.jpg", "/") == "a.jpg"
    assert path_of("2024/a.jpg", "/p") == "/p/2024/a.jpg"
    assert path_of("/q/a.jpg", "/p") == "/q/a.jpg"


def test_what_lies_under_a_prefix():
    """The root's prefix covers relative ids alone, any other what begins with it."""
    assert under("a/b", "")
    assert not under("/a/b", "")
    assert under("a/b", "a/")
    assert not under("ab", "a/")

"""`lookalike remove` of folders, patterns and filters: what is counted, asked and done."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import NotFound, UsageError

FILES = ("a.png", "2024/b.png", "2024/c.gif", "2024/05/d.png", "2024b/e.gif")


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder with a gallery of five pictures of different widths; it is the current one."""
    for number, name in enumerate(FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10 + number, 9), (number, 0, 0)).save(tmp_path / name)
    with Gallery.open(tmp_path, model="toy") as gallery:
        gallery.add()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _left(folder):
    with Gallery.open(folder, create=False) as gallery:
        return {record.id for record in gallery.records()}


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["2024"], {"2024/b.png", "2024/c.gif", "2024/05/d.png"}),
        (["2024/"], {"2024/b.png", "2024/c.gif", "2024/05/d.png"}),
        (["./2024/05", "a.png"], {"2024/05/d.png", "a.png"}),
        (["*.gif"], {"2024/c.gif", "2024b/e.gif"}),
        (["2024/*.gif"], {"2024/c.gif"}),
        (["."], set(FILES)),
        (["--where", "width>=13"], {"2024/05/d.png", "2024b/e.gif"}),
        (["2024", "--where", "width>=13"], {"2024/05/d.png"}),
    ],
)
def test_what_is_meant_is_removed(pictures, capsys, words, gone):
    """A folder takes all below it, a pattern what it matches, a filter what passes; --dry-run tells."""
    assert run(["remove", *words, "--dry-run", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["would_remove"]) == gone
    assert _left(pictures) == set(FILES)
    assert run(["remove", *words, "--yes"]) == 0
    assert capsys.readouterr().out == f"{len(gone)} removed\n"
    assert _left(pictures) == set(FILES) - gone


def test_more_than_single_pictures_is_asked_for(pictures, capsys, monkeypatch):
    """The question has the number; without an answer nothing is removed, and ids are not asked for."""
    for answer, code, left in (("", 1, 5), ("n\n", 1, 5), ("y\n", 0, 2)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert run(["remove", "2024"]) == code
        assert "Remove 3 of 5 pictures from the gallery? [y/N]" in capsys.readouterr().err
        assert len(_left(pictures)) == left
    assert run(["remove", "a.png"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["nowhere"], ["2023"], ["*.bmp"], ["a.png", "nowhere"]])
def test_what_names_nothing(pictures, capsys, words):
    """One name that means no picture is an error, and nothing is removed."""
    assert run(["remove", *words, "--yes"]) == 1
    assert (
        "names no picture of the gallery, by id, path, folder or pattern; nothing was removed"
        in capsys.readouterr().err
    )
    assert len(_left(pictures)) == 5


def test_a_filter_that_nothing_passes(pictures, capsys):
    """Nothing is removed, and the values there are are told."""
    assert run(["remove", "--where", "width=7"]) == 0
    done = capsys.readouterr()
    assert done.out == "0 removed\n"
    assert "no picture has width = 7; width is one of 10, 11, 12, 13, 14" in done.err


def test_folders_come_in_again(pictures, capsys):
    """--restore takes folders and patterns, too."""
    assert run(["remove", ".", "--yes"]) == 0
    assert run(["remove", "--restore", "2024"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 may come in again at the next index"
    with Gallery.open(pictures, create=False) as gallery:
        assert gallery.removed() == ["2024b/e.gif", "a.png"]


def test_in_python(pictures):
    """The same by the library, which never asks; nothing named is an error, not everything."""
    with Gallery.open(pictures, create=False) as gallery:
        assert gallery.remove("2024/05") == 1
        assert gallery.remove(where="name~E.GIF") == 1
        with pytest.raises(UsageError, match="tell which pictures"):
            gallery.remove()
        with pytest.raises(NotFound, match="names no picture"):
            gallery.remove(["a.png", "x"])
        assert len(gallery) == 3

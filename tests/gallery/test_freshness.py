"""How far a gallery is behind its folder: what came since it was last indexed."""

from __future__ import annotations

import shutil
import time

import pytest

from lookalike import Gallery
from lookalike.cli import run
from lookalike.gallery.reader import last_indexed, not_indexed


@pytest.fixture
def indexed(root):
    """The gallery of the folder, indexed as a whole."""
    with Gallery.open(root, model="toy") as gallery:
        gallery.add()
        time.sleep(0.02)  # a file system may count time in hundredths of a second
        yield gallery


def test_new_pictures_are_counted(indexed, root, paint):
    """Those that came since, in any folder; not what is hidden, left out, or no picture by its name."""
    assert not_indexed(indexed, seconds=5) == 0
    paint(root / "new.png", (1, 2, 3))
    paint(root / "2024" / "05" / "new.JPG", (1, 2, 4))
    paint(root / "later" / "new.png", (1, 2, 5))
    paint(root / ".hidden" / "new.png", (1, 2, 6))
    (root / "notes.txt").write_text("text")
    assert not_indexed(indexed, seconds=5) == 3
    (root / ".lookalikeignore").write_text("later/\n")
    assert not_indexed(indexed, seconds=5) == 2
    indexed.add()
    assert not_indexed(indexed, seconds=5) == 0


def test_what_is_known_is_not_new(indexed, root):
    """A picture written once more, one that was taken out, and a broken one are known."""
    indexed.remove("blue sky.png")
    (root / "broken.png").write_bytes((root / "red.png").read_bytes()[:50])
    indexed.add()
    time.sleep(0.02)
    for name in ("red.png", "blue sky.png", "broken.png"):
        shutil.copyfile(root / name, root / "beside.tmp")
        (root / "beside.tmp").replace(root / name)
    assert not_indexed(indexed, seconds=5) == 0


def test_where_it_cannot_be_told(indexed, root, tmp_path):
    """Not in no time, not for a gallery kept elsewhere, nor for one that was never indexed as a whole."""
    assert not_indexed(indexed, seconds=-1) is None
    with Gallery.open(root, gallery=tmp_path / "elsewhere", model="toy") as gallery:
        gallery.add()
        assert not_indexed(gallery) is None
    with Gallery.open(root, name="arrays") as gallery:
        gallery.add_vectors((["a"], [[1.0, 2.0]]))
        assert (not_indexed(gallery), last_indexed(gallery)) == (None, None)


def test_info_has_it(indexed, root, paint):
    """`info` has the time of the last indexing, what is not indexed, and what takes room."""
    paint(root / "new.png", (1, 2, 3))
    facts = indexed.info()
    assert facts["not_indexed"] == 1
    assert facts["indexed"].startswith(time.strftime("%Y-%m-%d "))
    assert facts["cache_bytes"] >= 0


def test_a_search_says_so(indexed, root, paint, capsys, monkeypatch):
    """A note after the answer; --update indexes before; JSON and paths are for programs, and without it."""
    monkeypatch.chdir(root)
    paint(root / "new.png", (1, 2, 3))
    assert run(["search", "red.png", "-k", "1"]) == 0
    assert capsys.readouterr().err == (
        "note: 1 picture here is not indexed yet; --update indexes before the search\n"
    )
    for words in (["--json"], ["--paths"]):
        run(["search", "red.png", *words])
        assert capsys.readouterr().err == ""
    assert run(["search", "new.png", "--update", "--json"]) == 0
    assert "1 added, 5 unchanged" in capsys.readouterr().err
    assert not_indexed(indexed, seconds=5) == 0

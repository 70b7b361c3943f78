"""Galleries copied from place to place, and deleted: no picture is opened, and none is touched."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lookalike import Gallery
from lookalike.cli import run
from lookalike.errors import ModelMismatch, NotFound, StoreBusy, UsageError
from lookalike.stores import delete_store, exists


@pytest.fixture
def gallery(root):
    """The five pictures, with one that could not be read, one taken out, and one that is no file."""
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    with Gallery.open(root, model="toy") as opened:
        opened.add()
        opened.add([("mine", np.full((8, 8, 3), (200, 30, 90), np.uint8))])
        opened.update({"red.png": {"price": 1.5}})
        opened.remove(["2024b/teal.png"])
        yield opened


def same(mine, theirs):
    """Whether two galleries hold the same."""
    assert list(mine.records()) == list(theirs.records())
    np.testing.assert_array_equal(mine.vectors(), theirs.vectors())
    assert (mine.skipped(), mine.removed()) == (theirs.skipped(), theirs.removed())
    assert mine.store.folders() == theirs.store.folders()
    return True


def test_a_copy_holds_everything(gallery, root, tmp_path):
    """Records, vectors, what was skipped or removed; the pictures are found from elsewhere, too."""
    for file in root.rglob("*.png"):
        file.rename(file.with_suffix(".away"))  # none of them is opened
    report = gallery.copy(tmp_path / "copy")
    for file in root.rglob("*.away"):
        file.rename(file.with_suffix(".png"))
    assert (report.added, report.total, report.root) == (len(gallery), len(gallery), str(root))
    with Gallery.open(gallery=tmp_path / "copy", create=False) as copy:
        assert same(copy, gallery)
        assert copy.root == str(root)
        assert copy.search("id:red.png", k=1)[0].path == gallery.search("id:red.png", k=1)[0].path
        assert copy.add().as_dict()["unchanged"] == 4


def test_copied_again_it_is_brought_up_to_date(gallery, tmp_path):
    """What was added, changed or removed since then is so in the copy, and nothing else is written."""
    gallery.copy(tmp_path / "copy")
    gallery.update({"red.png": {"price": 2.5}})
    gallery.remove(["mine"])
    report = gallery.copy(tmp_path / "copy")
    assert (report.added, report.updated, report.removed) == (0, 1, 1)
    with Gallery.open(gallery=tmp_path / "copy", create=False) as copy:
        assert same(copy, gallery)


def test_the_folder_of_the_pictures_has_its_galleries_inside(gallery, root):
    """A copy into the pictures' own folder is one of its galleries, and moves with it."""
    gallery.copy(root, name="second")
    assert exists(root / ".lookalike" / "second")
    moved = root.rename(root.with_name("elsewhere"))
    with Gallery.open(moved, name="second", create=False) as copy:
        assert copy.root == str(moved)


def test_another_root_can_be_told(gallery, root, tmp_path):
    """Where the pictures lie elsewhere for whoever uses the copy, they are looked for there."""
    other = tmp_path / "mounted"
    root.rename(other)
    gallery.copy(tmp_path / "copy", root=other)
    with Gallery.open(gallery=tmp_path / "copy", create=False) as copy:
        assert copy.root == str(other)
        assert copy.search("id:mine", k=1)[0].path == str(other / "red.png")
        assert copy.thumbnail("red.png") is not None


def test_another_gallery_is_left_alone(gallery, root, tmp_path):
    """Neither a gallery of another model is written into, nor the gallery itself."""
    with Gallery.open(root, model="toy", metric="euclidean", gallery=tmp_path / "other") as other:
        other.add()
        with pytest.raises(ModelMismatch, match=r"euclidean.*lookalike delete"):
            gallery.copy(tmp_path / "other")
        assert len(other) == 5
    with pytest.raises(UsageError, match="onto itself"):
        gallery.copy(root)


def test_copying_by_hand(gallery, root, tmp_path, capsys):
    """`lookalike copy` copies the gallery found here, and says what it did."""
    assert run(["copy", "--gallery", str(root), "--to", str(tmp_path / "copy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == len(gallery)


def test_deleting_leaves_the_pictures(gallery, root):
    """The gallery is gone with all its files, the pictures and other galleries are there."""
    gallery.copy(root, name="second")
    (root / ".lookalike" / "default" / "notes.txt").write_text("my own")
    gallery.delete()
    assert [path.name for path in (root / ".lookalike" / "default").iterdir()] == ["notes.txt"]
    assert (root / "red.png").is_file()
    with Gallery.open(root, name="second", create=False) as copy:
        assert len(copy) == 5
        copy.delete()
    assert not (root / ".lookalike" / "second").exists()
    with pytest.raises(NotFound):
        Gallery.open(root, create=False)
    with pytest.raises(NotFound):
        delete_store(root / ".lookalike" / "default")


def test_deleting_asks_first(gallery, root, capsys, monkeypatch):
    """Without --yes and without an answer nothing is deleted; with --yes it is."""
    command = [sys.executable, "-m", "lookalike", "delete", "--gallery", str(root)]
    asked = subprocess.run(command, input="n\n", capture_output=True, text=True, check=False)
    assert asked.returncode != 0
    assert "5 pictures?" in asked.stderr
    assert len(gallery) == 5
    gallery.close()
    assert run(["delete", "--gallery", str(root), "--yes"]) == 0
    assert "is deleted" in capsys.readouterr().out
    assert not exists(root / ".lookalike" / "default")


def test_a_gallery_that_is_written_to_is_not_deleted(gallery, root):
    """While another process adds pictures, deleting says so and does nothing."""
    with gallery.store.writing():
        command = [sys.executable, "-m", "lookalike", "delete", "--gallery", str(root), "--yes"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 1
    assert "writing" in asked.stderr
    assert len(gallery) == 5
    with gallery.store.writing(), pytest.raises(StoreBusy):
        delete_store(root / ".lookalike" / "default")

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


@pytest.fixture
def others(tmp_path, paint):
    """A gallery by the same model, of four pictures that are called as some of ours, and are not them."""
    folder = tmp_path / "others"
    for seed, name in enumerate(("red", "blue sky", "violet", "grey")):
        paint(folder / f"{name}.png", (90, 20 * seed, 90), size=(30, 30), seed=seed)
    with Gallery.open(folder, model="toy") as opened:
        opened.add()
        yield opened


@pytest.mark.parametrize("where", ["beside its pictures", "by itself"])
def test_a_gallery_of_other_pictures_is_left_alone(gallery, others, tmp_path, where):
    """What is no copy of the gallery is not made one: nothing in it is changed."""
    place = others.root
    if where == "by itself":
        place = tmp_path / "by itself"
        others.copy(place)
    before = list(others.records())
    with pytest.raises(UsageError, match=r"most pictures of the gallery .* would be removed; nothing was"):
        gallery.copy(place)
    with Gallery.open(gallery=place, create=False) as untouched:
        assert list(untouched.records()) == before
        assert untouched.removed() == []


def test_a_copy_is_known_by_its_pictures(gallery, root, tmp_path, paint):
    """Moved, or painted over where they lie, they are the same pictures: the copy is brought up to date."""
    gallery.copy(tmp_path / "copy")
    for seed, file in enumerate(sorted(root.rglob("*.png"))):
        paint(file, (30, 30, 40 * seed), size=(20, 20), seed=seed)
    gallery.add()
    assert gallery.copy(tmp_path / "copy").updated == 4
    gallery.copy(tmp_path / "mounted", root=tmp_path / "elsewhere")
    (root / "2024").rename(root / "2025")
    (root / "red.png").rename(root / "scarlet.png")
    gallery.add()
    report = gallery.copy(tmp_path / "mounted")
    assert report.total == len(gallery)
    with Gallery.open(gallery=tmp_path / "mounted", create=False) as copy:
        assert same(copy, gallery)


def test_copied_back(gallery, root, tmp_path):
    """A copy that was added to goes back to where it came from."""
    gallery.copy(tmp_path / "copy")
    with Gallery.open(gallery=tmp_path / "copy", create=False) as copy:
        copy.add([("more", np.full((8, 8, 3), (1, 2, 3), np.uint8))])
        gallery.close()
        assert copy.copy(root).added == 1
    with Gallery.open(root, create=False) as back:
        assert "more" in back
        assert back.root == str(root)


def test_the_root_of_a_copy_stays(gallery, root, tmp_path):
    """A copy keeps the root it was made with, and its report tells that; another root is refused."""
    mounted = str(tmp_path / "mounted")
    assert gallery.copy(tmp_path / "copy", root=mounted).root == mounted
    assert gallery.copy(tmp_path / "copy").root == mounted
    assert gallery.copy(tmp_path / "copy", root=mounted).root == mounted
    gallery.remove(["mine"])
    with pytest.raises(UsageError, match=f"has the root {mounted}, not {root}: .*lookalike delete"):
        gallery.copy(tmp_path / "copy", root=root)
    with Gallery.open(gallery=tmp_path / "copy", create=False) as copy:
        assert "mine" in copy


@pytest.mark.parametrize("to", ["plain", "elasticsearch://127.0.0.1:9/photos"])
def test_a_name_where_there_is_none(gallery, tmp_path, to):
    """A gallery by itself has no name: telling one is an error, and makes nothing."""
    place = to if "://" in to else tmp_path / to
    with pytest.raises(UsageError, match="would be a gallery by itself, which has no name such as 'second'"):
        gallery.copy(place, name="second")
    assert not (tmp_path / "plain").exists()


def test_a_name_that_is_none(gallery, root):
    """A name leads to no other folder."""
    with pytest.raises(UsageError, match="is no name for a gallery"):
        gallery.copy(root, name="../../second")


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

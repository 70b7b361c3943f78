"""Opening, finding and moving a gallery."""

import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import (
    ModelMismatch,
    NotFound,
    UsageError,
)
from lookalike.testing import ToyExtractor


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def test_opening_writes_nothing(root):
    """A gallery that was only opened leaves no trace, is empty, and says so when asked."""
    with Gallery.open(root, model="toy") as opened:
        assert len(opened) == 0
        with pytest.raises(NotFound, match="add pictures first"):
            opened.search("red.png")
    assert not (root / ".lookalike").exists()


def test_a_gallery_that_is_not_there(root):
    """With create=False a missing gallery is an error that says how to make one."""
    with pytest.raises(NotFound, match="lookalike index"):
        Gallery.open(root, create=False)


def test_a_folder_that_is_not_there_makes_no_gallery(tmp_path):
    """A mistyped folder is an error before anything is written."""
    with (
        Gallery.open(tmp_path / "typo", model="toy") as opened,
        pytest.raises(UsageError, match="does not exist"),
    ):
        opened.add()
    assert list(tmp_path.iterdir()) == []


def test_the_nearest_gallery_upward(gallery, root, monkeypatch):
    """As with git: the one of the folder above, or what the environment names."""
    assert Gallery.locate(root / "2024" / "05") == gallery.address
    with pytest.raises(NotFound, match="other"):
        Gallery.locate(root, name="other")
    monkeypatch.setenv("LOOKALIKE_GALLERY", str(root))
    assert Gallery.locate("/") == gallery.address


def test_another_model_is_refused(gallery, root):
    """The error names both models, `--name` and `reindex`."""
    with pytest.raises(ModelMismatch, match=r"toy, not .*--name.*reindex"):
        Gallery.open(root, model="efficientnet-lite0")
    with pytest.raises(ModelMismatch, match="metric"):
        Gallery.open(root, metric="inner")
    with pytest.raises(ModelMismatch, match="toy"):
        Gallery.open(root, model=ToyExtractor(grid=2))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_names_that_lead_elsewhere(root, name):
    """A gallery's name is the name of a folder inside .lookalike."""
    with pytest.raises(UsageError, match="expected one without /"):
        Gallery.open(root, name=name)


def test_galleries_side_by_side(root, gallery):
    """A second name is another gallery of the same folder, with its own model and metric."""
    with Gallery.open(root, name="fine", model=ToyExtractor(grid=2), metric="euclidean") as fine:
        fine.add()
        assert fine.info()["dim"] == 12
        assert fine.info()["metric"] == "euclidean"
    assert gallery.info()["dim"] == 3


def test_a_gallery_kept_elsewhere(root, tmp_path):
    """`gallery` puts it outside of the folder, and a later opening needs no root."""
    place = tmp_path / "kept"
    with Gallery.open(root, gallery=place, model="toy") as opened:
        assert opened.add().added == 5
    assert not (root / ".lookalike").exists()
    with Gallery.open(gallery=place) as again:
        assert again.root == str(root)
        assert again.add().unchanged == 5
        assert again.search(root / "red.png", k=1)[0].path == str(root / "2024" / "orange.png")


def test_a_gallery_moves_with_its_folder(root, gallery, tmp_path):
    """Renamed together, nothing is read again and paths are the new ones."""
    gallery.close()
    root.rename(tmp_path / "moved")
    with Gallery.open(tmp_path / "moved") as moved:
        assert counts(moved.add()) == {"unchanged": 5, "total": 5}
        assert moved.search("id:red.png", k=1)[0].path.startswith(str(tmp_path / "moved"))


def test_no_path_holds_a_nul(tmp_path):
    """A name or a folder with a NUL in it is refused in words."""
    for place in ({"root": tmp_path, "name": "a\0b"}, {"root": f"{tmp_path}/a\0b"}, {"gallery": "a\0b"}):
        with pytest.raises(UsageError, match=r"NUL|no name"):
            Gallery.open(**place)


def test_an_answer_shows_pictures_when_the_gallery_is_closed(root):
    """The thumbnails of pictures that are no files come with the answer."""
    red, blue = Image.new("RGB", (8, 8), (250, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 250))
    with Gallery.open(root, model="toy") as gallery:
        gallery.add([("red", red), ("blue", blue)])
        hits = gallery.search("id:red", 1)
    assert hits.thumbnail(hits[0]).startswith(b"\xff\xd8")
    assert hits.query_thumbnail().startswith(b"\xff\xd8")


def test_a_wrong_name_is_answered_with_those_there(gallery):
    """Asked for a gallery that a folder lacks, the message names those it has."""
    with pytest.raises(NotFound, match=r"no gallery 'typo' in .*; there is default, told by --name"):
        Gallery.open(gallery=gallery.root, name="typo", create=False)


@pytest.mark.parametrize("k", [0, -1, 2.5, "3"])
def test_k_is_a_whole_number(gallery, k):
    """Anything else is refused in words."""
    with pytest.raises(UsageError, match="expected a whole number"):
        gallery.search("id:red.png", k=k)

"""CIFAR-10's batches as a gallery: arrays under ids such as `test/00011`, brought up to date as files are."""

import os

import numpy as np
import pytest

from lookalike import Gallery, testing
from lookalike.errors import UsageError
from lookalike.evaluation import compare, evaluate

CAT, SHIP = 3, 8
IDS = ["test/00000", "test/00001", "train/00000", "train/00001", "train/00002", "train/00003"]


def shades(*reds):
    """Pictures of one red each, beside some blue."""
    return np.stack([np.full((32, 32, 3), (red, 20, 120), np.uint8) for red in reds])


@pytest.fixture
def folder(cifar_folder):
    return cifar_folder(
        {
            "data_batch_1": (shades(10, 240), [CAT, SHIP]),
            "data_batch_2": (shades(30, 220), [CAT, SHIP]),
            "test_batch": (shades(15, 230), [CAT, SHIP]),
        }
    )


@pytest.fixture
def gallery(folder):
    with Gallery.open(folder, model="toy") as opened:
        opened.add()
        yield opened


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


class Counting(testing.ToyExtractor):
    """Counts the pictures it is asked to describe."""

    __slots__ = ()
    described = 0

    def extract(self, batch):
        """As the toy does."""
        Counting.described += len(batch)
        return super().extract(batch)


def test_pictures_come_in_as_arrays(folder):
    """Each has its id, class, part, size and thumbnail; what lies beside the batches is no fault."""
    (folder / "readme.html").write_text("<html>")
    seen = []
    with Gallery.open(folder, model="toy") as gallery:
        assert counts(gallery.add(progress=seen.append)) == {"added": 6, "total": 6}
        records = {record.id: record for record in gallery.records()}
        assert list(records) == IDS
        assert {record.source for record in records.values()} == {"cifar"}
        assert dict(records["train/00003"].metadata) == {"label": "ship", "part": "train"}
        assert (records["test/00001"].width, records["test/00001"].height) == (32, 32)
        assert gallery.thumbnail("test/00001").startswith(b"\xff\xd8")
        expected = gallery.extractor().extract([gallery.extractor().prepare(image(shades(230)[0]))]).vectors
        np.testing.assert_allclose(gallery.vectors(["test/00001"]), expected, atol=1e-3)
    assert (seen[-1].done, seen[-1].total) == (6, 6)


def image(pixels):
    from PIL import Image

    return Image.fromarray(pixels)


def test_they_are_searched_and_filtered(gallery):
    """By id, by an array, and by class and part."""
    assert [hit.id for hit in gallery.search("id:test/00000", k=2)] == ["train/00000", "train/00002"]
    assert gallery.search(shades(231)[0], k=1)[0].id == "test/00001"
    found = gallery.search("id:test/00000", where=["label=ship", "part=train"])
    assert [hit.id for hit in found] == ["train/00003", "train/00001"]
    assert [hit.id for hit in gallery.find("ship", only="text", k=2, where="part=test")] == ["test/00001"]


def test_run_again_nothing_is_described(folder):
    """By `add` with the folder or without, by another process, and after the files were only touched."""
    Counting.described = 0
    for pictures in (folder, None, folder):
        with Gallery.open(folder, model=Counting()) as gallery:
            report = gallery.add(pictures)
    assert (Counting.described, report.unchanged, report.total) == (6, 6, 6)
    os.utime(folder / "test_batch", ns=(5, 5))
    with Gallery.open(folder, model=Counting()) as gallery:
        assert counts(gallery.add()) == {"unchanged": 6, "total": 6}
        assert counts(gallery.add()) == {"unchanged": 6, "total": 6}
    assert Counting.described == 6


def test_a_batch_that_changed(gallery, folder, cifar_folder):
    """New pixels are described, new classes are taken over, what is gone goes; one's own fields stay."""
    gallery.update({"test/00000": {"note": "mine"}})
    gallery.add([("mine", shades(99)[0])])
    cifar_folder({"test_batch": (shades(15), [SHIP])})
    assert counts(gallery.add()) == {"unchanged": 5, "removed": 1, "total": 6}
    record = next(record for record in gallery.records() if record.id == "test/00000")
    assert dict(record.metadata) == {"label": "ship", "part": "test", "note": "mine"}
    cifar_folder({"test_batch": (shades(77), [SHIP])})
    assert counts(gallery.add()) == {"unchanged": 4, "updated": 1, "total": 6}
    (folder / "data_batch_2").unlink()
    assert counts(gallery.add()) == {"unchanged": 3, "removed": 2, "total": 4}
    assert "mine" in gallery


def test_a_part_by_chance(folder):
    """`limit` takes some by the seed, and the same again; without it the others follow."""
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add(limit=3, seed=1)
        some = [record.id for record in gallery.records()]
        assert counts(gallery.add(limit=3, seed=1)) == {"unchanged": 3, "total": 3}
        assert counts(gallery.add()) == {"added": 3, "unchanged": 3, "total": 6}
    assert set(some) < set(IDS)
    assert len(some) == 3


def test_removed_and_excluded_pictures_stay_out(folder):
    """As those of other folders do."""
    with Gallery.open(folder, model="toy") as gallery:
        assert gallery.add(exclude=["train/"]).added == 2
        gallery.remove(["test/00001"])
        assert counts(gallery.add()) == {"added": 4, "unchanged": 1, "total": 5}
        assert "test/00001" not in gallery


def test_equal_pictures(cifar_folder):
    """A picture in both parts is described once, and has the fields of its own place in each."""
    folder = cifar_folder({"data_batch_1": (shades(9, 9), [CAT, CAT]), "test_batch": (shades(9), [SHIP])})
    Counting.described = 0
    with Gallery.open(folder, model=Counting()) as gallery:
        assert gallery.add().added == 3
        assert [record.metadata["part"] for record in gallery.records()] == ["test", "train", "train"]
        assert [record.metadata["label"] for record in gallery.records()] == ["ship", "cat", "cat"]
    assert Counting.described == 1


def test_one_among_several_folders(folder, tmp_path):
    """Not the root of the gallery, it has the ids of where it lies."""
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    image(shades(50)[0]).save(root / "a.png")
    (root / "inside" / "test_batch").write_bytes((folder / "test_batch").read_bytes())
    with Gallery.open(root, gallery=tmp_path / "gallery", model="toy") as gallery:
        gallery.add([root, folder])
        ids = {record.id for record in gallery.records()}
        assert {"a.png", f"{folder}/test/00000", f"{folder}/train/00003"} < ids
        assert counts(gallery.add()) == {"unchanged": 7, "total": 7}
        gallery.reindex("toy?grid=2")
        assert len(gallery) == 7


def test_reindex_looks_at_the_pixels(gallery, folder):
    """Another model describes the arrays, not their thumbnails; what was corrected since stays so."""
    (folder / "test_batch").unlink()
    gallery.add()
    gallery.update({"train/00001": {"label": "boat"}})
    from_pixels = Gallery.open(folder, name="new", model="toy?grid=2")
    with from_pixels:
        from_pixels.add()
        gallery.reindex("toy?grid=2")
        np.testing.assert_array_equal(gallery.vectors(), from_pixels.vectors())
    assert [record.metadata["label"] for record in gallery.records()] == ["cat", "boat", "cat", "ship"]
    assert counts(gallery.add()) == {"unchanged": 4, "total": 4}


def test_reindex_without_the_batches(gallery, folder):
    """Where they are gone there are thumbnails to look at."""
    for file in folder.glob("*_batch*"):
        file.unlink()
    assert gallery.reindex("toy?grid=2").total == 6
    assert gallery.search("id:test/00000", k=1)[0].id == "train/00000"


def test_a_broken_batch_changes_nothing(gallery, folder):
    """It is told before anything is written, and no picture is taken for gone."""
    content = (folder / "data_batch_2").read_bytes()
    (folder / "data_batch_2").write_bytes(content[:500])
    with pytest.raises(UsageError, match="data_batch_2 can't be read"):
        gallery.add()
    assert len(gallery) == 6


def test_they_are_evaluated_and_compared(folder):
    """By their class, asked with the test part; compared without a gallery, too."""
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add()
        found = evaluate(gallery, "label", split="part=test", k=(1, 2))
    assert (found.queries, found.pictures, found["P@2"]) == (2, 4, 1.0)
    alone = compare(folder, ["toy?grid=2", "toy"], labels="label", queries=["id:test/00000"], k=1)
    assert [one.error for one in alone] == [None, None]
    assert (alone.pictures, alone["toy"].reused, alone["toy?grid=2"].reused) == (6, "default", None)
    assert alone["toy?grid=2"].evaluation["P@5"] == pytest.approx(0.4)
    assert alone["toy?grid=2"].answers[0].hits[0].id in {"train/00000", "train/00002"}
    assert None not in {one.rate for one in alone}


def test_they_are_compared_where_there_is_no_gallery(folder):
    """Classes are read from the folder itself."""
    found = compare(folder, ["toy"], labels="label")
    assert (found.pictures, found["toy"].error) == (6, None)
    assert found["toy"].evaluation["P@5"] == pytest.approx(0.4)

"""Adding what is given: arrays, files, several folders, odd names."""

import io
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import (
    StoreBusy,
    UsageError,
)
from lookalike.testing import ToyExtractor

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
ORANGE, TEAL = (250, 120, 10), (10, 200, 120)


def ids(hits):
    return [hit.id for hit in hits]


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def test_pictures_that_are_no_files(gallery, root, paint):
    """Arrays and bytes come in under ids of the user's, keep a thumbnail, and outlive folder scans."""
    array = np.full((9, 7, 3), RED, np.uint8)
    report = gallery.add([("img-1", array), ("img-2", paint(root / "x.png", BLUE, seed=9).read_bytes())])
    assert counts(report) == {"added": 2, "total": 7}
    (root / "x.png").unlink()
    gallery.add()
    assert "img-1" in gallery
    hit = gallery.search("id:red.png", k=1)[0]
    assert (hit.id, hit.path) == ("img-1", None)
    assert Image.open(io.BytesIO(gallery.thumbnail("img-1"))).size == (7, 9)
    assert counts(gallery.add([("img-1", array)])) == {"unchanged": 1, "total": 7}
    assert counts(gallery.add([("img-1", array // 2)])) == {"updated": 1, "total": 7}


def test_a_picture_from_memory_with_the_bytes_of_a_file(gallery, root):
    """It has a thumbnail of its own, for the file may go; and a file with its bytes needs none."""
    gallery.add([("img-1", (root / "red.png").read_bytes())])
    (root / "red.png").unlink()
    assert gallery.thumbnail("img-1").startswith(b"\xff\xd8")
    assert next(r for r in gallery.records() if r.id == "img-1").width == 12


def test_another_precision_is_noted(root, paint):
    """Vectors of two precisions can be compared, and the report says that there are two."""
    with Gallery.open(root, model=ToyExtractor(precision="bf16")) as opened:
        assert opened.add().notes == []
    paint(root / "new.png", TEAL, seed=4)
    with Gallery.open(root) as again:
        assert "in f32, the gallery is in bf16" in again.add().notes[0]
        assert again.info()["precision"] == "bf16"


def test_a_generator_of_pictures_is_taken_one_by_one(tmp_path):
    """Pictures that are made while they are added need not fit in memory together."""
    pictures = ((f"n{n}", np.full((4, 4, 3), n, np.uint8)) for n in range(100))
    with Gallery.open(tmp_path, model="toy") as opened:
        assert opened.add(pictures).added == 100


@pytest.mark.parametrize("wrong", [3, [("", b"x")], [(3, b"x")], [("a", b"x", 1)], [3], [("\udc80", b"x")]])
def test_what_can_not_be_added(gallery, wrong):
    """The error says what may be."""
    with pytest.raises(UsageError, match=r"\(id, picture\) pair"):
        gallery.add(wrong)


def test_a_broken_picture_from_memory_is_reported(gallery):
    """Bytes and arrays that are no picture are in the report, like files."""
    report = gallery.add([("bad", b"nonsense"), ("worse", np.zeros((3, 3), np.float64))])
    assert {skip.path for skip in report.skipped} == {"bad", "worse"}
    assert report.total == 5


def test_files_named_one_by_one(gallery, root, tmp_path, paint):
    """A file outside of the root has an absolute id; walks leave it alone; naming it restores it."""
    outside = paint(tmp_path / "out.png", TEAL, seed=5)
    assert counts(gallery.add(outside)) == {"added": 1, "total": 6}
    assert str(outside) in gallery
    gallery.remove([str(outside), "red.png"])
    assert counts(gallery.add([outside, root / "red.png"])) == {"added": 2, "total": 6}
    outside.unlink()
    assert counts(gallery.add()) == {"unchanged": 5, "total": 6}


def test_several_folders_in_one_gallery(gallery, root, tmp_path, paint):
    """A further folder is remembered, and brought up to date with the rest."""
    more = tmp_path / "more"
    paint(more / "a.png", TEAL, seed=6)
    assert counts(gallery.add(more)) == {"added": 1, "total": 6}
    paint(more / "b.png", TEAL, seed=7)
    assert counts(gallery.add()) == {"added": 1, "unchanged": 6, "total": 7}
    (more / "a.png").unlink()
    assert counts(gallery.add()) == {"removed": 1, "unchanged": 6, "total": 6}


def test_excluded_files_stay_out(root):
    """Patterns given and those of the ignore file both count."""
    (root / ".lookalikeignore").write_text("2024b/\n")
    with Gallery.open(root, model="toy") as opened:
        assert opened.add(exclude=["*sky*"]).added == 3


def test_a_picture_from_memory_wins_over_a_file_of_its_id(gallery, root, paint):
    """A folder scan reports the file, and leaves the picture alone."""
    gallery.add([("new.png", np.full((3, 3, 3), RED, np.uint8))])
    paint(root / "new.png", BLUE, seed=7)
    report = gallery.add()
    assert (report.total, [skip.path for skip in report.skipped]) == (6, ["new.png"])
    assert gallery.search("id:red.png", k=1)[0].id == "new.png"


def test_a_bad_picture_does_not_replace_a_good_one(gallery):
    """An id given again with bytes that are no picture keeps what it had."""
    gallery.add([("img-1", np.full((3, 3, 3), RED, np.uint8))])
    report = gallery.add([("img-1", b"nonsense")])
    assert counts(report) == {"missing": 1, "total": 6}
    assert [skip.path for skip in report.skipped] == ["img-1"]
    assert gallery.thumbnail("img-1") is not None


def test_a_copy_of_a_picture_out_of_sight_is_no_move(gallery, root, tmp_path, paint):
    """A folder that is not looked at now proves nothing of its pictures."""
    more = tmp_path / "more"
    paint(more / "a.png", TEAL, seed=6)
    gallery.add(more)
    (root / "copy.png").write_bytes((more / "a.png").read_bytes())
    more.rename(tmp_path / "unplugged")
    report = gallery.add(root)
    assert (report.added, report.moved, report.total) == (1, 0, 7)
    assert counts(gallery.add()) == {"unchanged": 6, "missing": 1, "total": 7}


def test_overlapping_folders_count_once(root):
    """A folder given twice, or inside another, or by way of a link, is walked once."""
    (root.parent / "link").symlink_to(root)
    with Gallery.open(root, model="toy") as opened:
        given = [
            root,
            root / "2024",
            root,
            root / "red.png",
            root.parent / "link",
            root.parent / "link" / "red.png",
        ]
        assert counts(opened.add(given)) == {"added": 5, "total": 5}
        assert counts(opened.add(root.parent / "link")) == {"unchanged": 5, "total": 5}


def test_a_folder_above_the_root(root, paint):
    """Its other pictures have absolute ids, the root's own keep theirs."""
    paint(root.parent / "out.png", TEAL, seed=5)
    with Gallery.open(root, model="toy") as opened:
        opened.add()
        assert counts(opened.add(root.parent)) == {"added": 1, "unchanged": 5, "total": 6}
        assert counts(opened.add()) == {"unchanged": 6, "total": 6}


def test_a_gallery_among_its_pictures_is_not_walked(root):
    """Kept inside the folder under another name it is no business of the walk."""
    with Gallery.open(root, gallery=root / "gallery", model="toy") as opened:
        assert opened.add().skipped == []
        assert opened.add().skipped == []


def test_a_folder_below_the_root_indexed_by_itself(gallery, root):
    """Its pictures still go when their files do."""
    gallery.add(root / "2024")
    (root / "2024" / "orange.png").unlink()
    assert counts(gallery.add()) == {"removed": 1, "unchanged": 4, "total": 4}


def test_fields_that_do_not_fit_are_refused_at_once(gallery, root, paint):
    """Before anything is read: a type the gallery has otherwise, or a name of its own."""
    gallery.update({"red.png": {"price": 5}})
    paint(root / "new.png", TEAL, seed=4)
    with pytest.raises(UsageError, match="'price' holds integer, not 'five'"):
        gallery.add(metadata={"red.png": {"price": "five"}})
    with pytest.raises(UsageError, match="'width' is the gallery's own"):
        gallery.add(metadata={"red.png": {"width": 5}})
    assert len(gallery) == 5


def test_a_stopped_run_knows_its_folders(root, tmp_path, paint):
    """Interrupted in the middle, the next run without arguments goes on in all of them."""
    more = tmp_path / "more"
    paint(more / "a.png", TEAL, seed=6)

    def stop(_):
        raise KeyboardInterrupt

    with Gallery.open(root, model="toy") as opened:
        with pytest.raises(KeyboardInterrupt):
            opened.add([root, more], progress=stop)
        assert opened.add().total == 6


def test_few_pictures_are_held_at_once(tmp_path):
    """Arrays from a generator are let go as soon as they are read."""
    held = []

    class Pixels(np.ndarray):
        pass

    most = 0

    def pictures():
        nonlocal most
        for number in range(400):
            pixels = np.full((4, 4, 3), number % 256, np.uint8).view(Pixels)
            held.append(weakref.ref(pixels))
            most = max(most, sum(reference() is not None for reference in held))
            yield f"n{number}", pixels
            del pixels

    with Gallery.open(tmp_path, model="toy") as opened:
        opened.add(pictures())
    assert most < 150


def test_several_threads_make_one_gallery(root):
    """The first add makes it; those that come at the same time wait, or are told that it is busy."""
    with Gallery.open(root, model="toy") as opened, ThreadPoolExecutor(3) as pool:
        tries = [pool.submit(opened.add) for _ in range(3)]
        ends = [attempt.exception() for attempt in tries]
        assert {type(end) for end in ends} <= {type(None), StoreBusy}
        assert None in ends
        assert len(opened) == 5


def test_odd_names(tmp_path, paint):
    """Spaces, line breaks, emoji, backslashes and bytes that are not UTF-8 are indexed and found."""
    names = ["a b.png", "new\nline.png", "🐈.png", "back\\slash.png", os.fsdecode(b"caf\xe9.png"), "id:x.png"]
    for number, name in enumerate(names):
        paint(tmp_path / name, (40 * number, 99, 200), seed=number)
    with Gallery.open(tmp_path, model="toy") as opened:
        assert opened.add().added == len(names)
        for hit in opened.search(Image.new("RGB", (3, 3)), k=99):
            assert Path(hit.path).exists()
            assert opened.search(f"id:{hit.id}", k=99).query == hit.id
        assert opened.add().unchanged == len(names)


def test_a_second_writer_is_told(gallery, root):
    """While one adds, another gets a clear message; it may search all the while."""
    with gallery.store.writing(), Gallery.open(root) as other:
        with pytest.raises(StoreBusy):
            other.add()
        assert len(other.search("id:red.png")) == 4


def test_progress_counts_what_is_safe(root):
    """Called after each commit, with all of them done in the end, and a line for people."""
    seen = []
    with Gallery.open(root, model="toy") as opened:
        opened.add(progress=seen.append)
    assert (seen[-1].done, seen[-1].total) == (5, 5)
    assert "5 of 5 pictures" in str(seen[-1])


def test_metadata_by_id_or_path(gallery, root, paint):
    """Fields come in by id or path, are filtered by type, survive replacement, and misses are noted."""
    table = {"red.png": {"price": 5}, str(root / "blue sky.png"): {"price": 15}, "nope": {"price": 1}}
    report = gallery.add(metadata=table)
    assert "1 of 3 rows" in report.notes[0]
    assert ids(gallery.search("id:red.png", where="price>9")) == ["blue sky.png"]
    paint(root / "blue sky.png", TEAL, seed=8)
    gallery.add()
    assert gallery.search("id:red.png", where={"price": 15})[0].metadata["price"] == 15

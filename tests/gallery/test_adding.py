"""Adding: what comes in, what goes, and what stays whatever happens."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import (
    NotFound,
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


def test_the_report_of_a_first_run(root):
    """Everything is added, a text file is skipped with its reason, and JSON has the promised keys."""
    (root / "notes.txt").write_text("no picture")
    with Gallery.open(root, model="toy") as opened:
        report = opened.add()
    assert counts(report) == {"added": 5, "total": 5}
    assert [skip.path for skip in report.skipped] == ["notes.txt"]
    assert list(report.as_dict()) == [
        "root", "gallery", "model", "added", "updated", "unchanged", "moved", "removed", "missing", "total",
        "skipped", "seconds",
    ]  # fmt: skip
    json.dumps(report.as_dict())


def test_nothing_changed_loads_no_model(gallery, root):
    """A second run opens no picture and builds no extractor."""
    gallery.close()
    with Gallery.open(root) as again:
        assert counts(again.add()) == {"unchanged": 5, "total": 5}
        assert again._model._built is None


def test_changed_new_and_vanished_files(gallery, root, paint):
    """A second run replaces, adds and removes what changed, came and went."""
    paint(root / "red.png", GREEN, seed=1)
    paint(root / "new.png", TEAL, seed=2)
    (root / "blue sky.png").unlink()
    assert counts(gallery.add()) == {"added": 1, "updated": 1, "removed": 1, "unchanged": 3, "total": 5}
    assert gallery.search("id:red.png", k=1)[0].id == "2024/05/green.png"


def test_a_touched_file_is_unchanged(gallery, root):
    """A new mtime with the same bytes is noted, and not read a third time."""
    os.utime(root / "red.png", ns=(1, 1))
    assert counts(gallery.add()) == {"unchanged": 5, "total": 5}
    assert next(r for r in gallery.records() if r.id == "red.png").mtime_ns == 1


def test_a_moved_file_keeps_its_metadata(gallery, root):
    """A renamed file is recognised by its bytes: no network, and the user's fields go along."""
    gallery.update({"red.png": {"brand": "acme"}})
    (root / "red.png").rename(root / "2024" / "scarlet.png")
    (root / "2024b").rename(root / "2025")
    gallery.close()
    with Gallery.open(root) as again:
        assert counts(again.add()) == {"moved": 2, "unchanged": 3, "total": 5}
        assert again._model._built is None
        assert again.search("id:2025/teal.png", where={"brand": "acme"})[0].id == "2024/scarlet.png"


def test_copies_are_not_moves(gallery, root):
    """Both stay, the copy has the same vector and none of the user's fields; `unique` shows one."""
    gallery.update({"red.png": {"brand": "acme"}})
    (root / "copy.png").write_bytes((root / "red.png").read_bytes())
    (root / "copy 2.png").write_bytes((root / "red.png").read_bytes())
    assert counts(gallery.add()) == {"added": 2, "unchanged": 5, "total": 7}
    np.testing.assert_array_equal(gallery.vectors(["copy.png"]), gallery.vectors(["red.png"]))
    assert "brand" not in next(r for r in gallery.records() if r.id == "copy.png").metadata
    query = Image.new("RGB", (5, 5), RED)
    assert {"copy.png", "copy 2.png", "red.png"} == set(ids(gallery.search(query, k=3)))
    assert len({"copy.png", "copy 2.png", "red.png"} & set(ids(gallery.search(query, unique=True)))) == 1
    assert not {"copy.png", "copy 2.png"} & set(ids(gallery.search("id:red.png", unique=True)))


def test_identical_files_in_one_run_are_described_once(tmp_path, paint):
    """Copies that come in together all get in."""
    for name in "abc":
        paint(tmp_path / f"{name}.png", RED)
    with Gallery.open(tmp_path, model="toy") as opened:
        assert counts(opened.add()) == {"added": 3, "total": 3}
        assert len(opened.search("id:a.png")) == 2


def test_a_file_that_became_unreadable_leaves(gallery, root, paint):
    """A picture overwritten with something else is out, with the reason, until it changes again."""
    (root / "red.png").write_bytes(b"oops")
    report = gallery.add()
    assert counts(report) == {"unchanged": 4, "total": 4}
    assert [skip.path for skip in report.skipped] == ["red.png"]
    paint(root / "red.png", RED, seed=3)
    assert counts(gallery.add()) == {"added": 1, "unchanged": 4, "total": 5}


def test_removed_pictures_stay_out(gallery, root):
    """`remove` keeps the file, and the next `add` leaves it out until `restore`."""
    assert gallery.remove(["red.png", str(root / "2024" / "orange.png")]) == 2
    assert counts(gallery.add()) == {"unchanged": 3, "total": 3}
    assert gallery.removed() == ["2024/orange.png", "red.png"]
    assert gallery.restore(["red.png"]) == 1
    assert counts(gallery.add()) == {"added": 1, "unchanged": 3, "total": 4}
    assert counts(gallery.add(restore=True)) == {"added": 1, "unchanged": 4, "total": 5}
    assert gallery.removed() == []


def test_removing_what_is_not_there(gallery):
    """One unknown id and nothing is removed; the same for restoring."""
    with pytest.raises(NotFound, match="nothing was removed"):
        gallery.remove(["red.png", "nope.png"])
    with pytest.raises(NotFound, match="nothing was restored"):
        gallery.restore(["red.png"])
    assert len(gallery) == 5


def test_an_unplugged_root_keeps_everything(gallery, root, tmp_path):
    """The pictures stay, are counted as missing, and a note says why; `prune` insists."""
    place = tmp_path / "kept"
    with Gallery.open(root, gallery=place, model="toy") as opened:
        opened.add()
        root.rename(tmp_path / "unplugged")
        report = opened.add()
        assert counts(report) == {"missing": 5, "total": 5}
        assert "--prune" in report.notes[0]
        assert len(opened.search("id:red.png")) == 4
        assert counts(opened.add(prune=True)) == {"removed": 5}


def test_a_random_part(gallery, root, paint):
    """`limit` adds so many at random, and removes nothing."""
    for number in range(20):
        paint(root / f"n{number}.png", (number * 10, 90, 30), seed=number)
    (root / "red.png").unlink()
    report = gallery.add(limit=8, seed=1)
    assert report.removed == report.missing == 0
    assert report.added + report.unchanged == 8
    assert counts(gallery.add(limit=8, seed=1)) == {"unchanged": 8, "total": report.total}
    with pytest.raises(UsageError, match="limit is 0"):
        gallery.add(limit=0)


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


@pytest.mark.parametrize("wrong", [3, [("", b"x")], [("a", b"x", 1)], [3], [("\udc80", b"x")]])
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

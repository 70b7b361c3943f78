"""Adding: what comes in, what goes, and what stays whatever happens."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import (
    NotFound,
    UsageError,
)

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


def test_a_file_that_became_unreadable_is_kept(gallery, root, paint):
    """A picture overwritten with something else is missing, with the reason, until it can be read."""
    gallery.update({"red.png": {"brand": "acme"}})
    (root / "red.png").write_bytes(b"oops")
    for _ in range(2):
        report = gallery.add()
        assert counts(report) == {"unchanged": 4, "missing": 1, "total": 5}
        assert [skip.path for skip in report.skipped] == ["red.png"]
    paint(root / "red.png", RED, seed=3)
    assert counts(gallery.add()) == {"updated": 1, "unchanged": 4, "total": 5}
    assert next(r for r in gallery.records() if r.id == "red.png").metadata["brand"] == "acme"


def test_pruning_drops_what_can_not_be_read(gallery, root, paint):
    """With `prune` it is out, and remembered as skipped until it changes."""
    (root / "red.png").write_bytes(b"oops")
    assert counts(gallery.add(prune=True)) == {"unchanged": 4, "total": 4}
    assert [skip.path for skip in gallery.skipped()] == ["red.png"]
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

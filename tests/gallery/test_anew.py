"""Making a gallery anew, exporting it, checking it."""

import numpy as np
import pytest

import lookalike
from lookalike import Gallery
from lookalike.errors import (
    NotFound,
    StoreUnavailable,
)

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


def test_reindex_takes_the_place_of_the_gallery(gallery, root):
    """Another model describes every picture anew; metadata, arrays and removals stay."""
    gallery.add([("img-1", np.full((300, 400, 3), RED, np.uint8))])
    gallery.update({"red.png": {"brand": "acme"}, "img-1": {"brand": "none"}})
    gallery.remove(["blue sky.png"])
    thumbnail = gallery.thumbnail("img-1")
    report = gallery.reindex("toy?grid=2")
    assert (report.total, gallery.info()["dim"], gallery.model) == (5, 12, "toy?grid=2")
    assert gallery.removed() == ["blue sky.png"]
    hit = gallery.search("id:2024/orange.png", where={"brand": "acme"})[0]
    assert hit.id == "red.png"
    record = next(record for record in gallery.records() if record.id == "img-1")
    assert (record.width, record.height, record.source) == (400, 300, "array")
    assert gallery.thumbnail("img-1") == thumbnail
    assert counts(gallery.add()) == {"unchanged": 4, "total": 5}
    with Gallery.open(root) as again:
        assert again.extractor().dim == 12


def test_reindex_without_some_files_changes_nothing(gallery, root):
    """A picture that can't be read now would be lost, so nothing is done, unless `prune` insists."""
    (root / "red.png").unlink()
    with pytest.raises(StoreUnavailable, match=r"1 of the pictures.*red\.png.*nothing was changed"):
        gallery.reindex("toy?grid=2")
    assert (gallery.info()["dim"], len(gallery)) == (3, 5)
    assert gallery.reindex("toy?grid=2", prune=True).total == 4


def test_reindex_goes_on_from_what_there_is_now(gallery, root, paint):
    """Stopped, and the gallery changed in between: what was described before is checked again."""
    gallery.add([(f"n{n}", np.full((3, 3, 3), (n % 256, n // 256, 7), np.uint8)) for n in range(600)])
    (root / "notes.txt").write_text("no picture")
    gallery.add()
    gallery.remove(["n9"])

    def stop(progress):
        if progress.done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.reindex("toy?grid=2", progress=stop)
    gallery.restore(["n9"])
    gallery.remove(["n0"])
    gallery.update({"n1": {"brand": "acme"}})
    gallery.add([("n2", np.full((3, 3, 3), BLUE, np.uint8))])
    (root / "red.png").unlink()
    gallery.add()
    before = len(gallery)
    assert gallery.reindex("toy?grid=2").total == before
    assert gallery.removed() == ["n0"]
    assert "red.png" not in gallery
    assert gallery.search("id:n2", where={"brand": "acme"})[0].id == "n1"
    blue = gallery.extractor().extract([np.full((16, 16, 3), BLUE, np.uint8)]).vectors[0]
    assert gallery.search(blue, k=1)[0].id in {"n2", "blue sky.png"}
    assert [skip.path for skip in gallery.skipped()] == ["notes.txt"]
    assert gallery.add().added == 0


def test_reindex_of_equal_pictures(gallery):
    """Pictures from memory that are the same are looked at once, and each keeps what it had."""
    gallery.add([(f"n{n}", np.full((300, 300, 3), RED, np.uint8)) for n in range(60)])
    gallery.reindex("toy?grid=2")
    assert len({gallery.thumbnail(f"n{n}") for n in range(60)}) == 1
    assert {record.width for record in gallery.records() if record.source == "array"} == {300}


def test_export(gallery, tmp_path):
    """What is exported is what `vectors` gives, filtered if wished."""
    assert gallery.export(tmp_path / "v.npz") == 5
    with np.load(tmp_path / "v.npz") as arrays:
        np.testing.assert_array_equal(arrays["vectors"], gallery.vectors())
        assert arrays["ids"].tolist() == [record.id for record in gallery.records()]
    assert gallery.export(tmp_path / "v.csv", where={"folder": "2024"}) == 2


def test_vectors_of_unknown_ids(gallery):
    """An id that is not there is an error that quotes it."""
    with pytest.raises(NotFound, match="nope"):
        gallery.vectors(["red.png", "nope"])


def test_a_clean_gallery_has_no_faults(gallery):
    """`check` finds nothing to say."""
    assert gallery.check() == []


def test_extractors_by_name():
    """The package's `extractor` builds one by its name."""
    assert lookalike.extractor("toy").dim == 3

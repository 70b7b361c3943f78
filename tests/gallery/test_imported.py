"""Vectors of one's own as a gallery."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike import Gallery, ModelError, ModelMismatch, UsageError

IDS = ["a", "b", "ü/c"]
VECTORS = np.array([[3, 4], [3, 5], [-1, 0]], np.float32)


@pytest.fixture
def saved(tmp_path):
    file = tmp_path / "vectors.npz"
    np.savez(file, ids=np.array(IDS), vectors=VECTORS)
    return file


def test_ids_and_vectors_come_back(tmp_path, saved):
    """What was imported is what `vectors` gives, to the last bit, in the order of ids."""
    with Gallery.open(tmp_path) as gallery:
        report = gallery.add_vectors(saved)
        assert (report.added, report.total, gallery.model) == (3, 3, "vectors")
        assert gallery.vectors(IDS).tolist() == VECTORS.tolist()


def test_search_by_id_and_by_vector(tmp_path, saved):
    """An id is searched by its own vector, and a vector as it stands."""
    with Gallery.open(tmp_path, metric="euclidean") as gallery:
        gallery.add_vectors(saved)
        assert [(hit.id, hit.distance) for hit in gallery.search("id:a", 1)] == [("b", 1.0)]
        assert gallery.search(np.array([-1.0, 0.0]), 1)[0].id == "ü/c"


@pytest.mark.parametrize("ending", ["npz", "csv", "parquet"])
def test_what_is_exported_can_be_imported(tmp_path, saved, ending):
    """Every format that `export` writes is read back the same."""
    file = tmp_path / f"out.{ending}"
    with Gallery.open(tmp_path, name="one") as gallery:
        gallery.add_vectors(saved)
        gallery.export(file)
    with Gallery.open(tmp_path, name="two") as gallery:
        gallery.add_vectors(file)
        assert gallery.vectors(IDS).tolist() == VECTORS.tolist()


def test_imported_again_it_is_replaced(tmp_path, saved):
    """An id that is there already gets the new vector."""
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(saved)
        report = gallery.add_vectors((["b", "d"], np.array([[1, 1], [2, 2]])))
        assert (report.updated, report.added, report.total) == (1, 1, 4)
        assert gallery.vectors(["b"]).tolist() == [[1, 1]]


def test_an_id_that_is_a_file_is_that_picture(tmp_path, saved, paint):
    """A hit whose id is a file below the root has its path, and a thumbnail."""
    paint(tmp_path / "b", (9, 9, 9))
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(saved)
        hits = gallery.search("id:a", 1)
        assert hits[0].path == str(tmp_path / "b")
        assert hits.thumbnail(hits[0]).startswith(b"\xff\xd8")


def test_a_picture_is_no_query_for_vectors(tmp_path, saved, paint):
    """A gallery of vectors says how it can be asked, and takes no pictures."""
    picture = paint(tmp_path / "p.png", (9, 9, 9))
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(saved)
        with pytest.raises(ModelError, match="ask by id:… or by a vector"):
            gallery.search(picture)
        with pytest.raises(ModelError, match="were imported"):
            gallery.add()


def test_vectors_do_not_mix_with_pictures(gallery):
    """A gallery of described pictures takes no vectors."""
    with pytest.raises(ModelMismatch, match="gallery of their own"):
        gallery.add_vectors((["x"], np.ones((1, 3))))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"ids": np.array(["a"])}, "vectors"),
        ({"ids": np.array(["a"]), "vectors": np.ones((2, 3))}, "1 entries"),
        ({"ids": np.array(["a", "a"]), "vectors": np.ones((2, 3))}, "there twice"),
        ({"ids": np.array([object()]), "vectors": np.ones((1, 3))}, "can't be read"),
        ({"ids": np.array(["a"]), "vectors": np.array([["x"]])}, "1, 1"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path, arrays, words):
    """A file that holds something else is one clear error, and nothing in it is unpickled."""
    file = tmp_path / "odd.npz"
    np.savez(file, **arrays)
    with Gallery.open(tmp_path) as gallery, pytest.raises(UsageError, match=words):
        gallery.add_vectors(file)


def test_numbers_that_are_none_are_reported(tmp_path):
    """A vector with a NaN is skipped with the reason, the others come in."""
    vectors = np.array([[1, 2], [np.nan, 0]], np.float32)
    with Gallery.open(tmp_path) as gallery:
        report = gallery.add_vectors((["good", "bad"], vectors))
        assert (report.added, [skip.path for skip in report.skipped]) == (1, ["bad"])


def test_another_size_of_vector(tmp_path, saved):
    """Vectors of another size than the gallery's are refused."""
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(saved)
        with pytest.raises(UsageError, match=r"3 numbers.*have 2"):
            gallery.add_vectors((["x"], np.ones((1, 3))))

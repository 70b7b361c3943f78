"""Vectors of one's own as a gallery."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from lookalike import Gallery, LookalikeError, ModelError, ModelMismatch, NotFound, UsageError

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


def test_ranking_anew_by_odd_texts(tmp_path):
    """What has no text is never alike, and a field may be called as a part of the score."""
    ids = ["a", "b", "c"]
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors((ids, np.ones((3, 2))))
        gallery.update({"a": {"kind": "!!!", "vector": "x"}, "c": {"kind": "!!!", "vector": "x"}})
        hits = gallery.search("id:a", rerank="kind")
        assert [(hit.id, hit.scores["kind"]) for hit in hits] == [("c", 1.0), ("b", 0.0)]
        first = gallery.search("id:a", rerank="vector")[0]
        assert (first.scores["vector"], first.scores["vector text"]) == pytest.approx((1, 1))
        assert first.distance == pytest.approx(0, abs=1e-6)


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
        ({"ids": np.array("a"), "vectors": np.ones((1, 3))}, "one id a vector"),
        ({"ids": np.array([["a"]]), "vectors": np.ones((1, 3))}, "one id a vector"),
        ({"ids": np.array(["a"]), "vectors": np.ones((1, 0))}, "1, 0"),
        ({"ids": np.array([b"\xff"]), "vectors": np.ones((1, 3))}, "can't decode"),
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


def test_a_file_that_is_broken_late_adds_nothing(tmp_path):
    """A file is read to its end before a first vector is written, so none of a bad one comes in."""
    lines = [f"{i},1,2" for i in range(9000)]
    file = tmp_path / "vectors.csv"
    with Gallery.open(tmp_path) as gallery:
        for last in ("x,1", "x,1,two", "7,1,2"):
            file.write_text("\n".join(["id,v0,v1", *lines, last]))
            with pytest.raises(UsageError, match=r"vectors\.csv|twice"):
                gallery.add_vectors(file)
            assert len(gallery) == 0
        file.write_text("\n".join(["id,v0,v1", *lines]))
        assert gallery.add_vectors(file).added == 9000


@pytest.mark.parametrize("kind", [">f8", "f2", "u1", "<i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_kind_of_number(tmp_path, kind, order):
    """Numbers of any size and byte order are read, row by row or column by column."""
    file = tmp_path / "vectors.npz"
    vectors = np.array([[1, 2, 3], [4, 5, 6]], kind, order=order)
    np.savez_compressed(file, ids=np.array([b"a", b"b"]), vectors=vectors)
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(file)
        assert gallery.vectors(["a", "b"]).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_damaged_files(tmp_path):
    """Bytes that are wrong anywhere are one error, whatever the libraries stumble over."""
    file = tmp_path / "vectors.npz"
    np.savez_compressed(file, ids=np.array(IDS), vectors=VECTORS)
    content = file.read_bytes()
    for start in range(30, len(content) - 8, 8):
        file.write_bytes(content[:start] + b"\xff" * 8 + content[start + 8 :])
        with Gallery.open(tmp_path, name=f"n{start}") as gallery, suppress(LookalikeError):
            gallery.add_vectors(file)


def test_parquet_that_does_not_fit(tmp_path):
    """Missing vectors, ids and lengths that differ are told."""
    file = tmp_path / "vectors.parquet"
    for ids, vectors in (
        (["a", "b"], [[1.0], None]),
        (["a", None], [[1.0], [2.0]]),
        (["a", "b"], [[1.0], [1.0, 2.0]]),
        (["a", "b"], [["x"], ["y"]]),
        (["a", "b"], [1.0, 2.0]),
    ):
        parquet.write_table(pa.table({"id": ids, "vector": vectors}), file)
        with Gallery.open(tmp_path) as gallery, pytest.raises(UsageError, match=r"vectors\.parquet"):
            gallery.add_vectors(file)


def test_what_is_given_in_memory(tmp_path):
    """Lists and numbers as ids are taken; what can't be meant is told; an odd id leaves only itself out."""
    with Gallery.open(tmp_path) as gallery:
        assert gallery.add_vectors(([1, 2], [[1, 2], [3, 4]])).added == 2
        assert "1" in gallery
        for odd in ((["a"], VECTORS, 1), ([1, "1"], [[1, 2], [3, 4]]), ([None], [[1, 2]]), (["a"], [1, 2])):
            with pytest.raises(UsageError):
                gallery.add_vectors(odd)
        report = gallery.add_vectors((["a\udc80", "", "b\0", "good"], np.ones((4, 2))))
        assert (report.added, [skip.path for skip in report.skipped]) == (1, ["a\udc80", "", "b\0"])
        assert "a\udc80" not in gallery
        for id_ in ("", "a\udc80"):
            with pytest.raises(NotFound):
                gallery.vectors([id_])
        with pytest.raises(UsageError, match="not finite"):
            gallery.search(np.array([1e300, 1]))


@pytest.mark.parametrize("options", [{"model": "toy"}, {"normalize": True}, {"precision": "f32"}])
def test_a_model_is_not_asked_for(tmp_path, saved, options):
    """Vectors of one's own are kept as they are; wishes that could not be met are refused."""
    with Gallery.open(tmp_path, **options) as gallery, pytest.raises(UsageError, match="as they are"):
        gallery.add_vectors(saved)


def test_another_size_of_vector(tmp_path, saved):
    """Vectors of another size than the gallery's are refused."""
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors(saved)
        with pytest.raises(UsageError, match=r"3 numbers.*have 2"):
            gallery.add_vectors((["x"], np.ones((1, 3))))

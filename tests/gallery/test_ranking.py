"""Metrics of every kind, visual words, and ranking anew by text."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from lookalike import FilterError, Gallery, ModelMismatch, UsageError
from lookalike.types import Classes, Extraction

METRICS = ["cosine", "euclidean", "manhattan", "chebyshev", "correlation", "braycurtis"]


@pytest.mark.parametrize("metric", METRICS)
def test_exact_search_is_scikit_learns(tmp_path, stamps, metric):
    """On the gallery's own vectors order and distances are those of `NearestNeighbors`."""
    with Gallery.open(
        stamps, gallery=tmp_path / "g", model="toy?grid=4", metric=metric, normalize=False
    ) as gallery:
        gallery.add(limit=200, seed=1)
        ids = [record.id for record in gallery.records()]
        vectors = gallery.vectors(ids)
        engine = NearestNeighbors(n_neighbors=12, algorithm="brute", metric=metric).fit(vectors)
        expected, places = engine.kneighbors(vectors[:20])
        queries = [f"id:{id_}" for id_ in ids[:20]]
        answers = gallery.search(queries, 12, exact=True, include_self=True)
        for row, hits in enumerate(answers):
            assert [hit.distance for hit in hits] == pytest.approx(expected[row], abs=1e-5)
            # Pictures that tie may stand in either order.
            apart = np.diff(expected[row], append=np.inf) > 1e-5
            clear = apart & np.concatenate([[True], apart[:-1]])
            found = np.array([ids.index(hit.id) for hit in hits])
            assert found[clear].tolist() == places[row][clear].tolist()


def test_itself_is_at_distance_0(gallery):
    """A query by id is its stored row: asked for, it comes first, at exactly 0."""
    with Gallery.open(gallery.root, name="plain", model="toy", metric="euclidean", normalize=False) as plain:
        plain.add()
        best = plain.search("id:red.png", 1, include_self=True)[0]
        assert (best.id, best.distance) == ("red.png", 0.0)


def test_a_metric_that_is_none(tmp_path):
    """An unknown metric is refused before anything is made."""
    with pytest.raises(UsageError, match="no metric to compare vectors by; expected one of cosine"):
        Gallery.open(tmp_path, metric="cosinus")
    assert list(tmp_path.iterdir()) == []


def test_normalisation_is_part_of_the_gallery(root):
    """Vectors of unit length and others are never mixed."""
    with Gallery.open(root, model="toy", normalize=False) as gallery:
        gallery.add()
        assert not np.allclose(np.linalg.norm(gallery.vectors(), axis=1), 1)
    with pytest.raises(ModelMismatch, match="as the layer gives them"):
        Gallery.open(root, normalize=True)
    with Gallery.open(root) as gallery:
        assert gallery.search(root / "red.png", 1, include_self=True)[0].id == "red.png"


class _Seen:
    """An extractor of visual words: a picture's class scores are written in its pixels."""

    classes = Classes(
        ("n02012849", "n03126707", "n04525038", "n12057211"),
        ("crane", "crane", "velvet", "yellow lady's slipper"),
        "imagenet",
    )
    name, digest, dim, precision = "words-by-hand", "00", 4, "f32"
    normalized, metric, visual_words, size, parallel = False, "inner", True, (4, 1), 1

    def prepare(self, image):
        return np.asarray(image.convert("L"), np.float32)[0, :4] / 200

    def extract(self, batch):
        scores = np.stack(batch).astype(np.float32)
        return Extraction(scores, scores)


def _written(*scores):
    return np.repeat(np.array([scores], np.float32)[:, :, None] * 200, 3, axis=2).round().astype(np.uint8)


@pytest.fixture
def words(tmp_path):
    shown = {
        "bird": (0.7, 0.1, 0.1, 0.1),
        "machine": (0.1, 0.8, 0.1, 0.0),
        "orchid": (0.0, 0.0, 0.1, 0.9),
        "dress": (0.05, 0.05, 0.9, 0.0),
    }
    with Gallery.open(tmp_path, model=_Seen()) as gallery:
        gallery.add([(id_, _written(*scores)) for id_, scores in shown.items()])
        yield gallery


def test_the_papers_score(words):
    """By picture the score is Σ ηj·ξij, and `scores` has the paper's 1.000 + Σ ηj·ξij."""
    hits = words.search(_written(0.6, 0.3, 0.1, 0.0), 4)
    expected = {"bird": 0.46, "machine": 0.31, "orchid": 0.01, "dress": 0.135}
    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, abs=1e-6)
    assert [hit.id for hit in hits] == ["bird", "machine", "dress", "orchid"]
    assert all(hit.scores["paper"] == pytest.approx(1 + expected[hit.id], abs=1e-6) for hit in hits)
    assert all(hit.distance == -hit.score for hit in hits)


def test_a_word_is_the_same_product(words):
    """A keyword asks with 1 for each of its classes: a word of two classes sums both, an id is one."""
    both = words.find("crane")
    assert {hit.id: hit.scores["paper"] for hit in both} == pytest.approx(
        {"machine": 1.9, "bird": 1.8, "dress": 1.1}, abs=1e-6
    )
    bird = words.find("n02012849", 1)[0]
    assert (bird.id, bird.score) == ("bird", pytest.approx(0.7, abs=1e-6))


def test_an_apostrophe_in_a_name(words):
    """A class whose name has an apostrophe is found by it."""
    best = words.find('"yellow lady\'s slipper"')[0]
    assert (best.id, best.scores["paper"]) == ("orchid", pytest.approx(1.9, abs=1e-6))


def test_words_without_classes_are_looked_up_as_text(words):
    """A word that names no class is looked for in names, as in every gallery."""
    words.update({"dress": {"shop": "Beacon"}})
    assert [hit.id for hit in words.find("beacon")] == ["dress"]


@pytest.fixture
def shop(tmp_path):
    vectors = np.array([[1, 0], [0.99, 0.1], [0.9, 0.4], [0.5, 0.8]])
    categories = ["Men's Polo Shirts", "Shoes > Running", "Polo Shirts > Men's", "Men's polo shirts"]
    with Gallery.open(tmp_path) as gallery:
        gallery.add_vectors((list("abcd"), vectors))
        gallery.update({id_: {"category": text} for id_, text in zip("abcd", categories, strict=True)})
        yield gallery


def test_ranked_anew_by_text(shop):
    """Of the nearest those of the likest category come first; both parts are in `scores`."""
    assert [hit.id for hit in shop.search("id:a", 3)] == ["b", "c", "d"]
    hits = shop.search("id:a", 3, rerank="category")
    assert [hit.id for hit in hits] == ["c", "d", "b"]
    assert set(hits[0].scores) == {"vector", "category"}
    assert hits[0].score == hits[0].scores["category"] == 1
    assert hits[0].distance == pytest.approx(1 - hits[0].scores["vector"])


def test_ranked_anew_by_a_text_told(shop):
    """A query that has no metadata is told the text."""
    query = np.array([1.0, 0.0], np.float32)
    assert shop.search(query, 1, rerank="category=running shoes")[0].id == "b"
    with pytest.raises(UsageError, match="category=TEXT"):
        shop.search(query, 1, rerank="category")
    with pytest.raises(FilterError, match="no field 'kind'"):
        shop.search("id:a", 1, rerank="kind")


def test_a_row_a_hit_in_pandas(shop):
    """`to_pandas` has a row for each hit, with the metadata as columns."""
    table = shop.search(["id:a", "id:b"], 2).to_pandas()
    assert table["query"].tolist() == ["a", "a", "b", "b"]
    assert table["rank"].tolist() == [1, 2, 1, 2]
    assert table["category"][0] == "Shoes > Running"
    assert list(shop.search("id:a", 1).to_pandas().columns[:3]) == ["rank", "id", "path"]


def test_hits_print_as_lines(shop):
    """An answer prints as its query and a line for each hit; its representation is short."""
    hits = shop.search("id:a", 2)
    first, *lines = str(hits).splitlines()
    assert first == "a (vectors, cosine)"
    assert [line.split() for line in lines] == [["1", "0.995", "b"], ["2", "0.914", "c"]]
    assert repr(hits) == "<Hits of 'a' by vectors, cosine: 2, the best 'b'>"
    assert str(shop.search(["id:a", "id:b"], 2)).startswith(f"{hits}\n\nb")

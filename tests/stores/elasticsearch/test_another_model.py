"""A gallery that somebody else makes anew by another model while it is asked: never a mixture of both."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.search.search import Searcher, SearchOptions

PLAIN = "toy?metric=euclidean&normalize=0"
SHARES = "toy@classes?metric=euclidean"
"""Three numbers a picture, too, and others: the query's by the one is nowhere near its own by the other."""


@pytest.fixture(params=["in a folder", "in the cluster"])
def place(request, tmp_path):
    """Where the gallery is."""
    if request.param == "in a folder":
        return str(tmp_path / "gallery")
    return request.getfixturevalue("elasticsearch_address")


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of one colour, each half as bright as the one before, or of another hue."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, colour in enumerate([(240, 120, 60), (120, 60, 30), (20, 90, 90), (200, 10, 160)]):
        Image.new("RGB", (16, 16), colour).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def two(place, pictures):
    """One gallery, opened twice, as by two processes."""
    with Gallery.open(pictures, gallery=place, model=PLAIN) as first:
        first.add()
        with Gallery.open(gallery=place) as mine, Gallery.open(gallery=place) as theirs:
            yield mine, theirs


def _queries():
    """A picture as 1.png shows it, in forms that are no file of the gallery."""
    pixels = np.full((20, 20, 3), (120, 60, 30), np.uint8)
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, "PNG")
    return [pixels, image, file.getvalue()]


def test_asked_by_the_model_of_before(two):
    """Whoever opened the gallery before is answered by the new model: the equal picture is at distance 0."""
    mine, theirs = two
    for query, model in zip(_queries(), (SHARES, PLAIN, SHARES), strict=True):
        theirs.reindex(model)
        for hits in mine.search([query, query], k=4):
            assert (hits.model, len(hits)) == (model, 4)
            assert hits[0].distance == pytest.approx(0, abs=1e-3)


def test_made_anew_in_the_very_moment(two):
    """Between the query's vector and the search another process finishes: it is asked once more."""
    mine, theirs = two
    models = iter([SHARES, "toy?grid=2"])

    def extractor():
        built = mine.extractor()
        if (model := next(models, None)) is not None:
            theirs.reindex(model)
        return built

    searcher = Searcher(mine.store, mine.access, extractor)
    (hits,) = searcher.search(_queries()[:1], SearchOptions(4))
    assert next(models, None) is None
    assert (hits.model, hits.metric) == ("toy?grid=2", "cosine")
    assert {hit.id for hit in hits[:2]} == {"0.png", "1.png"}
    assert hits[0].score == pytest.approx(1, abs=1e-3)


def test_of_another_length(two):
    """Also where the new vectors are longer, and where one's own are of the length they had."""
    mine, theirs = two
    theirs.reindex("toy?grid=2")
    assert mine.search(_queries()[0])[0].score == pytest.approx(1, abs=1e-3)
    theirs.reindex(PLAIN)
    assert mine.search(np.array([120, 60, 30], np.float32) / 255)[0].id == "1.png"


def test_words_of_the_new_model(place, pictures):
    """Words mean the classes of the model that has described the pictures last."""
    with Gallery.open(pictures, gallery=place, model="toy?classes=0") as mine:
        mine.add()
        assert not mine.find("red")
        with Gallery.open(gallery=place) as theirs:
            theirs.reindex("toy")
        assert mine.find("red")[0].id == "0.png"

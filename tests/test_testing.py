"""The toy extractor against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import UsageError
from lookalike.extractors.names import Name
from lookalike.testing import ToyExtractor, check_extractor, load
from lookalike.types import Extraction


def test_mean_colours():
    """Left half red, right half half-bright blue: the mean is (1/2, 0, 1/4) of full brightness."""
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    picture.paste((0, 0, 127), (20, 0, 40, 20))
    toy = ToyExtractor(normalize=False)
    done = toy.extract([toy.prepare(picture)])
    assert done.vectors[0] == pytest.approx([0.5, 0, 127 / 510], abs=1e-6)
    assert done.scores[0] == pytest.approx([255 / 382, 0, 127 / 382], abs=1e-6)
    unit = ToyExtractor().extract([toy.prepare(picture)]).vectors[0]
    assert unit == pytest.approx(np.array([255, 0, 127]) / np.hypot(255, 127), abs=1e-6)


def test_cells_in_reading_order():
    """A grid of two has four cells of three numbers: left to right, then down."""
    picture = Image.new("RGB", (16, 16))
    picture.paste((255, 0, 0), (8, 0, 16, 8))
    toy = ToyExtractor(grid=2)
    assert toy.extract([toy.prepare(picture)]).vectors[0].tolist() == [0, 0, 0, 1] + [0] * 8


def test_names():
    """A name with options builds the extractor that has this name; others are refused."""
    for text in ("toy", "toy?grid=8", "toy?classes=0&metric=euclidean&normalize=0", "toy@classes"):
        toy = load(Name.parse(text))
        assert load(Name.parse(toy.name)) == toy
        assert toy.name == text
    for text in (
        "toy?grid=x",
        "toy?grid=0",
        "toy?metric=far",
        "toy?colour=1",
        "toy@fc1",
        "toy@classes?classes=0",
    ):
        with pytest.raises(UsageError, match="toy"):
            load(Name.parse(text))


@pytest.mark.parametrize(
    "options",
    [{}, {"grid": 3}, {"normalize": False, "with_classes": False}, {"layer": "classes"}, {"unit": False}],
)
def test_contract(options):
    """The toy extractor keeps the protocol's promises."""
    check_extractor(ToyExtractor(**options))


def test_unit_length_on_request():
    """What is asked for goes before the name, which stays; the digest tells the two apart."""
    plain, usual = load(Name.parse("toy"), normalize=False), load(Name.parse("toy"))
    assert (plain.name, plain.normalized, usual.normalized) == ("toy", False, True)
    assert plain.digest != usual.digest
    assert load(Name.parse("toy?normalize=0"), normalize=True).normalized


def test_class_scores_as_the_vector():
    """`toy@classes` gives the shares of the colours, and says so unless they are made unit length."""
    toy = load(Name.parse("toy@classes"))
    done = toy.extract([toy.prepare(Image.new("RGB", (9, 9), (30, 60, 10)))])
    np.testing.assert_allclose(done.vectors, [[0.3, 0.6, 0.1]], rtol=1e-6)
    assert (toy.dim, toy.visual_words, toy.normalized) == (3, True, False)
    assert not load(Name.parse("toy@classes"), normalize=True).visual_words
    assert not ToyExtractor().visual_words


def test_contract_finds_wrong_visual_words():
    """An extractor that only says that its vectors are class scores does not pass."""

    class Boasting(ToyExtractor):
        visual_words = True

    with pytest.raises(AssertionError, match="class scores"):
        check_extractor(Boasting(grid=2))


def test_contract_finds_a_broken_extractor():
    """An extractor whose vectors depend on their batch does not pass."""

    class Broken(ToyExtractor):
        def extract(self, batch):
            done = ToyExtractor.extract(self, batch)
            return Extraction(done.vectors[::-1], done.scores)

    with pytest.raises(AssertionError, match="depends on its batch"):
        check_extractor(Broken())

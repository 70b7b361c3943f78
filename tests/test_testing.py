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
    for text in ("toy", "toy?grid=8", "toy?classes=0&metric=euclidean&normalize=0"):
        toy = load(Name.parse(text))
        assert load(Name.parse(toy.name)) == toy
        assert toy.name == text
    for text in ("toy?grid=x", "toy?grid=0", "toy?metric=far", "toy?colour=1", "toy@fc1"):
        with pytest.raises(UsageError, match="toy"):
            load(Name.parse(text))


@pytest.mark.parametrize("options", [{}, {"grid": 3}, {"normalize": False, "with_classes": False}])
def test_contract(options):
    """The toy extractor keeps the protocol's promises."""
    check_extractor(ToyExtractor(**options))


def test_contract_finds_a_broken_extractor():
    """An extractor whose vectors depend on their batch does not pass."""

    class Broken(ToyExtractor):
        def extract(self, batch):
            done = ToyExtractor.extract(self, batch)
            return Extraction(done.vectors[::-1], done.scores)

    with pytest.raises(AssertionError, match="depends on its batch"):
        check_extractor(Broken())

"""A folder of five small pictures with one colour each, and its gallery with the toy extractor."""

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery

COLOURS = {
    "red.png": (250, 10, 10),
    "orange.png": (250, 120, 10),
    "green.png": (10, 250, 10),
    "teal.png": (10, 200, 120),
    "blue sky.png": (10, 10, 250),
}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (12, 8), colour).save(folder / name)
    return folder


@pytest.fixture
def gallery(root):
    with Gallery.open(root, model="toy") as opened:
        opened.add()
        yield opened


@pytest.fixture
def rows(tmp_path):
    """A gallery of thirty vectors of unit length, nearest first to (1, 0)."""
    angles = np.linspace(0.05, 1.5, 30)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    with Gallery.open(gallery=tmp_path / "rows") as gallery:
        gallery.add_vectors(([f"{i:02}" for i in range(30)], vectors))
        yield gallery

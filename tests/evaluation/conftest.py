"""Folders of small painted pictures whose answers can be worked out on paper."""

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery

LINE = {"a/0.png": 0, "a/1.png": 20, "b/3.png": 60, "b/7.png": 140}
"""Pictures by the red they are painted in: 0, 1, 3 and 7 times 20."""


def _paint(folder, reds):
    for name, red in reds.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (red, 0, 0)).save(path)
    return folder


@pytest.fixture
def line(tmp_path):
    """A gallery of four pictures on a line, two of label a and two of label b."""
    folder = _paint(tmp_path / "line", LINE)
    with Gallery.open(folder, model="toy?metric=euclidean&normalize=0") as gallery:
        gallery.add()
        yield gallery


@pytest.fixture
def paint():
    """Paints pictures of one red each into a folder: names to their reds."""
    return _paint


def _noise(folder, *, twins):
    """Sixty pictures of chance in four folders; every fifth is like the one before it, if twins."""
    rng = np.random.default_rng(3)
    for number in range(60):
        path = folder / "abcd"[number % 4] / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        if not twins or number % 5 or not number:
            pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((16, 16), Image.Resampling.NEAREST).save(path)
    return folder


@pytest.fixture(scope="session")
def noise(tmp_path_factory):
    """A folder of sixty pictures of chance, no two alike, in four folders."""
    return _noise(tmp_path_factory.mktemp("noise"), twins=False)


@pytest.fixture(scope="session")
def twins(tmp_path_factory):
    """The same, but twelve pictures have a twin of another label: they tie in every answer."""
    return _noise(tmp_path_factory.mktemp("twins"), twins=True)

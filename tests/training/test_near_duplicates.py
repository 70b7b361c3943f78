"""Pictures that are next to identical, found before pictures are divided."""

import numpy as np
from PIL import Image

from lookalike.training import dataset


def small(path):
    return np.asarray(Image.open(path).convert("RGB").resize((64, 64)))


def test_copies_are_found(photos):
    """A brighter, a JPEG-like rough, and a slightly smaller copy belong to the picture they were made of."""
    paths = sorted(photos.rglob("*.png"))[:10]
    pictures = [small(path) for path in paths]
    first = Image.fromarray(pictures[0])
    rough = first.resize((40, 40)).resize((64, 64))
    brighter = np.clip(pictures[1].astype(int) + 12, 0, 255).astype(np.uint8)
    pixels = np.stack([*pictures, np.asarray(rough), brighter])
    assert dataset.groups(pixels, range(len(pixels))) == [[0, len(paths)], [1, len(paths) + 1]]


def test_places_are_among_those_looked_at(photos):
    """Groups count within the rows that are looked at."""
    path = min(photos.rglob("*.png"))
    pixels = np.stack([small(path), np.zeros((64, 64, 3), np.uint8), small(path)])
    assert dataset.groups(pixels, [2, 0]) == [[0, 1]]
    assert dataset.groups(pixels, [0, 1]) == []
    assert dataset.groups(pixels, []) == []


def test_plain_pictures():
    """Plain pictures of one colour are alike, of two colours are not."""
    red, blue = (np.full((16, 16, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    assert dataset.groups(np.stack([red, blue, red]), range(3)) == [[0, 2]]


class Counting:
    """Pictures that count how often one of them is read."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.reads = pixels, pixels.shape, 0

    def __getitem__(self, rows):
        self.reads += len(rows)
        return self.pixels[rows]


def test_pictures_alike_at_first_sight_are_read_twice_at_most():
    """Scans that share a layout are described in fine once each, and not once for every pair."""
    random = np.random.default_rng(0)
    page = np.linspace(0, 255, 32)[None, :, None, None] + random.normal(0, 40, (40, 32, 32, 1))
    pixels = Counting(np.repeat(np.clip(page, 0, 255), 3, axis=3).astype(np.uint8))
    assert dataset.groups(pixels, range(40)) == []
    assert pixels.reads == 2 * 40

"""A folder of five small pictures, its gallery with the toy extractor, and a way to paint more."""

import pytest
from PIL import Image

from lookalike import Gallery

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
ORANGE, TEAL = (250, 120, 10), (10, 200, 120)


@pytest.fixture
def paint():
    """Paints a picture of one colour, with a speck that makes its bytes its own."""

    def paint_one(path, colour, size=(12, 8), seed=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size, colour)
        image.putpixel((seed % size[0], 0), (seed % 256, 0, 0))
        image.save(path, "PNG")
        return path

    return paint_one


@pytest.fixture
def root(tmp_path, paint):
    folder = tmp_path / "pictures"
    paint(folder / "red.png", RED)
    paint(folder / "2024" / "orange.png", ORANGE, size=(40, 20))
    paint(folder / "2024" / "05" / "green.png", GREEN)
    paint(folder / "2024b" / "teal.png", TEAL)
    paint(folder / "blue sky.png", BLUE)
    return folder


@pytest.fixture
def gallery(root):
    with Gallery.open(root, model="toy") as opened:
        opened.add()
        yield opened

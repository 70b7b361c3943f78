"""A folder of five small pictures, its gallery with the toy extractor, and a way to paint more."""

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.extractors import extending, runtime, trained
from lookalike.extractors.cards import Card
from lookalike.extractors.steps import Linear, Normalise, Power
from lookalike.types import Classes

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


@pytest.fixture
def make_network():
    """Writes such networks."""
    return write_network


@pytest.fixture
def network(tmp_path):
    """The name of a trained model: the square roots of a picture's mean red, green and blue, unit length."""
    return write_network(tmp_path / "network")


def write_network(folder, *, classes=True, weights="a" * 64):
    """Write a network of three numbers and three classes as a trained model; its name."""
    ops = runtime.openvino().opset13
    picture = ops.parameter([1, 3, 8, 8], np.float32, name="input")
    colours = ops.reduce_mean(picture, np.array([2, 3]), keep_dims=False, name="colours")
    seen = ops.softmax(ops.multiply(colours, np.float32(5)), 1, name="seen")
    outputs = [colours.output(0), *([seen.output(0)] if classes else [])]
    card = Card(
        name="colours",
        weights=weights,
        size=(8, 8),
        layers=("input", "colours", *(["seen"] if classes else [])),
        features="colours",
        licence="none",
        scale=(255.0,),
        steps=(Power(0.5), Normalise()),
        scores="seen" if classes else None,
        classes=Classes(("c0", "c1", "c2"), ("red", "green", "blue")) if classes else None,
    )
    trained.write(folder, runtime.openvino().Model(outputs, [picture], "colours"), card)
    return str(folder)


@pytest.fixture
def ranker(network, tmp_path):
    """Its ranker's name: the same network with two more steps, which count red tenfold."""
    steps = (Linear(np.diag([10, 1, 1]).astype(np.float32)), Normalise())
    extending.extended(network, steps, tmp_path / "ranker")
    return str(tmp_path / "ranker")

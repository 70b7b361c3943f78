"""What the tests of training share: a few labelled pictures, and a tiny network to train on them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHAPES = ("circle", "cross", "stripes")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder of 48 small pictures in three folders: circles, crosses and stripes of chance colours."""
    folder = tmp_path_factory.mktemp("shapes")
    random = np.random.default_rng(7)
    for shape in SHAPES:
        (folder / shape).mkdir()
        for number in range(16):
            _draw(shape, random).save(folder / shape / f"{number:02}.png")
    return folder


def _draw(shape, random):
    size = 40
    across, down = np.meshgrid(np.arange(size), np.arange(size))
    x, y = random.integers(14, 26, 2)
    reach = random.integers(7, 12)
    if shape == "circle":
        inside = (across - x) ** 2 + (down - y) ** 2 < reach**2
    elif shape == "cross":
        inside = (abs(across - x) < 3) | (abs(down - y) < 3)
    else:
        inside = (across + x) // (reach // 2) % 2 == 0
    fore, back = random.integers(0, 110, 3), random.integers(140, 256, 3)
    return Image.fromarray(np.where(inside[..., None], fore, back).astype(np.uint8))


@pytest.fixture(scope="session")
def tiny():
    """The module `tiny`: a training of a tiny network, in this process or as a program."""
    path = Path(__file__).with_name("tiny.py")
    spec = importlib.util.spec_from_file_location("lookalike_tiny", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

"""What the tests of extractors share: real photographs, and the default model in a cache of the run's own."""

from pathlib import Path

import pytest
import skimage
from PIL import Image

from lookalike import extractors

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "horse.png")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache folder that only this run knows."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def photographs():
    """Real photographs as RGB, by name without ending."""
    folder = Path(skimage.__file__).parent / "data"
    return {Path(name).stem: Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS}


@pytest.fixture(scope="session")
def default(cache):
    """The default model in float32, where numbers are compared."""
    return extractors.load("efficientnet-lite0", precision="f32")


@pytest.fixture(scope="session")
def prepared(default, photographs):
    """The photographs as the default model takes them, in order."""
    return [default.prepare(image) for image in photographs.values()]

"""What the tests of Keras' networks share: networks with seeded random weights, built by two children."""

import os
import shutil
import sqlite3  # noqa: F401 - before TensorFlow, whose own has no full-text search
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras")

from lookalike.extractors import keras as extractors  # noqa: E402
from lookalike.extractors.keras import child, recipes  # noqa: E402
from lookalike.extractors.names import Name  # noqa: E402

RANDOM = "weights=none&seed=7"
SMALL_VGG = "VGG16?include_top=false&size=48x32"
NETWORKS = (
    ("NASNetMobile", "VGG16", "MobileNet", SMALL_VGG),
    ("DenseNet121", "InceptionV3", "ResNet50V2", "EfficientNetB0"),
)


def named(name):
    """The name of a network whose weights are random."""
    model, _, options = name.partition("?")
    return Name.parse(f"keras:{model}?{RANDOM}{'&' if options else ''}{options}")


@pytest.fixture(scope="session")
def networks(cache, tmp_path_factory):
    """Every network the tests compare, in the cache; two children build them, each half of the work."""
    folder = tmp_path_factory.mktemp("networks")
    halves = [[recipes.of_application(named(name)) for name in names] for names in NETWORKS]
    with ThreadPoolExecutor(len(halves)) as pool:
        list(pool.map(child.run, halves, [folder] * len(halves)))
    for recipe in chain.from_iterable(halves):
        child.kept(recipe, lambda _, recipe=recipe: child.written(recipe, folder))
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def load(networks):
    """An extractor with plain numbers in float32, by name, of a network whose weights are random."""

    def loaded(name, *, normalize=False):
        return extractors.load(named(name), "f32", normalize=normalize)

    return loaded


@pytest.fixture(scope="session")
def originals():
    """A network as Keras builds it from the same seed, by name; the last one stays."""
    kept = {}

    def original(name, **arguments):
        key = (name, tuple(arguments.items()))
        if key not in kept:
            kept.clear()
            keras.backend.clear_session()
            keras.utils.set_random_seed(7)
            kept[key] = getattr(keras.applications, name)(weights=None, **arguments)
        return kept[key]

    return original


@pytest.fixture(scope="session")
def predict():
    """What Keras' own `predict` gives in some layers of a model, as (n, numbers)."""

    def predicted(model, layers, batch):
        wanted = [
            model.layers[layer].output if isinstance(layer, int) else model.get_layer(layer).output
            for layer in layers
        ]
        cut = keras.Model(model.inputs, wanted)
        cut.compile(run_eagerly=True)  # to trace a graph for two pictures takes four times as long
        made = cut.predict(batch, verbose=0)
        made = made if isinstance(made, list) else [made]
        return [np.asarray(one).reshape(len(batch), -1) for one in made]

    return predicted


@pytest.fixture(scope="session")
def pictures(photographs):
    """Two real photographs."""
    return [photographs["chelsea"], photographs["rocket"]]

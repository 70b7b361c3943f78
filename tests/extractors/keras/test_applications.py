"""The table of networks, held against Keras' own."""

import importlib
import inspect

import keras
import numpy as np
import pytest

from lookalike.errors import UnknownModel
from lookalike.extractors.keras import recipes
from lookalike.extractors.keras.recipes import APPLICATIONS, PIXELS

GIVEN = {"weights", "input_tensor", "input_shape", "name"}
CONSTRUCTORS = {name: value for name, value in vars(keras.applications).items() if inspect.isfunction(value)}


def module_of(name):
    """The module of `keras.applications` that has a network and its `preprocess_input`."""
    return importlib.import_module(CONSTRUCTORS[name].__module__)


def test_every_network_of_keras_is_there():
    """Keras has no network that the table lacks, and the table none that Keras lacks."""
    assert set(APPLICATIONS) == set(CONSTRUCTORS)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_preprocessing_is_kerasown(name):
    """Random pixels come out of the table's rule as out of the network's own `preprocess_input`."""
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3)).astype(np.float32)
    rule = PIXELS[APPLICATIONS[name].scaling]
    ordered = pixels[..., ::-1] if rule.channels == "BGR" else pixels
    ours = (ordered - np.array(rule.mean)) / np.array(rule.scale)
    np.testing.assert_allclose(ours, module_of(name).preprocess_input(pixels.copy()), atol=1e-4)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_arguments_are_the_constructor_own(name):
    """The arguments a name may give, and their defaults, are those of Keras' constructor."""
    signature = inspect.signature(CONSTRUCTORS[name])
    theirs = {key: value.default for key, value in signature.parameters.items() if key not in GIVEN}
    assert APPLICATIONS[name].arguments == theirs


@pytest.mark.parametrize("name", APPLICATIONS)
def test_sizes_are_the_default_ones(name):
    """The side of the table is the one that Keras' constructor falls back to."""
    source = inspect.getsource(inspect.getmodule(CONSTRUCTORS[name]))
    side = APPLICATIONS[name].side
    assert f"default_size={side}" in source or f"default_size = {side}" in source or f"{side}," in source


def test_names_are_found_however_they_are_written():
    """`vgg16` is VGG16; a name that is nearly one is answered with it."""
    assert recipes.find("vgg16").name == "VGG16"
    with pytest.raises(UnknownModel, match=r"did you mean .*ResNet50"):
        recipes.find("ResNet5")
    with pytest.raises(UnknownModel, match="there are VGG16"):
        recipes.find("")

"""The original's recipe, on batches of CIFAR-10's form, and the bases that a training begins with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookalike.errors import WeightsMissing
from lookalike.extractors import trained
from lookalike.extractors.steps import Normalise
from lookalike.training import ClassifierRecipe
from lookalike.training.classifier import train_classifier
from lookalike.training.networks import open_base


def learning(base):
    """The numbers of the layers that learn, of those that have anything to learn."""
    return [i for i, layer in enumerate(base.network.layers) if layer.trainable and layer.weights]


def test_the_recipe_is_the_originals():
    """2,000 pictures, 140 pixels, raw, 512 numbers, 128 a step, one epoch of rmsprop and five of SGD."""
    recipe = ClassifierRecipe.cifar()
    assert (recipe.limit, recipe.validation, recipe.size, recipe.raw) == (2000, 0.3, 140, True)
    assert (recipe.dense, recipe.batch) == (512, 128)
    assert (recipe.head_epochs, recipe.head_rate, recipe.epochs) == (1, 1e-3, 5)
    assert (recipe.rate, recipe.momentum, recipe.decay, recipe.norms) == (1e-2, 0.9, False, True)
    assert (recipe.best, recipe.patience, recipe.dropout, recipe.smoothing) == (False, 0, 0, 0)
    assert not any(getattr(recipe.augmentation, name) for name in ("flip", "rotation", "zoom", "shift"))


def test_its_code_path(cifar_folder, tmp_path):
    """By the recipe, but for a smaller network: raw pixels, two stages, ids of arrays, CIFAR's own parts."""
    random = np.random.default_rng(3)
    labels = np.arange(40) % 4
    # A class is told by its colour.
    pixels = (random.integers(0, 60, (40, 32, 32, 3)) + labels[:, None, None, None] * 60).astype(np.uint8)
    folder = cifar_folder({"data_batch_1": (pixels, labels), "test_batch": (pixels[:12], labels[:12])})
    recipe = replace(ClassifierRecipe.cifar(), limit=24, size=32, unfreeze="block5_conv1", epochs=2)
    made = train_classifier(folder, recipe, base="keras:VGG16?weights=none", out=tmp_path / "model")
    card = trained.card_of(Path(made.model))
    assert (card.size, card.mean, card.scale, card.features) == ((32, 32), (0.0,), (1.0,), "dense")
    assert card.classes.names == ("airplane", "automobile", "bird", "cat")
    assert card.steps[2].mean.shape == (512,)
    assert isinstance(card.steps[3], Normalise)
    assert [(epoch.stage, epoch.number) for epoch in made.history.epochs] == [
        *(("head", 1), ("top", 2), ("top", 3))
    ]
    assert made.split.counts()["validation"] == pytest.approx(0.3 * 24, abs=2)
    assert sum(made.split.counts().values()) == 24 + 12
    assert {id_.partition("/")[0] for id_ in made.split.ids("test")} == {"test"}
    assert all(id_.startswith("train/") for id_ in made.split.ids("train"))


def test_the_originals_base():
    """InceptionV3 at 140 pixels, pooled: in stage two its layers from 279 on learn, norms among them."""
    base = open_base("keras:InceptionV3?weights=none", side=140, raw=True)
    assert base.network.input_shape == (None, 140, 140, 3)
    assert base.network.output_shape == (None, 2048)
    assert (base.card.size, base.card.mean, base.card.scale) == ((140, 140), (0.0,), (1.0,))
    assert len(base.network.layers) == 312  # with the pooling
    base.freeze()
    assert not base.network.trainable_weights
    recipe = ClassifierRecipe.cifar()
    base.unfreeze(recipe.unfreeze, norms=recipe.norms)
    numbers = [i for i, layer in enumerate(base.network.layers) if layer.weights]
    assert learning(base) == [number for number in numbers if number >= 279]
    kinds = {type(base.network.layers[number]).__name__ for number in learning(base)}
    assert kinds == {"Conv2D", "BatchNormalization"}


def test_the_default_base():
    """Of EfficientNet-Lite0 the last five blocks and the head learn, but for their batch norms."""
    base = open_base("efficientnet-lite0", side=64)
    base.unfreeze()
    names = [base.network.layers[number].name for number in learning(base)]
    assert names[0] == "block6a_expand_conv"
    assert names[-1] == "head_conv"
    assert all(name.endswith("_conv") for name in names)
    assert len(names) == 3 * 5 + 1


def test_weights_that_can_not_be_had(tmp_path):
    """A base whose weights are missing says so, and what to do."""
    with pytest.raises(WeightsMissing, match=r"weights\.h5"):
        open_base(f"keras:MobileNet?weights={tmp_path / 'weights.h5'}")

"""The layers between a base and the classes."""

import numpy as np
import pytest

from lookalike.extractors import steps
from lookalike.training import ClassifierRecipe
from lookalike.training import classifier as made

FEATURES = np.maximum(np.random.default_rng(5).normal(size=(30, 16)), 0).astype(np.float32)
NUMBERS = np.arange(30) % 3


def test_the_layer_gives_the_recommended_vector():
    """The layer `vector` gives T with the mean of the pictures, times one and the same factor."""
    layer = made.head_layers(ClassifierRecipe(), FEATURES, NUMBERS, 3)[0]
    assert layer.name == "vector"
    found = np.asarray(layer(FEATURES))
    lengths = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-4)
    expected = steps.apply(made.recommended(FEATURES), FEATURES)
    np.testing.assert_allclose(found / lengths[:, None], expected, atol=1e-4)


def test_its_slope_is_finite():
    """Features that are 0, as many are, have a slope that can be followed."""
    import tensorflow as tf

    layer = made.head_layers(ClassifierRecipe(), FEATURES, NUMBERS, 3)[0]
    features = tf.Variable(FEATURES)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(features) ** 3)
    assert np.isfinite(tape.gradient(total, features)).all()


def test_classes_begin_as_the_means_of_their_pictures():
    """Before anything is learnt, a picture's class is the one whose mean vector is nearest by cosine."""
    head = made.head_layers(ClassifierRecipe(), FEATURES, NUMBERS, 3)
    scores = np.asarray(made.through(head, FEATURES))
    vectors = steps.apply(made.recommended(FEATURES), FEATURES)
    means = steps.Normalise().apply(np.stack([vectors[n == NUMBERS].mean(axis=0) for n in range(3)]))
    np.testing.assert_array_equal(scores.argmax(axis=1), (vectors @ means.T).argmax(axis=1))
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        (ClassifierRecipe(), ["vector", "classes"]),
        (ClassifierRecipe(dropout=0.2), ["vector", "dropout", "classes"]),
        (ClassifierRecipe(dense=8, dropout=0.2), ["dense", "dropout", "classes"]),
        (ClassifierRecipe.cifar(), ["dense", "classes"]),
    ],
)
def test_the_layers_a_recipe_makes(recipe, names):
    """A dense layer stands in place of the vector, and dropout only where it is wanted."""
    head = made.head_layers(recipe, FEATURES, NUMBERS, 3)
    assert [layer.name for layer in head] == names
    assert made.features_layer(recipe) == ("dense" if recipe.dense else "pool")
    assert np.asarray(made.through(head, FEATURES)).shape == (30, 3)

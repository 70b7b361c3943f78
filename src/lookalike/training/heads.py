"""The layers between a base and the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.extractors import steps as vector_steps
from lookalike.extractors.keras import backend
from lookalike.extractors.steps import Centre, Normalise, Power, Step
from lookalike.training.bases import POOL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.training.recipes import ClassifierRecipe
    from lookalike.types import Floats

backend.keras()  # says what is missing

import keras  # noqa: E402

CLASSES = "classes"
"""The layer of the class scores."""

VECTOR = "vector"
DENSE = "dense"

_NO_ROOT = 1e-6  # below it a number's root is no longer followed: its slope has no bound
_SHARPNESS = 12.0  # factor on vectors of unit length, or no score could come near 1


class Recommended(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The recommended vector as a layer: what is compared in a search is what the classes are told by.

    Args:
        mean: ndarray of shape (dim,), taken off the square roots at unit length.
        name: of the layer.
    """

    def __init__(self, mean: Floats, *, name: str) -> None:
        super().__init__(name=name)
        self._mean = mean

    def call(self, features: Any) -> Any:
        """(n, dim) stays; its rows have one and the same length."""
        size = keras.ops.abs(features)
        root = keras.ops.sign(features) * keras.ops.sqrt(keras.ops.maximum(size, _NO_ROOT))
        centred = keras.ops.normalize(root) - self._mean
        return _SHARPNESS * keras.ops.normalize(centred)


def layers(recipe: ClassifierRecipe, features: Floats, numbers: NDArray[np.intp], count: int) -> list[Any]:
    """The layers of a head, each fed by the one before.

    Without a dense layer a class is a direction, and its score grows with the cosine of the recommended
    vector and that; it begins as the mean of its pictures (Qi, Brown and Lowe, "Low-Shot Learning with
    Imprinted Weights", 2018).

    Args:
        recipe: the training's.
        features: ndarray of shape (n, dim), of the base, of the pictures that are learnt from.
        numbers: ndarray of shape (n,), the class of each.
        count: of classes.
    """
    left_out = [keras.layers.Dropout(recipe.dropout, seed=recipe.seed, name="dropout")]
    left_out = left_out if recipe.dropout else []
    if recipe.dense:
        dense = keras.layers.Dense(recipe.dense, activation="relu", name=DENSE)
        return [dense, *left_out, keras.layers.Dense(count, activation="softmax", name=CLASSES)]
    mean = _mean(features)
    vectors = vector_steps.apply(_steps(mean), features)  # (n, dim)
    scores = keras.layers.Dense(
        count,
        activation="softmax",
        use_bias=False,
        kernel_constraint=keras.constraints.UnitNorm(axis=0),
        name=CLASSES,
    )
    scores.build((None, features.shape[1]))
    scores.set_weights([_means(vectors, numbers, count).T])
    return [Recommended(mean, name=VECTOR), *left_out, scores]


def features_layer(recipe: ClassifierRecipe) -> str:
    """The layer of the penultimate numbers."""
    return DENSE if recipe.dense else POOL


def through(layers: Sequence[Any], x: Any) -> Any:
    """What layers make of a tensor, one after the other; nothing is left out by chance."""
    for layer in layers:
        x = layer(x)
    return x


def recommended(features: Floats) -> tuple[Step, ...]:
    """T with the mean of these pictures.

    Args:
        features: ndarray of shape (n, dim).
    """
    return _steps(_mean(features))


def _steps(mean: Floats) -> tuple[Step, ...]:
    return (Power(0.5), Normalise(), Centre(mean), Normalise())


def _mean(features: Floats) -> Floats:
    roots = vector_steps.apply((Power(0.5), Normalise()), features)
    return np.asarray(roots.mean(axis=0), np.float32)


def _means(vectors: Floats, numbers: NDArray[np.intp], count: int) -> Floats:
    """Of each class the mean of its vectors at unit length, (count, dim); zeros where it has none."""
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, numbers, vectors)
    return Normalise().apply(sums)

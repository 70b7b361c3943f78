"""The networks of an autoencoder: down to a small map and a few numbers, and by mirrored layers up again.

They work at a fraction of the pictures' size. What they draw of a picture from a few numbers has no fine
detail anyway, and at a quarter of the side a step takes a sixteenth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import UsageError
from lookalike.extractors import runtime
from lookalike.extractors.keras import backend
from lookalike.training.batches import augmented

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.training.recipes import AutoencoderRecipe

backend.keras()  # says what is missing

import keras  # noqa: E402

LATENT = "latent_space"
"""The layer of the few numbers."""

WHITE = 255.0
"""What pixels are divided by."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sides in pixels, on the way down.

    size: of a picture.
    pool: factor by which it is made smaller before anything is learnt, and larger again at the end.
    inner: of what the network works at.
    map: of the smallest map.
    """

    size: int
    pool: int
    inner: int
    map: int

    @classmethod
    def of(cls, recipe: AutoencoderRecipe) -> Geometry:
        """The geometry of a recipe.

        Raises:
            UsageError: the side can't be halved as often as there are widths.
        """
        size, halvings = recipe.size, 2 ** len(recipe.widths)
        if size < halvings or size % halvings:
            near = max(halvings, round(size / halvings) * halvings)
            raise UsageError(
                f"a side of {size} pixels can't be halved {len(recipe.widths)} times, once for each of the "
                f"widths {', '.join(map(str, recipe.widths))}; expected a multiple of {halvings}, such as "
                f"{near}"
            )
        steps = size // halvings
        pools = [pool for pool in range(1, steps + 1) if steps % pool == 0 and size // pool >= recipe.inner]
        pool = max(pools, default=1)
        return cls(size, pool, size // pool, steps // pool)


@dataclass(frozen=True, slots=True)
class Networks:
    """Models of Keras that share their layers.

    trained: pixels of the inner size (batch, inner, inner, 3), 0 to 255, to what was wanted and what was
        drawn.
    encoder: a picture (batch, size, size, 3), 0 to 1, to its numbers.
    decoder: numbers to a picture, 0 to 255.
    """

    trained: Any
    encoder: Any
    decoder: Any


class Autoencoder(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Gives what was wanted and what was drawn; its loss is the mean square of their difference."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,  # noqa: FBT001, FBT002  # Keras' signature
    ) -> Any:
        """What is to become small: the target is the picture as it was changed by chance."""
        del x, y, sample_weight, training
        wanted, drawn = y_pred
        return keras.ops.mean(keras.ops.square(drawn - wanted))


class Sometimes(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Takes some pictures changed, by chance, and the others as they are; all as they are but in training.

    Args:
        share: of pictures that are taken changed.
        seed: of the chance.
        name: of the layer.
    """

    def __init__(self, share: float, seed: int, *, name: str) -> None:
        super().__init__(name=name)
        self._share = share
        self._seeds = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002  # Keras' signature
        """Of pictures and the same pictures changed, (batch, height, width, 3) each, some of either."""
        pictures, changed = inputs
        if not training:
            return pictures
        drawn = keras.random.uniform((keras.ops.shape(pictures)[0], 1, 1, 1), seed=self._seeds)
        return keras.ops.where(drawn < self._share, changed, pictures)


def build(recipe: AutoencoderRecipe) -> Networks:
    """Fresh networks.

    Raises:
        UsageError: the recipe's size and widths don't go together.
    """
    layers = keras.layers
    geometry = Geometry.of(recipe)
    down, up = _down(recipe), _up(recipe, geometry)
    pixels = layers.Input((geometry.inner, geometry.inner, 3), name="pixels")
    changed = augmented(pixels, recipe.augmentation, recipe.seed)
    varied = Sometimes(recipe.varied, recipe.seed, name="varied")([pixels, changed])
    wanted = layers.Rescaling(1 / WHITE, name="unit")(varied)
    trained = Autoencoder(pixels, [wanted, _through(up, _through(down, wanted))], name="autoencoder")

    picture = layers.Input((geometry.size, geometry.size, 3), name="picture")
    pooled = layers.AveragePooling2D(geometry.pool, name="pooled")(picture) if geometry.pool > 1 else picture
    encoder = keras.Model(picture, _through(down, pooled), name="encoder")

    numbers = layers.Input((recipe.latent,), name="numbers")
    drawn = _through(up, numbers)
    if geometry.pool > 1:
        drawn = layers.UpSampling2D(geometry.pool, interpolation="bilinear", name="enlarged")(drawn)
    decoder = keras.Model(numbers, layers.Rescaling(WHITE, name="drawing")(drawn), name="decoder")
    return Networks(trained, encoder, decoder)


def pooled(pictures: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """Pictures at the inner size, once and for all.

    Args:
        pictures: ndarray of shape (n, size, size, 3).
        geometry: the sides.

    Returns:
        ndarray of shape (n, inner, inner, 3).
    """
    if geometry.pool == 1:
        return pictures
    inner, pool = geometry.inner, geometry.pool
    small = np.empty((len(pictures), inner, inner, 3), np.uint8)
    for row, picture in enumerate(pictures):
        cells = picture.reshape(inner, pool, inner, pool, 3)
        small[row] = np.rint(cells.mean((1, 3), dtype=np.float32))
    return small


def converted(decoder: Any) -> Any:
    """A decoder as an `openvino.Model` from one vector (1, dim) to one picture (1, height, width, 3)."""
    import tensorflow as tf

    signature = tf.TensorSpec((1, decoder.input_shape[1]), "float32", name="numbers")
    run = tf.function(lambda numbers: decoder(numbers, training=False), input_signature=[signature])
    return runtime.openvino().convert_model(run.get_concrete_function())


def _down(recipe: AutoencoderRecipe) -> list[Callable[[Any], Any]]:
    layers = keras.layers
    strided = {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}
    return [
        *(layers.Conv2D(width, name=f"down{i}", **strided) for i, width in enumerate(recipe.widths, 1)),
        layers.Flatten(name="flat"),
        layers.Dense(recipe.latent, name=LATENT),
    ]


def _up(recipe: AutoencoderRecipe, geometry: Geometry) -> list[Callable[[Any], Any]]:
    layers = keras.layers
    side, widths = geometry.map, recipe.widths
    # A kernel that the stride divides: every pixel is drawn by as many numbers as its neighbours.
    strided = {"kernel_size": 4, "strides": 2, "padding": "same"}
    return [
        layers.Dense(side * side * widths[-1], activation="relu", name="spread"),
        layers.Reshape((side, side, widths[-1]), name="map"),
        *(
            layers.Conv2DTranspose(width, activation="relu", name=f"up{i}", **strided)
            for i, width in reversed(list(enumerate(widths[:-1], 2)))
        ),
        layers.Conv2DTranspose(3, activation="sigmoid", name="up1", **strided),
    ]


def _through(layers: Sequence[Callable[[Any], Any]], tensor: Any) -> Any:
    for layer in layers:
        tensor = layer(tensor)
    return tensor

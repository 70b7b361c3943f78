"""Pictures in batches, in an order that only the seed and the epoch decide, and the layers in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.extractors.keras import backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.extractors.cards import Card
    from lookalike.training.recipes import Augmentation
    from lookalike.types import Floats

backend.keras()  # says what is missing

import keras  # noqa: E402


class Shuffled(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Rows in batches; every epoch has an order of its own, the same whenever it is run.

    A subclass makes a batch of rows by `take`.

    Args:
        rows: of what there is, those to take.
        batch: how many at a time.
        seed: of the orders; None leaves rows as they are.
    """

    def __init__(self, rows: Sequence[int], *, batch: int, seed: int | None = None) -> None:
        super().__init__()
        self.epoch = 0
        self._rows = np.asarray(rows, np.intp)
        self._batch = batch
        self._seed = seed
        self._order: tuple[int, NDArray[np.intp]] = (-1, self._rows)

    @property
    def num_batches(self) -> int:
        """How many there are."""
        return -(-len(self._rows) // self._batch)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = self.rows()[index * self._batch : (index + 1) * self._batch]
        return self.take(rows)

    def rows(self) -> NDArray[np.intp]:
        """The rows in the order of this epoch."""
        if self._seed is None:
            return self._rows
        if self._order[0] != self.epoch:
            self._order = self.epoch, np.random.default_rng([self._seed, self.epoch]).permutation(self._rows)
        return self._order[1]

    def take(self, rows: NDArray[np.intp]) -> tuple[Any, Any]:
        """Inputs and targets of some rows."""
        raise NotImplementedError


class Batches(Shuffled):
    """Pictures with their targets.

    Args:
        pictures: ndarray of shape (n, height, width, 3), uint8.
        targets: ndarray of shape (n, …), float32; without them a picture is its own target.
        rows: those to take.
        batch: how many at a time.
        seed: of the orders; None leaves rows as they are.
    """

    def __init__(
        self,
        pictures: NDArray[np.uint8],
        targets: Floats | None,
        rows: Sequence[int],
        *,
        batch: int,
        seed: int | None = None,
    ) -> None:
        super().__init__(rows, batch=batch, seed=seed)
        self._pictures = pictures
        self._targets = targets

    def take(self, rows: NDArray[np.intp]) -> tuple[Any, Any]:
        """Pixels (rows, height, width, 3), float32, 0 to 255, and targets."""
        pixels = self._pictures[rows].astype(np.float32)
        return pixels, pixels if self._targets is None else self._targets[rows]


def augmented(pixels: Any, wanted: Augmentation, seed: int) -> Any:
    """Change pictures by chance while they are learnt from; otherwise they stay as they are.

    Args:
        pixels: a symbolic tensor of shape (batch, height, width, 3), 0 to 255.
        wanted: how.
        seed: of the chance.
    """
    layers = keras.layers
    edge = {"fill_mode": "nearest", "seed": seed}
    made = [
        wanted.flip and layers.RandomFlip("horizontal", seed=seed, name="flip"),
        wanted.rotation and layers.RandomRotation(wanted.rotation, name="rotation", **edge),
        wanted.zoom and layers.RandomZoom(wanted.zoom, name="zoom", **edge),
        wanted.shift and layers.RandomTranslation(wanted.shift, wanted.shift, name="shift", **edge),
        wanted.colour and layers.RandomBrightness(wanted.colour, seed=seed, name="brightness"),
        wanted.colour and layers.RandomContrast(wanted.colour, seed=seed, name="contrast"),
    ]
    for layer in filter(None, made):
        pixels = layer(pixels)
    return pixels


def prepared(pixels: Any, card: Card) -> Any:
    """What a network is fed with, of pixels: the order of channels, the mean and the scale of its card.

    Args:
        pixels: a tensor of shape (batch, height, width, 3), RGB, 0 to 255.
        card: of the network.
    """
    if card.channels == "BGR":
        pixels = pixels[..., ::-1]
    mean, scale = (np.broadcast_to(np.array(each, np.float32), 3) for each in (card.mean, card.scale))
    return (pixels - mean) / scale

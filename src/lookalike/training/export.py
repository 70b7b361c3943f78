"""A trained Keras network as a model that every command takes: exported, compared, with its card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors import trained
from lookalike.extractors.keras import backend, graph
from lookalike.extractors.names import Name
from lookalike.training.batches import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.extractors.cards import Card
    from lookalike.types import Floats

_CLOSE = 1e-3  # of the largest number of a layer, or of 1 if that is smaller
_COMPARED = 8  # pictures
_BATCH = 32


def described(card: Card, network: Any) -> Card:
    """A card with what the network shows: its layers, what makes them, its weights' digest.

    Args:
        card: with everything else.
        network: of Keras; fed with what the card's mean and scale make of pixels.
    """
    layers = graph.layers_of(network)
    return replace(
        card,
        weights=graph.weights_digest(network),
        layout="NHWC",
        layers=layers.names,
        kinds=layers.kinds,
        parameters=layers.parameters,
        files={},
    )


def outputs(network: Any, layer: str, card: Card, pictures: NDArray[np.uint8], rows: Sequence[int]) -> Floats:
    """What Keras makes of pictures at a layer.

    Args:
        network: of Keras.
        layer: of it.
        card: of it.
        pictures: ndarray of shape (n, height, width, 3), uint8.
        rows: of those that are wanted.

    Returns:
        ndarray of shape (rows, …), float32.
    """
    import tensorflow as tf

    layers = graph.layers_of(network)
    cut = backend.keras().Model(network.inputs[0], layers.outputs[layers.names.index(layer)])
    # `predict` would take XLA, a model called plainly no graph: either is slower on a CPU, the first tenfold.
    batch = tf.TensorSpec((None, *pictures.shape[1:]), "float32")
    run = tf.function(lambda pixels: cut(pixels, training=False)).get_concrete_function(batch)
    parts = (list(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH))
    made = [np.asarray(run(tf.constant(prepared(pictures[part].astype(np.float32), card)))) for part in parts]
    return np.concatenate(made)


def write(
    folder: Path,
    network: Any,
    card: Card,
    pictures: NDArray[np.uint8],
    *,
    decoder: Any = None,
    check: Callable[[Path], object] = lambda _: None,
) -> Card:
    """Export a network, make sure that it gives what Keras gives, and write it with its card.

    Args:
        folder: of the model.
        network: of Keras; every layer becomes one that the model can be cut at.
        card: as `described` gives it.
        pictures: ndarray of shape (n, height, width, 3), uint8: some of them are compared.
        decoder: an `openvino.Model` that makes pictures of vectors.
        check: of what else is written, called with the folder that it is in first.

    Returns:
        The card as it was written.

    Raises:
        ModelError: it can't be exported, gives other numbers, or can't be written; a model that was there
            before is then as it was.
    """
    model = graph.convert(network, graph.layers_of(network), card.size)

    def compared(place: Path) -> None:
        for layer in dict.fromkeys(filter(None, (card.features, card.scores))):
            compare(place, network, layer, card, pictures[:_COMPARED])
        check(place)

    return trained.write(folder, model, card, decoder=decoder, check=compared)


def compare(folder: Path, network: Any, layer: str, card: Card, pictures: NDArray[np.uint8]) -> None:
    """Make sure that a model that was written gives what the Keras network gives.

    Raises:
        ModelError: it does not.
    """
    name = replace(Name(str(folder)), layer=layer)
    extractor = trained.load(folder, name, "f32", normalize=False)
    found = extractor.extract(list(pictures)).vectors
    wanted = outputs(network, layer, card, pictures, range(len(pictures))).reshape(found.shape)
    far = float(np.abs(found - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
    if not far <= _CLOSE:
        raise ModelError(
            f"the exported model gives other numbers than Keras in layer {layer!r}: {far:.2g} off, expected "
            f"at most {_CLOSE:g}"
        )

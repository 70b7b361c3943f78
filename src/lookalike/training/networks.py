"""Open networks to begin a training with, feed them with pictures, and export them as models."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError, UnknownModel, UsageError
from lookalike.extractors import cards, efficientnet, trained
from lookalike.extractors.keras import export, lite0, recipes
from lookalike.extractors.names import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.extractors.cards import Card
    from lookalike.training.recipes import Augmentation
    from lookalike.types import Floats

keras = export.keras()  # says what is missing

POOL = "pool"
"""The layer that every base ends with: a number a channel."""

_OWN_TOP = ("include_top", "pooling", "classes", "classifier_activation")
_LITE0_TOP = (
    "block6a_expand_conv"  # of its blocks the last five; with all of them an epoch takes twice as long
)
_TOP_SHARE = 3  # of another network, the last third of its layers
_PATIENCE = 60.0  # seconds a server may be silent during a download


@dataclass(frozen=True, slots=True)
class Base:
    """A network to begin with.

    name: as the user types it.
    network: a functional Keras model, prepared pictures (n, height, width, 3) in, `pool` (n, dim) out.
    card: how pictures are prepared for it, and what its weights are.
    top: the number of the layer from which on it learns, unless said otherwise.
    """

    name: str
    network: Any
    card: Card
    top: int

    def freeze(self) -> None:
        """Let nothing of it learn."""
        for layer in self.network.layers:
            layer.trainable = False

    def unfreeze(self, wanted: str | int | None = None, *, norms: bool = False) -> None:
        """Let it learn from one layer on, and not below.

        Args:
            wanted: the layer, as `from_layer` has it.
            norms: whether batch norms learn, too, and go by the pictures of a batch.

        Raises:
            UsageError: there is no such layer.
        """
        upper = self.from_layer(wanted)
        self.freeze()
        for layer in upper:
            layer.trainable = norms or type(layer).__name__ != "BatchNormalization"

    def from_layer(self, wanted: str | int | None = None) -> list[Any]:
        """Return the layers from one on, by its name or number; None for the usual top.

        Raises:
            UsageError: there is no such layer.
        """
        layers = list(self.network.layers)
        if wanted is None:
            return layers[self.top :]
        names = [layer.name for layer in layers]
        number = names.index(wanted) if wanted in names else _number(wanted)
        if number is None or not -len(layers) <= number < len(layers):
            raise UsageError(
                f"{self.name} has no layer {wanted!r} to learn from on; expected a number from 0 to "
                f"{len(layers) - 1}, or one of {', '.join(_some(names))}"
            )
        return layers[number:]


def open_base(text: str, *, side: int | None = None, raw: bool = False) -> Base:
    """Build a network to begin with.

    Args:
        text: `efficientnet-lite0`, or `keras:NETWORK` with the options that it has as a model.
        side: of its pictures in pixels; None for the network's own.
        raw: whether pixels go in as they are, 0 to 255, in place of its own preparation.

    Raises:
        UsageError: an option that is not known or can't be meant, or a layer in the name.
        UnknownModel: it is no network that can be trained here.
        WeightsMissing: its weights can't be had.
        MissingExtra: Keras is not installed.

    >>> open_base("efficientnet-lite0").network.output_shape
    (None, 1280)
    """
    name = Name.parse(text)
    if name.layer or name.pool:
        raise UsageError(f"{text} is cut at a layer; a training begins with the whole network: {name.model}")
    options = dict(name.options) | ({} if side is None else {"size": str(side)})
    if raw:
        options |= {"scale": "1", "mean": "0"}
    name = replace(name, options=tuple(sorted(options.items())))
    if name.model == efficientnet.NAME:
        return _lite0(name, text)
    if name.scheme == "keras":
        return _application(name, text)
    raise UnknownModel(
        f"{text} can't be trained further; expected {efficientnet.NAME}, or a network of Keras such as "
        "keras:MobileNetV2"
    )


def _lite0(name: Name, text: str) -> Base:
    card = cards.overridden(efficientnet.card(efficientnet.recommended()), name.options)
    network = lite0.build(include_top=False, size=card.size)
    return Base(text, network, card, [layer.name for layer in network.layers].index(_LITE0_TOP))


def _application(name: Name, text: str) -> Base:
    wrong = sorted({key for key, _ in name.options} & set(_OWN_TOP))
    if wrong:
        raise UsageError(f"{text} has {', '.join(wrong)}; a training gives the network a top of its own")
    whole = tuple(sorted([*name.options, ("include_top", "false")]))
    recipe = recipes.of_application(replace(name, options=whole))
    with _patience():
        model, card = export.built(recipe)
    card = cards.overridden(card, name.options, own=recipes.own_options(name))
    pool = keras.layers.GlobalAveragePooling2D(name=POOL)(model.outputs[0])
    network = keras.Model(model.inputs[0], pool, name=model.name)
    count = len(export.layers_of(network).names)
    return Base(text, network, card, count - count // _TOP_SHARE)


@contextmanager
def _patience() -> Iterator[None]:
    """End a download of weights that hangs with an error."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before or _PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _number(wanted: str | int) -> int | None:
    try:
        return int(wanted)
    except ValueError:
        return None


def _some(names: Sequence[str]) -> list[str]:
    return list(names) if len(names) <= 8 else [*names[:3], "…", *names[-3:]]


class Shuffled(keras.utils.PyDataset):  # type: ignore[misc, name-defined]  # Keras has no types
    """Give rows in batches; every epoch has an order of its own, the same whenever it is run.

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
        """Return the number of batches."""
        return -(-len(self._rows) // self._batch)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = self.rows()[index * self._batch : (index + 1) * self._batch]
        return self.take(rows)

    def rows(self) -> NDArray[np.intp]:
        """Return the rows in the order of this epoch."""
        if self._seed is None:
            return self._rows
        if self._order[0] != self.epoch:
            self._order = self.epoch, np.random.default_rng([self._seed, self.epoch]).permutation(self._rows)
        return self._order[1]

    def take(self, rows: NDArray[np.intp]) -> tuple[Any, Any]:
        """Return inputs and targets of some rows."""
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
        """Return pixels (rows, height, width, 3), float32, 0 to 255, and targets."""
        pixels = self._pictures[rows].astype(np.float32)
        return pixels, pixels if self._targets is None else self._targets[rows]


def augmented(pixels: Any, wanted: Augmentation, seed: int) -> Any:
    """Change pictures at random while they are learned from; otherwise they stay as they are.

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
    """Prepare pixels for a network: the order of channels, the mean and the scale of its card.

    Args:
        pixels: a tensor of shape (batch, height, width, 3), RGB, 0 to 255.
        card: of the network.
    """
    if card.channels == "BGR":
        pixels = pixels[..., ::-1]
    mean, scale = (np.broadcast_to(np.array(each, np.float32), 3) for each in (card.mean, card.scale))
    return (pixels - mean) / scale


_CLOSE = 1e-3  # of the largest number of a layer, or of 1 if that is smaller
_COMPARED = 8  # pictures
_BATCH = 32


def described(card: Card, network: Any) -> Card:
    """Return a card with what the network shows: its layers, what makes them, its weights' digest.

    Args:
        card: with everything else.
        network: of Keras; fed with what the card's mean and scale make of pixels.
    """
    layers = export.layers_of(network)
    return replace(
        card,
        weights=export.weights_digest(network),
        layout="NHWC",
        layers=layers.names,
        kinds=layers.kinds,
        parameters=layers.parameters,
        files={},
    )


def outputs(network: Any, layer: str, card: Card, pictures: NDArray[np.uint8], rows: Sequence[int]) -> Floats:
    """Return the output of a layer of a Keras network for pictures.

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

    layers = export.layers_of(network)
    cut = keras.Model(network.inputs[0], layers.outputs[layers.names.index(layer)])
    # `predict` would take XLA, a model called plainly no graph: either is slower on a CPU, the first tenfold.
    batch = tf.TensorSpec((None, *pictures.shape[1:]), "float32")
    run = tf.function(lambda pixels: cut(pixels, training=False)).get_concrete_function(batch)
    parts = (list(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH))
    made = [np.asarray(run(tf.constant(prepared(pictures[part].astype(np.float32), card)))) for part in parts]
    return np.concatenate(made)


def export_model(
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
    model = export.convert(network, export.layers_of(network), card.size)

    def compared(place: Path) -> None:
        for layer in dict.fromkeys(filter(None, (card.features, card.scores))):
            compare_export(place, network, layer, card, pictures[:_COMPARED])
        check(place)

    return trained.write(folder, model, card, decoder=decoder, check=compared)


def compare_export(folder: Path, network: Any, layer: str, card: Card, pictures: NDArray[np.uint8]) -> None:
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

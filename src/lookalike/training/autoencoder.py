"""Train an autoencoder: pictures to a few numbers, and by mirrored layers to pictures again.

The networks work at a fraction of the pictures' size. What they draw of a picture from a few numbers has no
fine detail anyway, and at a quarter of the side a step takes a sixteenth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError, UsageError
from lookalike.extractors import runtime
from lookalike.extractors.cards import Card
from lookalike.extractors.decoder import Decoder
from lookalike.extractors.keras import export as keras_export
from lookalike.training import dataset
from lookalike.training import networks as export
from lookalike.training.fitting import fit, seeded
from lookalike.training.networks import Batches, augmented
from lookalike.training.recipes import AutoencoderRecipe
from lookalike.training.reconstruction import errors
from lookalike.training.run import Run, TrainingStage, rows_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.splits import Split
    from lookalike.training.dataset import DecodedDataset
    from lookalike.training.result import Trained
    from lookalike.training.run import OnProgress
    from lookalike.types import Floats

keras = keras_export.keras()  # says what is missing

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
        """Return the geometry of a recipe.

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


class Autoencoder(keras.Model):  # type: ignore[misc, name-defined]  # Keras has no types
    """Return what was wanted and what was drawn; its loss is the mean square of their difference."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,  # noqa: FBT001, FBT002  # Keras' signature
    ) -> Any:
        """Return what is minimised: the target is the picture as it was changed at random."""
        del x, y, sample_weight, training
        wanted, drawn = y_pred
        return keras.ops.mean(keras.ops.square(drawn - wanted))


class Sometimes(keras.layers.Layer):  # type: ignore[misc, name-defined]  # Keras has no types
    """Take some pictures changed, at random, and the others as they are; outside training all as they are.

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
        """Choose at random from pictures and changed ones, (batch, height, width, 3) each."""
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
    """Return pictures at the inner size, once and for all.

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


def converted_decoder(decoder: Any) -> Any:
    """Convert a decoder to an `openvino.Model`, one vector (1, dim) to one picture (1, height, width, 3)."""
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


_FEWEST = 8  # pictures to learn from
_MEASURED = 1000  # pictures of a part that its error is measured on
_AT_ONCE = 16
_COMPARED = 8
_CLOSE = 1e-3  # of the range of a colour


def train_autoencoder(
    pictures: str | os.PathLike[str],
    recipe: AutoencoderRecipe | None = None,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> Trained:
    """Train an autoencoder, and write it as a model: a picture in, the numbers of `latent_space` out.

    Args:
        pictures: a folder, or CIFAR-10's batches.
        recipe: how; `AutoencoderRecipe()` by default.
        out: folder of the model.
        resume: go on with a training that was stopped.
        overwrite: replace a model that is there already.
        progress: told of pictures read and of every epoch.

    Returns:
        What was reached. Its measures are mean squares of differences of numbers from 0 to 1: `train_mse`
        and `train_own_colour_mse`, that of a picture's own mean colour, and likewise for the other parts.

    Raises:
        UsageError: the recipe can't be followed, there are too few pictures, or `out` holds something else.
        MissingExtra: Keras is not installed.
        ModelError: the training ran away, or nothing can be written.

    Example:
        >>> train_autoencoder("photos", AutoencoderRecipe(epochs=50), out="ae-model")  # doctest: +SKIP
    """
    recipe = recipe or AutoencoderRecipe()
    geometry = Geometry.of(recipe)
    with Run(Path(out), recipe, progress, resume=resume, overwrite=overwrite) as run:
        card = blank(recipe, run.folder.name)
        found = dataset.collect(pictures, limit=recipe.limit, seed=recipe.seed)
        found = replace(found, labels=[None] * len(found.ids))  # CIFAR-10 brings labels, wanted or not
        pixels = dataset.load(found, card, run.pixels, progress=progress)
        split = run.divide(pixels)
        learnt = rows_of(pixels, split, "train")
        _require_enough(learnt, pixels)
        run.begin({"data": pixels.digest})
        with seeded(recipe.seed):
            networks = build(recipe)
            small = pooled(pixels.array, geometry)
            batches = Batches(small, None, learnt, batch=recipe.batch, seed=recipe.seed)
            validated = Batches(small, None, rows_of(pixels, split, "validation"), batch=recipe.batch)
            stage = _stage(networks, recipe, batches.num_batches)
            fit(run, networks.trained, [stage], batches, validated)
        measures = _measures(networks, pixels, split)
        record = run.record(pixels.digest, split, measures, root=found.root)
        card = export_autoencoder(run.folder, networks, replace(card, training=record), pixels.array)
        return run.finished(card, split, measures, pixels.skipped)


def export_autoencoder(folder: Path, networks: Networks, card: Card, pictures: NDArray[np.uint8]) -> Card:
    """Write both networks as a model, and make sure that OpenVINO gives with them what Keras gives.

    Args:
        folder: of the model.
        networks: trained.
        card: as `blank` makes it.
        pictures: ndarray of shape (n, size, size, 3), uint8: some of them are compared.

    Returns:
        The card as it was written.

    Raises:
        ModelError: they give something else, or can't be written.
    """
    described = export.described(card, networks.encoder)
    decoder = converted_decoder(networks.decoder)
    vectors = np.asarray(networks.encoder(pictures[:_COMPARED].astype(np.float32) / WHITE))
    return export.export_model(
        folder,
        networks.encoder,
        described,
        pictures,
        decoder=decoder,
        check=lambda place: compare_decoder(place, networks.decoder, vectors),
    )


def compare_decoder(folder: Path, decoder: Any, vectors: Floats) -> None:
    """Make sure that a decoder that was written draws what that of Keras draws.

    Args:
        folder: of the model.
        decoder: of Keras.
        vectors: ndarray of shape (n, dim).

    Raises:
        ModelError: it does not.
    """
    wanted = np.asarray(decoder(vectors, training=False))
    far = float(np.abs(Decoder(folder).pixels(vectors) - wanted).max()) / WHITE
    if not far <= _CLOSE:
        raise ModelError(
            f"the exported decoder draws other pictures than Keras: {far:.2g} off, expected at most "
            f"{_CLOSE:g} of the range of a colour"
        )


def blank(recipe: AutoencoderRecipe, name: str) -> Card:
    """Return the card but for what only the trained network shows."""
    return Card(
        name=name or "autoencoder",
        weights="none yet",
        size=(recipe.size, recipe.size),
        layers=(LATENT,),
        features=LATENT,
        licence="that of the pictures it was trained on",
        layout="NHWC",
        scale=(WHITE,),
        metric="euclidean",
        metrics={LATENT: "euclidean"},
    )


def _require_enough(learnt: Sequence[int], pixels: DecodedDataset) -> None:
    if len(learnt) >= _FEWEST:
        return
    reasons = "".join(f"; {skip.path}: {skip.reason}" for skip in pixels.skipped[:3])
    raise UsageError(
        f"an autoencoder can't be trained on {len(learnt)} pictures; expected at least {_FEWEST} to learn "
        f"from beside those kept apart ({len(pixels.ids)} can be read, {len(pixels.skipped)} can't{reasons})"
    )


def _stage(networks: Networks, recipe: AutoencoderRecipe, steps: int) -> TrainingStage:

    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, recipe.epochs * steps), warmup_target=recipe.rate, warmup_steps=min(100, steps)
    )
    return TrainingStage(
        "autoencoder",
        recipe.epochs,
        lambda: networks.trained.compile(optimizer=keras.optimizers.Adam(rate)),
        recipe.patience,
    )


def _measures(networks: Networks, pixels: DecodedDataset, split: Split) -> dict[str, float]:
    """Return the mean error of each part at full size, and that of each picture's own mean colour."""
    measures: dict[str, float] = {}
    for part in ("train", "validation", "test"):
        rows = rows_of(pixels, split, part)
        if rows:
            some = [rows[i] for i in np.linspace(0, len(rows) - 1, min(len(rows), _MEASURED)).astype(int)]
            drawn, own = np.mean(_errors(networks, pixels, some), axis=0)
            measures |= {f"{part}_mse": float(drawn), f"{part}_own_colour_mse": float(own)}
    return measures


def _errors(networks: Networks, pixels: DecodedDataset, rows: Sequence[int]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start in range(0, len(rows), _AT_ONCE):
        given = pixels.array[list(rows[start : start + _AT_ONCE])]
        unit: Any = given.astype(np.float32) / WHITE
        drawn = np.asarray(networks.decoder(networks.encoder(unit, training=False), training=False))
        found += [errors(*pair) for pair in zip(given, np.rint(drawn), strict=True)]
    return found

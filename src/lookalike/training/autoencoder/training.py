"""Train an autoencoder on a folder of pictures; labels are not looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError, UsageError
from lookalike.extractors.cards import Card
from lookalike.extractors.decoder import Decoder
from lookalike.training import collection, export
from lookalike.training.autoencoder import network
from lookalike.training.autoencoder.reconstruction import errors
from lookalike.training.batches import Batches
from lookalike.training.fitting import fit, seeded
from lookalike.training.recipes import AutoencoderRecipe
from lookalike.training.run import Run, Stage, rows_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.splits import Split
    from lookalike.training.autoencoder.network import Networks
    from lookalike.training.collection import Pixels
    from lookalike.training.result import Trained
    from lookalike.training.run import OnProgress
    from lookalike.types import Floats

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
    geometry = network.Geometry.of(recipe)
    with Run(Path(out), recipe, progress, resume=resume, overwrite=overwrite) as run:
        card = blank(recipe, run.folder.name)
        found = collection.collect(pictures, limit=recipe.limit, seed=recipe.seed)
        found = replace(found, labels=[None] * len(found.ids))  # CIFAR-10 brings labels, wanted or not
        pixels = collection.load(found, card, run.pixels, progress=progress)
        split = run.divide(pixels)
        learnt = rows_of(pixels, split, "train")
        _require_enough(learnt, pixels)
        run.begin({"data": pixels.digest})
        with seeded(recipe.seed):
            networks = network.build(recipe)
            small = network.pooled(pixels.array, geometry)
            batches = Batches(small, None, learnt, batch=recipe.batch, seed=recipe.seed)
            validated = Batches(small, None, rows_of(pixels, split, "validation"), batch=recipe.batch)
            stage = _stage(networks, recipe, batches.num_batches)
            fit(run, networks.trained, [stage], batches, validated)
        measures = _measures(networks, pixels, split)
        record = run.record(pixels, split, measures, root=found.root)
        card = write(run.folder, networks, replace(card, training=record), pixels.array)
        return run.finished(card, split, measures, pixels.skipped)


def write(folder: Path, networks: Networks, card: Card, pictures: NDArray[np.uint8]) -> Card:
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
    decoder = network.converted(networks.decoder)
    vectors = np.asarray(networks.encoder(pictures[:_COMPARED].astype(np.float32) / network.WHITE))
    return export.write(
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
    far = float(np.abs(Decoder(folder).pixels(vectors) - wanted).max()) / network.WHITE
    if not far <= _CLOSE:
        raise ModelError(
            f"the exported decoder draws other pictures than Keras: {far:.2g} off, expected at most "
            f"{_CLOSE:g} of the range of a colour"
        )


def blank(recipe: AutoencoderRecipe, name: str) -> Card:
    """The card but for what the trained network shows."""
    return Card(
        name=name or "autoencoder",
        weights="none yet",
        size=(recipe.size, recipe.size),
        layers=(network.LATENT,),
        features=network.LATENT,
        licence="that of the pictures it was trained on",
        layout="NHWC",
        scale=(network.WHITE,),
        metric="euclidean",
        metrics={network.LATENT: "euclidean"},
    )


def _require_enough(learnt: Sequence[int], pixels: Pixels) -> None:
    if len(learnt) >= _FEWEST:
        return
    reasons = "".join(f"; {skip.path}: {skip.reason}" for skip in pixels.skipped[:3])
    raise UsageError(
        f"an autoencoder can't be trained on {len(learnt)} pictures; expected at least {_FEWEST} to learn "
        f"from beside those kept apart ({len(pixels.ids)} can be read, {len(pixels.skipped)} can't{reasons})"
    )


def _stage(networks: Networks, recipe: AutoencoderRecipe, steps: int) -> Stage:
    import keras

    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, recipe.epochs * steps), warmup_target=recipe.rate, warmup_steps=min(100, steps)
    )
    return Stage(
        "autoencoder",
        recipe.epochs,
        lambda: networks.trained.compile(optimizer=keras.optimizers.Adam(rate)),
        recipe.patience,
    )


def _measures(networks: Networks, pixels: Pixels, split: Split) -> dict[str, float]:
    """For each part the mean error of what is drawn at full size, and of each picture's own mean colour."""
    measures: dict[str, float] = {}
    for part in ("train", "validation", "test"):
        rows = rows_of(pixels, split, part)
        if rows:
            some = [rows[i] for i in np.linspace(0, len(rows) - 1, min(len(rows), _MEASURED)).astype(int)]
            drawn, own = np.mean(_errors(networks, pixels, some), axis=0)
            measures |= {f"{part}_mse": float(drawn), f"{part}_own_colour_mse": float(own)}
    return measures


def _errors(networks: Networks, pixels: Pixels, rows: Sequence[int]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start in range(0, len(rows), _AT_ONCE):
        given = pixels.array[list(rows[start : start + _AT_ONCE])]
        unit: Any = given.astype(np.float32) / network.WHITE
        drawn = np.asarray(networks.decoder(networks.encoder(unit, training=False), training=False))
        found += [errors(*pair) for pair in zip(given, np.rint(drawn), strict=True)]
    return found

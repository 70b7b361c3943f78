"""A training of a tiny network by every part that the real ones use; run as a program it can be killed.

python tiny.py FOLDER OUT [--resume] [--epochs N] [--rate R]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from lookalike.extractors.cards import Card
from lookalike.training import ClassifierRecipe, dataset, networks
from lookalike.training.fitting import fit, keras, seeded
from lookalike.training.networks import Batches, augmented, prepared
from lookalike.training.run import Run, TrainingStage, rows_of
from lookalike.types import Classes

CARD = Card("tiny", "none", (24, 24), ("input",), "input", "none", mean=(127.0,), scale=(128.0,))


def train(folder, out, *, progress=None, resume=False, overwrite=False, rate=0.05, **changes):
    """Train a convolution and a layer of classes on the first folders of pictures, in two stages."""
    recipe = ClassifierRecipe(**{"epochs": 4, "head_epochs": 2, "patience": 0, **changes})
    with Run(Path(out), recipe, progress, resume, overwrite) as run, seeded(recipe.seed):
        found = dataset.collect(folder, "folder:1", limit=recipe.limit, seed=recipe.seed)
        pixels = dataset.load(found, CARD, run.pixels)
        run.begin({"base": "tiny", "digest": pixels.digest})
        split = run.divide(pixels)
        names = sorted(set(pixels.labels))
        targets = np.eye(len(names), dtype=np.float32)[[names.index(label) for label in pixels.labels]]
        network = _network(len(names))
        picture = keras.Input((24, 24, 3))
        seen = prepared(augmented(picture, recipe.augmentation, recipe.seed), CARD)
        model = keras.Model(picture, network(seen))

        def compiling(optimizer, *, frozen):
            def compile_():
                network.get_layer("conv").trainable = not frozen
                model.compile(optimizer(), loss="categorical_crossentropy", metrics=["accuracy"])

            return compile_

        stages = (
            TrainingStage(
                "head", recipe.head_epochs, compiling(lambda: keras.optimizers.RMSprop(0.01), frozen=True)
            ),
            TrainingStage(
                "all",
                recipe.epochs,
                compiling(lambda: keras.optimizers.SGD(rate, momentum=0.9), frozen=False),
                recipe.patience,
            ),
        )
        learnt, validated = (rows_of(pixels, split, part) for part in ("train", "validation"))
        batches = Batches(pixels.array, targets, learnt, batch=recipe.batch, seed=recipe.seed)
        fit(run, model, stages, batches, Batches(pixels.array, targets, validated, batch=recipe.batch))
        card = replace(
            networks.described(replace(CARD, features="input"), network),
            features="pool",
            scores="classes",
            classes=Classes(tuple(names), tuple(names)),
            training=run.record(pixels.digest, split, {}),
        )
        written = networks.export_model(run.folder, network, card, pixels.array)
        return run.finished(written, split, {}, pixels.skipped)


def _network(classes):
    layers = keras.layers
    picture = keras.Input((24, 24, 3), name="input")
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(picture)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(picture, layers.Dense(classes, activation="softmax", name="classes")(x))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()

    def tell(event):
        """A line an epoch, at once."""
        if hasattr(event, "stage"):
            print(event, flush=True)  # noqa: T201

    made = train(options.folder, options.out, progress=tell, resume=options.resume, epochs=options.epochs)
    json.dump(made.as_dict() | {"weights": made.card.weights}, sys.stdout)

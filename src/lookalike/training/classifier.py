"""Fine-tune a network to tell one's own classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation.splits import PARTS
from lookalike.extractors import steps as vector_steps
from lookalike.extractors.keras import export
from lookalike.extractors.steps import Centre, Normalise, Power, Step
from lookalike.training import dataset, networks
from lookalike.training.fitting import fit, seeded
from lookalike.training.networks import POOL, Batches, augmented, open_base, prepared
from lookalike.training.recipes import ClassifierRecipe
from lookalike.training.run import Run, TrainingStage, rows_of
from lookalike.training.trials import LabelTrials
from lookalike.types import Classes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.labels import LabelsLike
    from lookalike.evaluation.splits import Part, Split
    from lookalike.extractors.cards import Card
    from lookalike.training.dataset import Dataset, DecodedDataset
    from lookalike.training.networks import Base
    from lookalike.training.result import Trained
    from lookalike.training.run import OnProgress
    from lookalike.types import Floats

keras = export.keras()  # says what is missing

_FEWEST = 3  # pictures of a class: to learn from, to choose the best state by, and to measure by
_NAMED = 5  # classes, or files, that a message names
_LOOKED_AT = 2000  # pictures of a part that means and measures are made of, at most
_EQUAL = 0.005  # of mAP@100: less is chance


def train_classifier(  # each is a wish of its own
    pictures: str | os.PathLike[str],
    recipe: ClassifierRecipe | None = None,
    *,
    labels: LabelsLike = "folder",
    base: str = "efficientnet-lite0",
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> Trained:
    """Train a network to know one's own classes, and write it as a model.

    The model's `@classes` are the scores of those classes, so that tags and keywords are in one's own
    words; `@features` the numbers they are told by; its bare name T of those, with the mean of the pictures
    learnt from.

    Args:
        pictures: a folder, or CIFAR-10's batches.
        recipe: how; `ClassifierRecipe()` by default, `ClassifierRecipe.cifar()` for the original's.
        labels: where the pictures' classes are, as `lookalike.evaluate` has them; CIFAR-10 has its own.
        base: the network to begin with: `efficientnet-lite0`, or `keras:NETWORK`.
        out: folder of the model.
        resume: go on with a training that was stopped.
        overwrite: replace a model that is there already.
        progress: told of pictures read and of every epoch.

    Returns:
        What was reached. Its measures are, of each part, the `accuracy`; and of the part never seen P@5
        and mAP@100 of the recommended vector, before (`base_test_p5`, …) and after (`test_p5`, …).

    Raises:
        UsageError: there are too few classes or pictures, the recipe or the base can't be meant, or `out`
            holds something else.
        WeightsMissing: the base's weights can't be had.
        MissingExtra: Keras is not installed.
        ModelError: the training ran away, or nothing can be written.

    Example:
        >>> train_classifier("photos", ClassifierRecipe(epochs=10), out="my-classes")  # doctest: +SKIP
    """
    recipe = recipe or ClassifierRecipe()
    with Run(Path(out), recipe, progress, resume=resume, overwrite=overwrite) as run:
        found = dataset.collect(pictures, labels, limit=recipe.limit, seed=recipe.seed)
        found = _with_enough(found, recipe.fewest)
        with seeded(recipe.seed):
            start = open_base(base, side=recipe.size, raw=recipe.raw)
        start.from_layer(recipe.unfreeze)  # or it is said now that there is none
        pixels = dataset.load(found, start.card, run.pixels, progress=progress)
        _require_readable(found, pixels, recipe.fewest or _FEWEST)
        run.begin({"base": base, "data": pixels.digest})
        task = _Task(recipe, start, pixels, run.divide(pixels))
        with seeded(recipe.seed):
            network = _Network(task)
            fit(run, network.model, _stages(network), task.batches("train"), task.batches("validation"))
        after = network.features()
        reached = _measures(network, after)
        run.notes += [*found.notes, *_judged(reached)]
        record = run.record(pixels.digest, task.split, reached, root=found.root, base=base)
        card = replace(_card(network, run.folder.name, after["train"]), training=record)
        card = networks.export_model(run.folder, network.whole, card, pixels.array)
        return run.finished(card, task.split, reached, pixels.skipped)


class _Task:
    """Hold what is to be learned, and from what.

    names: of the classes, in order.
    numbers: ndarray of shape (n,), the class of each picture.
    """

    def __init__(self, recipe: ClassifierRecipe, base: Base, pixels: DecodedDataset, split: Split) -> None:
        self.recipe, self.base, self.pixels = recipe, base, pixels
        self.split = split
        self.names = sorted({str(label) for label in pixels.labels})
        order = {name: number for number, name in enumerate(self.names)}
        self.numbers = np.array([order[str(label)] for label in pixels.labels], np.intp)
        self._rows = {part: rows_of(pixels, split, part) for part in PARTS}

    def batches(self, part: Part) -> Batches:
        """Return the pictures of a part with their classes; those to learn from in random order."""
        targets = np.eye(len(self.names), dtype=np.float32)[self.numbers]  # (n, classes)
        seed = self.recipe.seed if part == "train" else None
        return Batches(self.pixels.array, targets, self._rows[part], batch=self.recipe.batch, seed=seed)

    def looked_at(self, part: Part) -> list[int]:
        """Return the rows of a part that means and measures are taken over."""
        rows = self._rows[part]
        return [rows[i] for i in np.linspace(0, len(rows) - 1, min(len(rows), _LOOKED_AT)).astype(int)]

    def features(self, network: Any, layer: str) -> dict[Part, Floats]:
        """Return a layer's output for the pictures looked at, (n, dim) for each part that has any."""
        rows = {part: self.looked_at(part) for part in PARTS if self._rows[part]}
        every = [row for of in rows.values() for row in of]
        made = networks.outputs(network, layer, self.base.card, self.pixels.array, every)
        ends = np.cumsum([len(of) for of in rows.values()])
        return dict(zip(rows, np.split(made, ends[:-1]), strict=True))


class _Network:
    """The network that is trained.

    before: what the base made of the pictures.
    whole: prepared pictures in, class scores out; base and head in one, as it is exported.
    model: pixels in, changed at random while they are learned from; the same layers.
    """

    def __init__(self, task: _Task) -> None:
        base, recipe = task.base, task.recipe
        self.task = task
        self.before = task.features(base.network, POOL)
        numbers = task.numbers[task.looked_at("train")]
        self._head = head_layers(recipe, self.before["train"], numbers, len(task.names))
        scores = through(self._head, base.network.outputs[0])
        self.whole = keras.Model(base.network.inputs[0], scores, name="classifier")
        picture = keras.Input(task.pixels.array.shape[1:], name="pixels")
        # A model of its own, or its operations could have the names of layers.
        preparation = keras.Model(picture, prepared(picture, base.card), name="preparation")
        seen = preparation(augmented(picture, recipe.augmentation, recipe.seed))
        self.model = keras.Model(picture, self.whole(seen), name="training")

    def features(self) -> dict[Part, Floats]:
        """Return the penultimate features of the pictures looked at, as the network is now."""
        return self.task.features(self.whole, features_layer(self.task.recipe))

    def scores(self, features: Floats) -> Floats:
        """Return class scores (n, classes) of penultimate features (n, dim)."""
        read = self._head[1:] if self.task.recipe.dense else self._head
        scores: Floats = np.asarray(through(read, features), np.float32)
        return scores


def _stages(network: _Network) -> list[TrainingStage]:
    """Return the head on the frozen base, then the upper part of the base with it."""
    recipe, base = network.task.recipe, network.task.base

    def head() -> None:
        base.freeze()
        _compile(network, keras.optimizers.RMSprop(recipe.head_rate))

    def top() -> None:
        base.unfreeze(recipe.unfreeze, norms=recipe.norms)
        steps = recipe.epochs * network.task.batches("train").num_batches
        rate = keras.optimizers.schedules.CosineDecay(recipe.rate, steps) if recipe.decay else recipe.rate
        _compile(network, keras.optimizers.SGD(rate, momentum=recipe.momentum))

    return [
        TrainingStage("head", recipe.head_epochs, head, recipe.patience),
        TrainingStage("top", recipe.epochs, top, recipe.patience),
    ]


def _compile(network: _Network, optimizer: Any) -> None:
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=network.task.recipe.smoothing)
    # XLA has not all of the operations that change pictures.
    network.model.compile(optimizer, loss=loss, metrics=["accuracy"], jit_compile=False)


def _measures(network: _Network, after: Mapping[Part, Floats]) -> dict[str, float]:
    """Return the accuracy on each part, and how well the part never seen is searched, by the base and now."""
    task = network.task
    found: dict[str, float] = {}
    for part, features in after.items():
        right = network.scores(features).argmax(axis=1) == task.numbers[task.looked_at(part)]
        found[f"{part}_accuracy"] = float(right.mean())
    if "test" in after:
        before, now = (
            vector_steps.apply(recommended(made["train"]), made["test"]) for made in (network.before, after)
        )
        names = [frozenset([task.names[number]]) for number in task.numbers[task.looked_at("test")]]
        found |= LabelTrials(before, "cosine", before, labels=names).gain(now)
    return found


def _judged(reached: Mapping[str, float]) -> list[str]:
    """Return a note, if search on pictures never seen has become worse."""
    before, after = reached.get("base_test_map100", 0.0), reached.get("test_map100", 0.0)
    if after >= before - _EQUAL:
        return []
    worse = (
        f"on pictures never seen, search is worse than by the base: mAP@100 {after:.3f}, before {before:.3f}"
    )
    return [f"{worse}; more pictures or a lower rate may help, and the class scores serve all the same"]


def _card(network: _Network, name: str, features: Floats) -> Card:
    """Return the trained network's card; features (n, dim) are those of the pictures learned from."""
    task = network.task
    base, names = task.base.card, tuple(task.names)
    shown = networks.described(base, network.whole)
    return replace(
        shown,
        name=name,
        features=features_layer(task.recipe),
        steps=recommended(features),
        metric="cosine",
        metrics={CLASSES: "euclidean"},
        scores=CLASSES,
        classes=Classes(names, names),
        top_classes=None,
        licence=f"{base.licence}; trained further on pictures of the user's own",
    )


def _with_enough(found: Dataset, fewest: int | None) -> Dataset:
    """Keep the pictures of classes that have enough of them.

    Raises:
        UsageError: there are fewer than two classes, or one has too few pictures.
    """
    counts = Counter(found.labels)
    least = fewest or _FEWEST
    few = {label: count for label, count in counts.items() if count < least}
    if few and fewest is None:
        raise UsageError(
            f"classes with too few pictures, {len(few):,} of {len(counts):,}: {_listed(few)}; a class needs "
            f"{least} or more: add some, or leave out such classes by fewest={least} "
            f"(--set fewest={least}); a limit may be too small for so many classes"
        )
    kept = [row for row, label in enumerate(found.labels) if label not in few]
    left = len(counts) - len(few)
    if left < 2:
        raise UsageError(
            f"only {left} of the classes in {found.root} has {least} pictures or more; expected at least two "
            f"to tell apart, and found {_listed(counts)}"
        )
    if not few:
        return found
    note = f"classes with fewer than {fewest} pictures were left out, {len(few):,} in all: {_listed(few)}"
    return replace(found.chosen(kept), notes=(*found.notes, note))


def _require_readable(found: Dataset, pixels: DecodedDataset, fewest: int) -> None:
    """Raise `UsageError` if too few pictures of a class can be read."""
    counts = Counter(pixels.labels)
    few = {label: counts[label] for label in dict.fromkeys(found.labels) if counts[label] < fewest}
    if few:
        reasons = "; ".join(f"{skip.path}: {skip.reason}" for skip in pixels.skipped[:_NAMED])
        raise UsageError(
            f"too few pictures can be read of the classes {_listed(few)}; a class needs {fewest} or more "
            f"({len(pixels.skipped):,} files can't be read: {reasons})"
        )


def _listed(few: Mapping[str | None, int]) -> str:
    some = [f"{label} ({count})" for label, count in list(few.items())[:_NAMED]]
    return ", ".join(some) + (", …" if len(few) > _NAMED else "")


CLASSES = "classes"
"""The layer of the class scores."""

VECTOR = "vector"
DENSE = "dense"

_NO_ROOT = 1e-6  # below it a number's root is no longer followed: its slope has no bound
_SHARPNESS = 12.0  # factor on vectors of unit length, or no score could come near 1


class Recommended(keras.layers.Layer):  # type: ignore[misc, name-defined]  # Keras has no types
    """Compute the recommended vector as a layer: classes are told by what a search compares.

    Args:
        mean: ndarray of shape (dim,), taken off the square roots at unit length.
        name: of the layer.
    """

    def __init__(self, mean: Floats, *, name: str) -> None:
        super().__init__(name=name)
        self._mean = mean

    def call(self, features: Any) -> Any:
        """Return vectors (n, dim) whose rows all have the same length."""
        size = keras.ops.abs(features)
        root = keras.ops.sign(features) * keras.ops.sqrt(keras.ops.maximum(size, _NO_ROOT))
        centred = keras.ops.normalize(root) - self._mean
        return _SHARPNESS * keras.ops.normalize(centred)


def head_layers(
    recipe: ClassifierRecipe, features: Floats, numbers: NDArray[np.intp], count: int
) -> list[Any]:
    """Return the layers of a head, each fed by the one before.

    Without a dense layer a class is a direction, and its score grows with the cosine of the recommended
    vector and that; it begins as the mean of its pictures (Qi, Brown and Lowe, "Low-Shot Learning with
    Imprinted Weights", 2018).

    Args:
        recipe: the training's.
        features: ndarray of shape (n, dim), of the base, of the pictures that are learned from.
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
    """Return the layer of the penultimate features."""
    return DENSE if recipe.dense else POOL


def through(layers: Sequence[Any], x: Any) -> Any:
    """Apply layers to a tensor, one after the other; nothing is dropped out."""
    for layer in layers:
        x = layer(x)
    return x


def recommended(features: Floats) -> tuple[Step, ...]:
    """Return the steps of the recommended vector with the mean of these pictures.

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
    """Return the mean of each class's vectors at unit length, (count, dim); zeros where it has none."""
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, numbers, vectors)
    return Normalise().apply(sums)

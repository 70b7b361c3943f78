"""Train a ranker through the network: the pairwise loss with its gradient through the upper layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation import measures
from lookalike.evaluation.folder import PictureFolder
from lookalike.evaluation.splits import PARTS, Split, split
from lookalike.extractors import DEFAULT
from lookalike.extractors import steps as vector_steps
from lookalike.extractors.keras import export
from lookalike.extractors.steps import Centre, Normalise, Power
from lookalike.training import Augmentation, TrainingRecipe, classifier, dataset, networks
from lookalike.training.fitting import fit, seeded
from lookalike.training.networks import POOL, Shuffled, augmented, open_base, prepared
from lookalike.training.ranker import COLUMNS, PairExamples, table_of
from lookalike.training.recipes import require
from lookalike.training.run import Run, TrainingStage, rows_of
from lookalike.training.trials import LabelTrials, PairTrials

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.labels import LabelsLike
    from lookalike.evaluation.splits import Part
    from lookalike.extractors.cards import Card
    from lookalike.extractors.steps import Step
    from lookalike.training import Trained
    from lookalike.training.dataset import Dataset, DecodedDataset
    from lookalike.training.networks import Base
    from lookalike.training.run import OnProgress
    from lookalike.types import Floats

    Rows: TypeAlias = NDArray[np.intp]
    Draw: TypeAlias = Callable[[np.random.Generator, Rows], Rows]

__all__ = ["DeepRankerRecipe", "train_deep_ranker"]

keras = export.keras()  # says what is missing

_LEAST = 1e-6  # below it the slope of a root, or of a unit length, has no bound
_EQUAL = 0.005  # of a measure: less is chance
_HARDEST = 40
"""Worse pictures are drawn from so many of other labels that score highest before the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepRankerRecipe(TrainingRecipe):
    """Hold what can be chosen of a training by the pairwise loss through the upper layers of a network."""

    kind: ClassVar[str] = "deep-ranker"

    size: int | None = None  # pixels on a side; None for the base's own
    epochs: int = 8  # at most
    rate: float = 1e-4  # of Adam at its start
    unfreeze: int | str | None = None  # layer, or its number, from which on the base learns; None: its top
    batch: int = 16  # triples of query, better and worse a step
    patience: int = 3  # epochs without a better validation after which it ends
    temperature: float = 10.0  # factor on differences of scores
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        require(self.temperature > 0, f"temperature is {self.temperature}; expected a number above 0")


def train_deep_ranker(
    pictures: str | os.PathLike[str],
    recipe: DeepRankerRecipe | None = None,
    *,
    labels: LabelsLike = "folder",
    base: str = DEFAULT,
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> Trained:
    """Train the upper layers of a network so that pictures of the same label score higher, and write it.

    One network sees a query, a better and a worse picture; what it puts out is how much higher the better
    one scores, by the cosine of the recommended vectors. `train_ranker` gains more in less time wherever
    it was compared (benches/ranker.py).

    Args:
        pictures: a folder, or CIFAR-10's batches.
        recipe: how; `DeepRankerRecipe()` by default.
        labels: where labels are, or a table of pairs, as for `train_ranker`; a picture with several labels is
            left out.
        base: the network to begin with: `efficientnet-lite0`, or `keras:NETWORK`.
        out: folder of the model.
        resume: go on with a training that was stopped.
        overwrite: replace a model that is there already.
        progress: told of pictures read and of every epoch.

    Returns:
        What was reached on the part never seen, with `base_…` before: `test_p5` and `test_map100`, or of
        pairs `test_right`, the share in the right order.

    Raises:
        UsageError: there are too few labels, pictures or pairs, or `out` holds something else.
        WeightsMissing: the base's weights can't be had.
        MissingExtra: Keras is not installed.
        ModelError: the training ran away, or nothing can be written.

    Example:
        >>> train_deep_ranker("photos", labels="folder", out="my-deep-ranker")  # doctest: +SKIP
    """
    recipe = recipe or DeepRankerRecipe()
    with Run(Path(out), recipe, progress, resume=resume, overwrite=overwrite) as run:
        found, given = _given(pictures, labels, recipe)
        with seeded(recipe.seed):
            start = open_base(base, side=recipe.size)
        upper = start.from_layer(recipe.unfreeze)
        pixels = dataset.load(found, start.card, run.pixels, progress=progress)
        run.begin({"base": base, "data": pixels.digest})
        task = _Task(recipe, start, pixels, *_divided(run, pixels, given))
        task.require_enough()
        with seeded(recipe.seed):
            model = task.model()
            fit(run, model, [task.stage(model, upper)], task.batches("train"), task.batches("validation"))
        reached = task.reached()
        run.notes += [*found.notes, *_judged(reached)]
        record = run.record(pixels.digest, task.split, reached, root=found.root, base=base)
        card = replace(task.card(run.folder.name), training=record)
        card = networks.export_model(run.folder, start.network, card, pixels.array)
        return run.finished(card, task.split, reached, pixels.skipped)


@dataclass(frozen=True, slots=True)
class _Vector:
    """The recommended vector in the operations of Keras, so that a gradient goes through it.

    steps: powers, unit lengths and centres.
    """

    steps: tuple[Step, ...]

    def __call__(self, features: Any) -> Any:
        """(n, dim) stays."""
        ops = keras.ops
        for step in self.steps:
            if isinstance(step, Power):
                features = ops.sign(features) * ops.power(
                    ops.maximum(ops.abs(features), _LEAST), step.exponent
                )
            elif isinstance(step, Centre):
                features = features - step.mean
            elif isinstance(step, Normalise):
                features = ops.normalize(features, axis=-1, epsilon=_LEAST)
        return features


class _Task:
    """What is to be learnt, and from what; the network of the base is changed in place."""

    def __init__(
        self, recipe: DeepRankerRecipe, base: Base, pixels: DecodedDataset, split: Split, triples: Rows | None
    ) -> None:
        self.recipe, self.base, self.pixels, self.split, self.triples = recipe, base, pixels, split, triples
        self.rows = {part: np.array(rows_of(pixels, split, part), np.intp) for part in PARTS}
        self.before = self._features()
        own = base.card.steps
        followed = bool(own) and all(isinstance(step, Power | Normalise | Centre) for step in own)
        self.steps = own if followed else classifier.recommended(self.before[self.rows["train"]])

    def require_enough(self) -> None:
        """Raise `UsageError` if there is no triple to learn from."""
        if not self.batches("train").num_batches:
            raise UsageError(
                f"of {len(self.rows['train']):,} pictures to learn from no three are a query, a better and a "
                "worse answer; expected more pictures of a label, or smaller shares for test and validation"
            )

    def vectors(self, features: Floats) -> Floats:
        """The recommended vectors of features (n, dim)."""
        return vector_steps.apply(self.steps, features)

    def model(self) -> Any:
        """Pixels of query, better and worse in; how much higher the better one scores out, (n, 1)."""
        inputs = [keras.Input(self.pixels.array.shape[1:], name=name) for name in COLUMNS]
        pixels = keras.ops.concatenate(inputs, axis=0)  # so that the network is run once
        changed = prepared(augmented(pixels, self.recipe.augmentation, self.recipe.seed), self.base.card)
        vectors = _Vector(self.steps)(self.base.network(changed))
        query, better, worse = keras.ops.split(vectors, 3, axis=0)
        apart = keras.ops.sum(query * (better - worse), axis=-1, keepdims=True)
        return keras.Model(inputs, self.recipe.temperature * apart, name="ranking")

    def stage(self, model: Any, upper: list[Any]) -> TrainingStage:
        """The upper layers learn, batch norms apart."""
        recipe = self.recipe

        def compile_() -> None:
            chosen = {id(layer) for layer in upper}
            for layer in self.base.network.layers:
                is_norm = isinstance(layer, keras.layers.BatchNormalization)
                layer.trainable = id(layer) in chosen and not is_norm
            steps = max(1, recipe.epochs * self.batches("train").num_batches)
            rate = keras.optimizers.schedules.CosineDecay(recipe.rate, steps)
            # Of a triple that is in the right order, it is the softplus of minus how far it is apart.
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            right = keras.metrics.BinaryAccuracy("right", threshold=0.0)
            model.compile(keras.optimizers.Adam(rate), loss=loss, metrics=[right], jit_compile=False)

        return TrainingStage("ranking", recipe.epochs, compile_, recipe.patience)

    def batches(self, part: Part) -> TripleBatches:
        """The triples of a part; those to learn from are drawn anew in every epoch."""
        make = partial(
            TripleBatches,
            self.pixels.array,
            batch=self.recipe.batch,
            seed=self.recipe.seed,
            fixed=part != "train",
        )
        if self.triples is not None:
            rows = np.flatnonzero(np.isin(self.triples[:, 0], self.rows[part]))
            if part == "train":  # no query that is to be measured by is in them
                rows = rows[np.isin(self.triples[rows], self.rows["train"]).all(axis=1)]
            return make(OfTable(self.triples), rows)
        among = (
            self.rows["train"] if part == "train" else np.concatenate([self.rows["train"], self.rows[part]])
        )
        draw = OfLabels(self.vectors(self.before), self.pixels.labels, among)
        return make(draw, draw.asking(self.rows[part]))

    def reached(self) -> dict[str, float]:
        """How the part never seen is searched, or its pairs are ordered, by the base and now."""
        before, after = self.vectors(self.before), self.vectors(self._features())
        tested = self.rows["test"]
        if self.triples is None:
            labels = [frozenset([str(self.pixels.labels[row])]) for row in tested]
            return LabelTrials(before[tested], "cosine", before[tested], labels=labels).gain(after[tested])
        order = self.triples[np.isin(self.triples[:, 0], tested)]
        return PairTrials(before, "cosine", before, order=order).gain(after)

    def card(self, name: str) -> Card:
        """What has to be known of the network as it is now."""
        base = replace(self.base.card, scores=None, classes=None, top_classes=None)
        return replace(
            networks.described(base, self.base.network),
            name=name,
            features=POOL,
            steps=self.steps,
            metric="cosine",
            licence=f"{base.licence}; trained further on pictures of the user's own",
        )

    def _features(self) -> Floats:
        """The pooled features of all pictures, as the network is now: (n, dim)."""
        array = self.pixels.array
        return networks.outputs(self.base.network, POOL, self.base.card, array, range(len(array)))


def _given(
    pictures: str | os.PathLike[str], labels: LabelsLike, recipe: DeepRankerRecipe
) -> tuple[Dataset, PairExamples | None]:
    """The pictures to read, with labels or with pairs.

    Raises:
        UsageError: they can't be read, or say too little.
    """
    table = table_of(labels)
    if table is None:
        found = dataset.collect(pictures, labels, limit=recipe.limit, seed=recipe.seed)
        shared = sum(count > 1 for count in Counter(found.labels).values())
        if shared < 2:
            raise UsageError(
                f"{found.root} has {shared} labels with more than one picture; expected two labels or more "
                "with several pictures each, so that there is something to rank"
            )
        return found, None
    place = PictureFolder.look(pictures)
    examples = PairExamples.find(place, table, recipe)
    found = dataset.collect(pictures)
    wanted = set(examples.ids)
    return found.chosen(row for row, id_ in enumerate(found.ids) if id_ in wanted), examples


def _divided(run: Run, pixels: DecodedDataset, given: PairExamples | None) -> tuple[Split, Rows | None]:
    """The split of the pictures, and the triples by their rows; where there are some, queries are divided."""
    if given is None:
        return run.divide(pixels), None
    triples = given.rows(pixels.ids)
    recipe = run.recipe
    queries = [pixels.ids[row] for row in np.unique(triples[:, 0])]
    drawn = split(queries, test=recipe.test, validation=recipe.validation, seed=recipe.seed).part_of
    return Split({id_: drawn.get(id_, "train") for id_ in pixels.ids}), triples


def _judged(reached: dict[str, float]) -> list[str]:
    """A word, if search on pictures never seen has become worse."""
    worse = [
        name
        for name, before in reached.items()
        if name.startswith("base_") and reached[name.removeprefix("base_")] < before - _EQUAL
    ]
    if not worse:
        return []
    said = f"on pictures never seen {worse[0].removeprefix('base_')} has become worse than the base's"
    return [f"{said}: use the base, or train a ranker without the network, which is checked"]


class OfLabels:
    """Draws a better picture of the query's label and a worse one of the hardest others.

    Args:
        vectors: as the base gives them, of unit length, ndarray of shape (n, dim).
        labels: n of them.
        among: the rows that answers are drawn from.
    """

    def __init__(self, vectors: Floats, labels: Sequence[Hashable], among: Rows) -> None:
        self._vectors = vectors
        self._alike = measures.Relevance(labels)
        self._among = among

    def asking(self, rows: Rows) -> Rows:
        """Those that there is a better and a worse answer for."""
        found = self._alike.between(rows, self._among)
        others = found & (rows[:, None] != self._among)
        asking: Rows = rows[others.any(1) & ~found.all(1)]
        return asking

    def __call__(self, random: np.random.Generator, rows: Rows) -> Rows:
        """A triple for each query: (rows, 3)."""
        right = self._alike.between(rows, self._among)
        scores = np.where(right, -np.inf, self._vectors[rows] @ self._vectors[self._among].T)
        right &= rows[:, None] != self._among
        better = np.where(right, random.random(right.shape), -1.0).argmax(1)
        hardest = np.argsort(-scores, axis=1)[:, :_HARDEST]
        possible = np.take_along_axis(scores, hardest, 1) > -np.inf
        chosen = np.where(possible, random.random(possible.shape), -1.0).argmax(1)
        worse = hardest[np.arange(len(rows)), chosen]
        return np.stack([rows, self._among[better], self._among[worse]], axis=1)


class OfTable:
    """Draws from triples that are given.

    Args:
        triples: rows of query, better and worse, ndarray of shape (t, 3).
    """

    def __init__(self, triples: Rows) -> None:
        self._triples = triples

    def __call__(self, random: np.random.Generator, rows: Rows) -> Rows:  # noqa: ARG002  # nothing by chance
        """The triples of these numbers: (rows, 3)."""
        return self._triples[rows]


class TripleBatches(Shuffled):
    """Triples in batches; what is drawn follows from the seed, the epoch and the query alone.

    Args:
        pictures: ndarray of shape (n, height, width, 3), uint8.
        draw: gives triples for some rows.
        rows: of what is drawn for.
        batch: triples at a time.
        seed: of the chance.
        fixed: whether every epoch has the same triples in the same order, to measure by.
    """

    def __init__(
        self,
        pictures: NDArray[np.uint8],
        draw: Draw,
        rows: Rows,
        *,
        batch: int,
        seed: int,
        fixed: bool = False,
    ) -> None:
        super().__init__(rows.tolist(), batch=batch, seed=None if fixed else seed)
        self._pictures = pictures
        self._draw = draw
        self._chance = seed
        self._fixed = fixed

    def take(self, rows: Rows) -> tuple[Any, Any]:
        """Pixels of queries, better and worse ones, each (rows, height, width, 3), and 1 for each triple."""
        epoch = 0 if self._fixed else self.epoch
        random = np.random.default_rng([self._chance, epoch, *rows[:1].tolist()])
        triples = self._draw(random, rows)
        pixels = tuple(self._pictures[triples[:, i]].astype(np.float32) for i in range(3))
        return pixels, np.ones((len(rows), 1), np.float32)

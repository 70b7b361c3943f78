"""Trials that a map is learned from and measured by: labels that pictures share, or pairs in an order.

Both hold vectors and questions about them, give the scatter and the triples of a map, and hold out parts of
themselves, so that one model selection judges either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeAlias

import numpy as np

from lookalike.evaluation import measures
from lookalike.evaluation.quality import similarity
from lookalike.extractors.steps import Centre, Normalise
from lookalike.extractors.steps import apply as applied
from lookalike.training import maps
from lookalike.training.maps import Scatter

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Self

    from numpy.typing import NDArray

    from lookalike.extractors.steps import Step
    from lookalike.training.maps import Descent, Draw, Reals, Rows
    from lookalike.types import Floats

    LabelSets: TypeAlias = Sequence[AbstractSet[Hashable]]
    Measure: TypeAlias = Callable[[Floats], Reals]

FOLDS = 5
DEPTH = 100

_MOST = 1500
"""Pictures that are looked at: the check of 1,500 takes some seconds, and is sure enough."""

_LEAST = 4  # pictures of a label that are looked at, if it has so many

_ONCE = 1000
"""Pictures from which on they are divided only once: there are queries enough."""

_BELIEVED = 40
"""Labels from which on what they have in common is believed."""

_TINY = 1e-12
_ROUNDED = 1e-3  # of numbers kept as float16


class Fold(NamedTuple):
    """Hold one division of trials: rows to learn from, and rows to ask with.

    learned, asked: ndarrays of rows.
    unseen: whether the labels of a row asked with are all held out, booleans.
    """

    learned: Rows
    asked: Rows
    unseen: NDArray[np.bool_]


class MeanGain(NamedTuple):
    """Hold means over queries of the measures of some trials.

    before: by the plain vectors.
    after: by the map.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Trials(ABC):
    """Hold vectors and what is known of which are alike.

    base: vectors as the base gives them, ndarray of shape (n, dim).
    metric: by which these are compared without a map.
    vectors: the same less what they have in common, at unit length, ndarray of shape (n, dim).
    first: the steps from the ones to the others.
    """

    parts: ClassVar[Mapping[str, bool]]
    """The names of what is measured on folds, each with whether it is of unseen labels."""

    names: ClassVar[tuple[str, ...]]
    """The names of the measures."""

    shares: ClassVar[tuple[float, ...]]
    """The shares of the directions between labels that a closed form may have."""

    base: Floats
    metric: str
    vectors: Floats
    first: tuple[Step, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def among(self, rows: Rows) -> Self:
        """Return the trials of some rows."""

    def sampled(self, seed: int) -> Self:  # noqa: ARG002  # pairs are few
        """Return as many trials as a check looks at."""
        return self

    @abstractmethod
    def folds(self, rounds: int, seed: int) -> Iterator[Fold]:
        """Hold out each fifth once a round; folds with nothing to learn from or to ask are left out."""

    @property
    @abstractmethod
    def kinds(self) -> Rows:
        """Return for each row the number of the label or query that it counts for."""

    @property
    def asking(self) -> Rows:
        """Return the rows that there is something to find for."""
        return np.arange(len(self))

    @abstractmethod
    def scatter(self) -> Scatter:
        """Return how the vectors differ."""

    @abstractmethod
    def triples(self, vectors: Floats, descent: Descent) -> Draw:
        """Return a function that draws triples, the hardest by some vectors of the pictures, (n, dim)."""

    @abstractmethod
    def scores(self, vectors: Floats, rows: Rows, metric: str | None = None) -> Floats:
        """Return the scores of some rows, as `measure` takes them.

        Args:
            vectors: ndarray of shape (n, dim).
            rows: of those that ask.
            metric: by which vectors are compared, exactly; None for the products of vectors of unit length.
        """

    @abstractmethod
    def measure(self, rows: Rows) -> Measure:
        """Return a function from the scores of some rows to their measures, (rows, measures)."""

    def plain_scores(self, rows: Rows) -> Floats:
        """Return the scores of some rows without a map."""
        return self.scores(self.base, rows, self.metric)

    def gain(self, vectors: Floats, metric: str = "cosine") -> dict[str, float]:
        """Return what other vectors of the same pictures gain on all trials, as `test_…` and `base_test_…`.

        Args:
            vectors: ndarray of shape (n, dim).
            metric: by which these are compared.
        """
        rows = self.asking
        if not len(rows):
            return {}
        measure = self.measure(rows)
        before, after = (
            tuple(measure(scores).mean(0).tolist())
            for scores in (self.plain_scores(rows), self.scores(vectors, rows, metric))
        )
        return self.named({"test": MeanGain(before, after)})

    def named(self, gains: Mapping[str, MeanGain]) -> dict[str, float]:
        """Return gains as measures by name: `base_seen_p5`, `seen_p5`, …."""
        return {
            f"{prefix}{part}_{name}": value
            for part, gain in gains.items()
            for name, *values in zip(self.names, *gain, strict=True)
            for prefix, value in zip(("base_", ""), values, strict=True)
        }


@dataclass(frozen=True, eq=False)
class LabelTrials(Trials):
    """Pictures with labels: those that share one are to score higher.

    labels: those of each picture, at least one.
    groups: rows of pictures that are next to identical and are held out together.
    """

    parts: ClassVar[Mapping[str, bool]] = {"seen": False, "unseen": True}
    names: ClassVar[tuple[str, ...]] = ("p5", "map100")
    shares: ClassVar[tuple[float, ...]] = (0.1, 0.2, 0.3)

    labels: LabelSets = ()
    groups: Sequence[Sequence[int]] = field(default=(), repr=False)

    @classmethod
    def of(
        cls, base: Floats, metric: str, labels: LabelSets, groups: Sequence[Sequence[int]] = ()
    ) -> LabelTrials:
        """Return trials of pictures with their vectors centred; the arguments are the fields."""
        first, vectors = centred(base, _kinds(labels))
        return cls(base, metric, vectors, first, labels, groups)

    def __len__(self) -> int:
        return len(self.labels)

    def among(self, rows: Rows) -> LabelTrials:
        """See `Trials`."""
        labels = [self.labels[row] for row in rows]
        groups = within(self.groups, rows)
        return replace(self, base=self.base[rows], vectors=self.vectors[rows], labels=labels, groups=groups)

    def sampled(self, seed: int) -> LabelTrials:
        """See `Trials`."""
        return self.among(sample(self.labels, seed))

    def folds(self, rounds: int, seed: int) -> Iterator[Fold]:
        """See `Trials`."""
        for fold in label_folds(self.labels, self.groups, rounds if len(self) <= _ONCE else 1, seed):
            finds = np.isin(fold.asked, self.asking)
            if len(fold.learned) > 1 and finds.any():
                yield Fold(fold.learned, fold.asked[finds], fold.unseen[finds])

    @cached_property
    def kinds(self) -> Rows:
        """See `Trials`."""
        return _kinds(self.labels)

    @cached_property
    def asking(self) -> Rows:
        """See `Trials`."""
        return np.array([row for row in range(len(self)) if len(self._alike.of(row)) > 1], np.intp)

    @cached_property
    def _alike(self) -> measures.Relevance:
        return measures.Relevance([frozenset(several) for several in self.labels])

    def scatter(self) -> Scatter:
        """See `Trials`."""
        return Scatter.of_labels(self.vectors, self.labels)

    def triples(self, vectors: Floats, descent: Descent) -> Draw:
        """See `Trials`."""
        return maps.triples_of_labels(vectors, self.labels, descent)

    def scores(self, vectors: Floats, rows: Rows, metric: str | None = None) -> Floats:
        """Return the scores of some rows with all, (rows, n)."""
        return similarity(vectors[rows], vectors, metric) if metric else vectors[rows] @ vectors.T

    def measure(self, rows: Rows) -> Measure:
        """Return a function from scores to P@5 and AP@100 of each row, which leaves itself out."""
        itself = np.arange(len(rows)), rows
        relevant = self._alike.between(rows, np.arange(len(self)))
        relevant[itself] = False

        def measured(scores: Floats) -> Reals:
            scores = scores.copy()
            scores[itself] = -np.inf
            ranking = measures.rank(scores, relevant, min(DEPTH, len(self) - 1))
            precision = measures.precision_at(ranking.relevant, 5)
            average = measures.average_precision_at(
                ranking.relevant, ranking.total, DEPTH, found=ranking.found
            )
            return np.stack([precision, average], axis=1)

        return measured


@dataclass(frozen=True, eq=False)
class PairTrials(Trials):
    """Triples of a query, a better and a worse picture; a row is a triple.

    order: rows of query, better and worse, ndarray of shape (t, 3).
    """

    parts: ClassVar[Mapping[str, bool]] = {"pairs": False}
    names: ClassVar[tuple[str, ...]] = ("right",)
    shares: ClassVar[tuple[float, ...]] = (0.0,)

    order: Rows = field(default_factory=lambda: np.zeros((0, 3), np.intp))

    @classmethod
    def of(cls, base: Floats, metric: str, order: Rows) -> PairTrials:
        """Return trials of pictures with their vectors centred; the arguments are the fields."""
        first, vectors = centred(base, np.arange(len(base)))
        return cls(base, metric, vectors, first, order)

    def __len__(self) -> int:
        return len(self.order)

    def among(self, rows: Rows) -> PairTrials:
        """See `Trials`."""
        return replace(self, order=self.order[rows])

    def folds(self, rounds: int, seed: int) -> Iterator[Fold]:  # noqa: ARG002  # queries are held out once
        """Hold out a fifth of the queries at a time, with every triple that one of them is in."""
        queries = np.unique(self.order[:, 0])
        part = np.random.default_rng(seed).permutation(len(queries)) % FOLDS
        for held in range(FOLDS):
            asked = np.flatnonzero(part[self.kinds] == held)
            learned = np.flatnonzero(~np.isin(self.order, queries[part == held]).any(axis=1))
            if len(learned) and len(asked):
                yield Fold(learned, asked, np.zeros(len(asked), bool))

    @cached_property
    def kinds(self) -> Rows:
        """See `Trials`."""
        return np.unique(self.order[:, 0], return_inverse=True)[1]

    def scatter(self) -> Scatter:
        """Return how queries differ from their better pictures."""
        return Scatter.of_differences(self.vectors[self.order[:, 0]] - self.vectors[self.order[:, 1]])

    def triples(self, vectors: Floats, descent: Descent) -> Draw:  # noqa: ARG002  # they are given
        """See `Trials`."""
        return maps.triples_of_pairs(self.order, descent)

    def scores(self, vectors: Floats, rows: Rows, metric: str | None = None) -> Floats:
        """Return the scores of the better and the worse picture of each triple, (rows, 2)."""
        if metric is not None:
            triples = self.order[rows].tolist()
            return np.concatenate([similarity(vectors[[q]], vectors[pair], metric) for q, *pair in triples])
        query, better, worse = (vectors[self.order[rows, place]] for place in range(3))
        return np.stack([(query * better).sum(1), (query * worse).sum(1)], axis=1)

    def measure(self, rows: Rows) -> Measure:  # noqa: ARG002  # each triple by itself
        """Return a function from scores to 1 where the better picture scores higher, ½ where they tie."""
        return lambda scores: np.asarray((np.sign(scores[:, :1] - scores[:, 1:]) + 1) / 2, float)


def within(groups: Sequence[Sequence[int]], rows: Rows) -> list[list[int]]:
    """Return those parts of groups that lie among some rows, by their places there."""
    places = {row: place for place, row in enumerate(rows.tolist())}
    inside = [[places[row] for row in group if row in places] for group in groups]
    return [group for group in inside if len(group) > 1]


def sample(labels: LabelSets, seed: int, most: int = _MOST) -> Rows:
    """Return rows to look at, in ascending order: all, or of each label a share; of very many labels some."""
    if len(labels) <= most:
        return np.arange(len(labels))
    by_label: dict[Hashable, list[int]] = {}
    for row in np.random.default_rng(seed).permutation(len(labels)).tolist():
        by_label.setdefault(_first(labels[row]), []).append(row)
    share = most / len(labels)
    kept: list[int] = []
    for rows in by_label.values():  # in random order
        if len(kept) >= most:
            break
        kept += rows[: max(_LEAST, round(share * len(rows)))]
    return np.sort(np.array(kept, np.intp))


def label_folds(labels: LabelSets, groups: Sequence[Sequence[int]], rounds: int, seed: int) -> Iterator[Fold]:
    """Hold out a fifth of the labels at a time, and with it a fifth of the pictures of all others.

    So in each round each label is once one that was never seen, and each picture once one that was never seen
    of a label that was.

    Args:
        labels: those of each picture.
        groups: rows of pictures that are held out together.
        rounds: how often pictures and labels are divided anew.
        seed: of the divisions.
    """
    random = np.random.default_rng(seed)
    names = list(dict.fromkeys(label for several in labels for label in sorted(several, key=str)))
    leader = np.arange(len(labels))
    for group in groups:
        leader[list(group)] = min(group)
    for _ in range(rounds):
        order = random.permutation(len(names)) % min(FOLDS, len(names))
        label_part = dict(zip(names, order.tolist(), strict=True))
        part = _dealt(labels, leader, random)
        parts_of = [{label_part[label] for label in several} for several in labels]
        for held in range(FOLDS):
            touched = np.array([held in parts for parts in parts_of], bool)
            unseen = np.array([parts == {held} for parts in parts_of], bool)
            asked = np.flatnonzero(unseen | ((part == held) & ~touched))
            # One of a group may have another label.
            learned = ~touched & (part != held) & ~np.isin(leader, leader[asked])
            yield Fold(np.flatnonzero(learned), asked, unseen[asked])


def _dealt(labels: LabelSets, leader: Rows, random: np.random.Generator) -> Rows:
    """Return a part for each picture, that of its group's leader, all equally often within a label."""
    units: dict[Hashable, list[int]] = {}
    for row in random.permutation(np.unique(leader)).tolist():
        units.setdefault(_first(labels[row]), []).append(row)
    part = np.zeros(len(labels), np.intp)
    for rows in units.values():
        part[rows] = (np.arange(len(rows)) + random.integers(FOLDS)) % FOLDS
    return np.asarray(part[leader])


def centred(vectors: Floats, kinds: Rows) -> tuple[tuple[Step, ...], Floats]:
    """Return the steps to vectors at unit length, less what they have in common, and these vectors.

    What all pictures have in common says nothing of which are alike. Three labels, however, have in common
    what others have not, and less of that they would be lost among those, which no check sees. So the mean is
    taken over labels, and shrunk by how little they tell it from zero (James and Stein, "Estimation with
    quadratic loss", 1961), and the more the fewer they are.

    Args:
        vectors: ndarray of shape (n, dim).
        kinds: of each picture its label as a number, ndarray of shape (n,).
    """
    unit = Normalise().apply(vectors)
    _, place, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), unit.shape[1]))
    np.add.at(means, place, unit / counts[place, None])  # (kinds, dim)
    mean = means.mean(axis=0)
    doubt = ((means - mean) ** 2).sum() / max(len(means) - 1, 1) / len(means)  # the variance of the mean
    sure = min(1.0, len(means) / _BELIEVED) * max(0.0, 1 - doubt / max(float(mean @ mean), _TINY))
    first: tuple[Step, ...] = (Centre((sure * mean).astype(np.float32)), Normalise())
    if not np.allclose(vectors, unit, atol=_ROUNDED):
        first = (Normalise(), *first)
    return first, applied(first, vectors)


def _kinds(labels: LabelSets) -> Rows:
    """Return the first label of each picture as a number, ndarray of shape (n,)."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(_first(several), len(known)) for several in labels], np.intp)


def _first(several: AbstractSet[Hashable]) -> Hashable:
    return min(several, key=str)

"""Learn linear maps of vectors: in closed form from scatters, and by descent of a pairwise loss.

The closed form comes from how vectors differ within labels and between them. With the scatter within labels
Sw and between them Sb, both (dim, dim):

    S = s Sw + (1 - s) (tr Sw / dim) I,   W = S^-1/2
    W Sb W has eigenpairs (l, U),         A = W U sqrt(l / (l + 1))
    vector = [sqrt(1 - b) norm(z W), sqrt(b) norm(z A)], at unit length

W makes differences within labels count less, as far as the share s trusts them, and knows nothing of which
labels there are; A looks along the few directions in which these labels differ, as linear discriminant
analysis does (Fisher, "The use of multiple measurements in taxonomic problems", 1936; Ioffe, "Probabilistic
linear discriminant analysis", 2006, for the factor). A alone would find labels it has seen still better, and
all others worse; hence its small share b, smaller where labels or their pictures are few.

The pairwise loss asks that for a query the better picture scores higher than the worse one. With the score f
of a query q and a picture i, a triple of query, better i and worse j costs

    log(1 + exp(-t (f(q, i) - f(q, j))))

as in Burges et al., "Learning to rank using gradient descent", 2005. Here f is the cosine of x (I + U V^T),
where x is what W of the closed form makes of a vector; U V^T has a low rank and its size costs, too, so that
what is learned stays near W. Begun at no W and free to go, the same loss knows the labels it has seen by
heart and harms all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike.evaluation import measures
from lookalike.extractors.steps import Concat, Linear, Normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from lookalike.extractors.steps import Step
    from lookalike.types import Floats

    Doubles: TypeAlias = NDArray[np.float64]
    Rows: TypeAlias = NDArray[np.intp]
    Reals: TypeAlias = NDArray[np.floating]
    Draw: TypeAlias = Callable[[np.random.Generator], "Triples"]

_MANY_LABELS, _MANY_PICTURES = 40, 10
"""From so many labels on, and so many pictures of each, the directions between them have their full share."""

_NOTHING = 1e-9  # an eigenvalue is none that is so much smaller than the largest


class Strength(NamedTuple):
    """Hold how much of what was learned is believed.

    within: s above, the share of the scatter within labels in S.
    between: b above, for forty labels of ten pictures and more.
    """

    within: float
    between: float


@dataclass(frozen=True, slots=True, eq=False)
class Scatter:
    """Hold how vectors differ within labels, and between them.

    axes: the eigenvectors of Sw as columns, ndarray of shape (dim, rank).
    sizes: their eigenvalues, ndarray of shape (rank,).
    between: ndarray of shape (labels, dim); Sb is its transpose times itself.
    pictures: of each label, on the mean.
    """

    axes: Doubles
    sizes: Doubles
    between: Doubles
    pictures: float = 0.0

    @classmethod
    def of_labels(cls, vectors: Floats, labels: Sequence[AbstractSet[Hashable]]) -> Scatter:
        """Return the scatter of labelled pictures; one with several labels counts for each in part.

        Args:
            vectors: ndarray of shape (n, dim).
            labels: those of each picture; pictures without are left out.
        """
        # A set has another order in every process, and sums would differ in their last digits.
        ordered = [sorted(several, key=str) for several in labels]
        names = dict.fromkeys(label for several in ordered for label in several)
        numbers = {name: place for place, name in enumerate(names)}
        memberships = [
            (row, numbers[label], 1 / len(several))
            for row, several in enumerate(ordered)
            for label in several
        ]
        row, number, weight = (np.array(each) for each in zip(*memberships, strict=True))
        weight = weight / weight.sum()  # (memberships,)
        members = vectors[row].astype(np.float64)  # (memberships, dim)
        shares = np.bincount(number, weight, len(numbers))  # (labels,)
        sums = np.zeros((len(numbers), vectors.shape[1]))
        np.add.at(sums, number, members * weight[:, None])
        means = sums / shares[:, None]  # (labels, dim)
        within = (members - means[number]) * np.sqrt(weight)[:, None]
        between = (means - sums.sum(0)) * np.sqrt(shares)[:, None]
        return cls(*_principal(within), between, len(row) / len(numbers))

    @classmethod
    def of_differences(cls, differences: Floats) -> Scatter:
        """Return the scatter of pictures that belong together, each given less the other: (n, dim)."""
        within = differences.astype(np.float64) / np.sqrt(2 * len(differences))
        return cls(*_principal(within), np.zeros((1, differences.shape[1])))

    def share(self, between: float) -> float:
        """Return b: what is left of it where labels or their pictures are few."""
        return between * min(1.0, len(self.between) / _MANY_LABELS) * min(1.0, self.pictures / _MANY_PICTURES)

    def map(self, strength: Strength) -> Map:
        """Return the map of this scatter."""
        # What S has in every direction. W is determined but for a factor, which unit length takes away:
        # it is 1 where nothing is known of Sw.
        rest = (1 - strength.within) * self.sizes.sum() / len(self.axes)
        factors = 1 / np.sqrt(1 + strength.within * self.sizes / rest)  # (rank,)
        pulled = _stretched(self.between, self.axes, factors)  # (labels, dim)
        axes, roots = _principal(pulled)
        # l of the formula is a root over the same factor: infinite where nothing differs within labels.
        weighted = axes * np.sqrt(roots / (roots + rest))  # (dim, directions)
        directions = _stretched(weighted.T, self.axes, factors).T
        return Map(self.axes, factors, directions, self.share(strength.between) if len(roots) else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """Hold what is made of a scatter: W, and beside it A with its share b.

    axes, factors: W stretches along each of these directions by its factor, and leaves all others:
        ndarrays of shape (dim, rank) and (rank,).
    directions: A, ndarray of shape (dim, directions).
    share: b.
    """

    axes: Doubles
    factors: Doubles
    directions: Doubles
    share: float

    @property
    def matrix(self) -> Doubles:
        """Return W, ndarray of shape (dim, dim), symmetric."""
        matrix: Doubles = np.eye(len(self.axes)) + (self.axes * (self.factors - 1)) @ self.axes.T
        return matrix

    def within(self, vectors: Floats) -> Floats:
        """Return vectors (n, dim) times W, at unit length; faster than by `matrix` if the rank is low."""
        axes, factors = self.axes.astype(np.float32), self.factors.astype(np.float32)
        return Normalise().apply(_stretched(vectors, axes, factors))

    def between(self, vectors: Floats) -> Floats:
        """Return vectors (n, dim) times A, at unit length: (n, directions)."""
        return Normalise().apply(vectors @ self.directions.astype(np.float32))

    def followed(self, factors: Factors) -> tuple[Step, ...]:
        """Return W followed by I + U V^T as steps of a card."""
        moved = self.matrix + (self.matrix @ factors.down) @ factors.up.T
        return (Linear(moved.astype(np.float32)), Normalise())

    def steps(self) -> tuple[Step, ...]:
        """Return the map as steps of a card, from vectors (dim,) to vectors of unit length."""
        plain = (Linear(self.matrix.astype(np.float32)), Normalise())
        if not self.share:
            return plain
        along = (Linear(self.directions.astype(np.float32)), Normalise())
        weights = (float(np.sqrt(1 - self.share)), float(np.sqrt(self.share)))
        return (Concat((plain, along), weights), Normalise())


def _principal(rows: Doubles) -> tuple[Doubles, Doubles]:
    """Return eigenvectors (dim, rank) and eigenvalues (rank,) of rows.T @ rows."""
    few = len(rows) < rows.shape[1]
    sizes, turned = np.linalg.eigh(rows @ rows.T if few else rows.T @ rows)
    kept = sizes > _NOTHING * max(sizes[-1], _NOTHING)  # of vectors of unit length
    sizes, turned = sizes[kept], turned[:, kept]
    return (rows.T @ (turned / np.sqrt(sizes)) if few else turned), sizes


def _stretched(rows: NDArray[Any], axes: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
    """Return rows (n, dim) times the symmetric matrix that stretches along axes and nowhere else."""
    stretched: NDArray[Any] = rows + ((rows @ axes) * (factors - 1)) @ axes.T
    return stretched


_POOL = 2000
"""Pictures among which positives and negatives of a step are looked for."""

_DECAY = (0.9, 0.999)  # of Adam
_TINY = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """Hold how the loss is made small; measured by benches/ranker.py."""

    rank: int = 32  # of U V^T
    held: float = 0.03  # what the square of its size costs
    temperature: float = 10.0  # factor on differences of scores
    rate: float = 3e-3  # of Adam at its start; it falls to a tenth
    steps: int = 120
    queries: int = 64  # a step
    better: int = 2  # pictures of its label a query
    worse: int = 10  # pictures of other labels a query …
    hardest: int = 40  # … out of those so many that W scores highest


class Triples(NamedTuple):
    """Hold queries with a better and a worse picture each.

    asking: the rows of the queries, ndarray of shape (q,), each once.
    query: which of them each triple is of, ndarray of shape (t,).
    better, worse: rows, ndarrays of shape (t,).
    """

    asking: Rows
    query: Rows
    better: Rows
    worse: Rows


class Factors(NamedTuple):
    """Hold U and V, ndarrays of shape (dim, rank), or the gradient of the loss by them."""

    down: Reals
    up: Reals


def loss(
    vectors: Reals, triples: Triples, factors: Factors, *, temperature: float, held: float
) -> tuple[float, Factors]:
    """Return the mean loss of triples and the cost of the size of U V^T, with the gradient of both.

    Args:
        vectors: of unit length, ndarray of shape (n, dim).
        triples: of rows of these.
        factors: U and V.
        temperature: the factor on differences of scores.
        held: what the square of the size of U V^T costs.
    """
    rows, place = np.unique(
        np.concatenate([triples.asking, triples.better, triples.worse]), return_inverse=True
    )
    asking, better, worse = np.split(place, [len(triples.asking), len(triples.asking) + len(triples.better)])
    x = vectors[rows]  # (r, dim)
    low = x @ factors.down  # (r, rank)
    moved = x + low @ factors.up.T
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    unit = moved / length
    scores = unit[asking] @ unit.T  # (q, r)
    apart = temperature * (scores[triples.query, better] - scores[triples.query, worse])  # (t,)
    pull = (-temperature / len(apart) / (1 + np.exp(apart))).astype(x.dtype)  # of the loss by each difference
    by_score = np.zeros_like(scores)  # (q, r)
    np.add.at(by_score, (triples.query, better), pull)
    np.subtract.at(by_score, (triples.query, worse), pull)
    by_unit = by_score.T @ unit[asking]  # (r, dim)
    by_unit[asking] += by_score @ unit
    by_moved = (by_unit - unit * (by_unit * unit).sum(1, keepdims=True)) / length
    inner_down, inner_up = factors.down.T @ factors.down, factors.up.T @ factors.up  # (rank, rank)
    value = float(np.logaddexp(0, -apart).mean() + held * (inner_down * inner_up).sum())
    return value, Factors(
        x.T @ (by_moved @ factors.up) + 2 * held * factors.down @ inner_up,
        by_moved.T @ low + 2 * held * factors.up @ inner_down,
    )


def descend(vectors: Floats, draw: Draw, descent: Descent, seed: int) -> Factors:
    """Return U and V that make the loss small, by Adam (Kingma and Ba, 2015).

    Args:
        vectors: of unit length, ndarray of shape (n, dim).
        draw: gives the triples of a step.
        descent: how.
        seed: of all chance.
    """
    random = np.random.default_rng(seed)
    dim = vectors.shape[1]
    # V begins at zero, and so U V^T does; U must not, or neither would ever change.
    down = (random.standard_normal((dim, descent.rank)) / np.sqrt(dim)).astype(np.float32)
    factors = Factors(down, np.zeros_like(down))
    means = [np.zeros_like(each) for each in factors]
    squares = [np.zeros_like(each) for each in factors]
    for step in range(1, descent.steps + 1):
        triples = draw(random)
        _, gradient = loss(vectors, triples, factors, temperature=descent.temperature, held=descent.held)
        rate = descent.rate * (1 - 0.9 * (step - 1) / descent.steps)
        for value, slope, mean, square in zip(factors, gradient, means, squares, strict=True):
            mean += (1 - _DECAY[0]) * (slope - mean)  # noqa: PLW2901  # in place
            square += (1 - _DECAY[1]) * (slope**2 - square)  # noqa: PLW2901  # in place
            size = np.sqrt(square / (1 - _DECAY[1] ** step)) + _TINY
            value -= (rate / (1 - _DECAY[0] ** step) * mean / size).astype(np.float32)  # noqa: PLW2901
    return factors


def triples_of_labels(vectors: Floats, labels: Sequence[AbstractSet[Hashable]], descent: Descent) -> Draw:
    """Return a function that draws triples: better is what shares a label, worse is of the hardest others.

    Args:
        vectors: as W makes them, of unit length, ndarray of shape (n, dim).
        labels: those of each picture.
        descent: how many.
    """
    alike = measures.Relevance([frozenset(of) for of in labels])
    labelled = np.array([row for row, of in enumerate(labels) if of], np.intp)

    def draw(random: np.random.Generator) -> Triples:
        pool = random.permutation(labelled)[:_POOL]
        asked = np.arange(min(descent.queries, len(pool)))
        same = alike.between(pool[asked], pool)  # (q, p), the pool's first are the queries
        scores = np.where(same, -np.inf, vectors[pool[asked]] @ vectors[pool].T)
        same[asked, asked] = False
        asked = asked[same.any(1) & (scores > -np.inf).any(1)]
        better = _chosen(np.where(same[asked], random.random(same[asked].shape), -np.inf), descent.better)
        hard = _chosen(scores[asked], descent.hardest)
        chance = np.where(hard >= 0, random.random(hard.shape), -np.inf)
        worse = np.take_along_axis(hard, _chosen(chance, descent.worse, kept=True), 1)
        query, b, w = np.nonzero((better >= 0)[:, :, None] & (worse >= 0)[:, None])
        return Triples(pool[asked], query, pool[better[query, b]], pool[worse[query, w]])

    return draw


def triples_of_pairs(triples: Rows, descent: Descent) -> Draw:
    """Return a function that draws the triples of a step out of given ones.

    Args:
        triples: rows of query, better and worse, ndarray of shape (t, 3).
        descent: how many.
    """
    return partial(_drawn, triples=triples, count=descent.queries * descent.better * descent.worse)


def _drawn(random: np.random.Generator, *, triples: Rows, count: int) -> Triples:
    chosen = triples[random.permutation(len(triples))[:count]]
    asking, query = np.unique(chosen[:, 0], return_inverse=True)
    return Triples(asking, query, chosen[:, 1], chosen[:, 2])


def _chosen(values: Reals, count: int, *, kept: bool = False) -> Rows:
    """Return the places of the largest values of each row, (q, count); -1 for −∞, unless kept."""
    count = min(count, values.shape[1])
    places = np.argpartition(-values, count - 1, axis=1)[:, :count]
    if kept:
        return places
    return np.where(np.take_along_axis(values, places, 1) > -np.inf, places, -1)

"""The pairwise loss: for a query, the better picture has to score higher than the worse one.

With the score f of a query q and a picture i, a triple of query, better i and worse j costs

    log(1 + exp(-t (f(q, i) - f(q, j))))

as in Burges et al., "Learning to rank using gradient descent", 2005. Here f is the cosine of
x (I + U V^T), where x is what W of the closed form makes of a vector; U V^T has a low rank and its size
costs, too, so that what is learnt stays near W. Begun at no W and free to go, the same loss knows the
labels it has seen by heart and harms all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.evaluation import measures
from lookalike.extractors.steps import Linear, Normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from lookalike.extractors.steps import Step
    from lookalike.types import Floats

    Rows = NDArray[np.intp]
    Reals = NDArray[np.floating]

_POOL = 2000
"""Pictures among which positives and negatives of a step are looked for."""

_DECAY = (0.9, 0.999)  # of Adam
_TINY = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How the loss is made small; measured by benches/ranker.py."""

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
    """Queries with a better and a worse picture each.

    asking: the rows of the queries, ndarray of shape (q,), each once.
    query: which of them each triple is of, ndarray of shape (t,).
    better, worse: rows, ndarrays of shape (t,).
    """

    asking: Rows
    query: Rows
    better: Rows
    worse: Rows


class Factors(NamedTuple):
    """U and V, ndarrays of shape (dim, rank), or what the loss changes by as they do."""

    down: Reals
    up: Reals


def loss(
    vectors: Reals, triples: Triples, factors: Factors, *, temperature: float, held: float
) -> tuple[float, Factors]:
    """The mean loss of triples and what is to pay for the size of U V^T, with the gradient of both.

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


def descend(
    vectors: Floats, draw: Callable[[np.random.Generator], Triples], descent: Descent, seed: int
) -> Factors:
    """U and V that make the loss small, by Adam (Kingma and Ba, 2015).

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


def drawing(
    vectors: Floats, labels: Sequence[AbstractSet[Hashable]], descent: Descent
) -> Callable[[np.random.Generator], Triples]:
    """Triples of labelled pictures: better is what shares a label, worse is of the hardest others.

    Args:
        vectors: as W makes them, of unit length, ndarray of shape (n, dim).
        labels: of each picture its labels.
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


def steps(matrix: Reals, factors: Factors) -> tuple[Step, ...]:
    """What was learnt as steps of a card.

    Args:
        matrix: W, ndarray of shape (dim, dim).
        factors: U and V.
    """
    moved = matrix + (matrix @ factors.down) @ factors.up.T
    return (Linear(moved.astype(np.float32)), Normalise())


def _chosen(values: Reals, count: int, *, kept: bool = False) -> Rows:
    """The places of the largest values of each row, (q, count); -1 for those that are −∞, unless kept."""
    count = min(count, values.shape[1])
    places = np.argpartition(-values, count - 1, axis=1)[:, :count]
    if kept:
        return places
    return np.where(np.take_along_axis(values, places, 1) > -np.inf, places, -1)

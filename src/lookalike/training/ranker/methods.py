"""The ways to learn a map, each with what of it can be chosen: what the check chooses from."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np

from lookalike.extractors.steps import Normalise
from lookalike.training.ranker import pairwise
from lookalike.training.ranker.closed import Scatter, Strength
from lookalike.training.ranker.pairwise import Descent, Triples

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from lookalike.extractors.steps import Step
    from lookalike.types import Floats

    Rows: TypeAlias = NDArray[np.intp]

WITHIN = (0.02, 0.05, 0.1, 0.2)
BETWEEN = (0.1, 0.2, 0.3)
_GENTLE = 0.1  # the share of the scatter within labels from which the pairwise loss sets out
HELD = (0.03,)


class Way(Protocol):
    """A way to learn from some pictures; every choice there is has a name.

    rounds: how often the check divides the pictures for it.
    """

    rounds: ClassVar[int]

    def trials(self, learnt: Rows, asked: Rows) -> Iterator[tuple[str, Floats]]:
        """For each choice, learnt from some rows, the scores of others with all rows: (asked, n)."""
        ...

    def knows(self, name: str) -> bool:
        """Whether a choice is one of its own."""
        ...

    def steps(self, name: str) -> tuple[Step, ...]:
        """What one choice, learnt from all rows, adds to a card."""
        ...


class Closed:
    """The closed form, more and less bold.

    Args:
        vectors: of unit length, ndarray of shape (n, dim).
        labels: of each picture its labels.
    """

    rounds: ClassVar[int] = 2

    def __init__(self, vectors: Floats, labels: Sequence[AbstractSet[Hashable]]) -> None:
        self._vectors = vectors
        self._labels = labels
        self._strengths = {
            f"closed, within {within:g}, between {between:g}": Strength(within, between)
            for within in WITHIN
            for between in BETWEEN
        }

    def trials(self, learnt: Rows, asked: Rows) -> Iterator[tuple[str, Floats]]:
        """See `Way`."""
        scatter = Scatter.of_labels(self._vectors[learnt], [self._labels[row] for row in learnt])
        done: float | None = None
        for name, strength in self._strengths.items():
            if strength.within != done:  # what only this decides is made once
                done, made = strength.within, scatter.map(strength)
                near, along = made.within(self._vectors), made.between(self._vectors)
                within, between = near[asked] @ near.T, along[asked] @ along.T
            share = np.float32(scatter.share(strength.between) if made.share else 0.0)
            yield name, (1 - share) * within + share * between

    def knows(self, name: str) -> bool:
        """See `Way`."""
        return name in self._strengths

    def steps(self, name: str) -> tuple[Step, ...]:
        """See `Way`."""
        return Scatter.of_labels(self._vectors, self._labels).map(self._strengths[name]).steps()


class Pairwise:
    """The pairwise loss, held nearer and less near to where it sets out.

    Args:
        vectors: of unit length, ndarray of shape (n, dim).
        labels: of each picture its labels.
        seed: of all chance.
    """

    rounds: ClassVar[int] = 1  # a descent takes a second

    def __init__(self, vectors: Floats, labels: Sequence[AbstractSet[Hashable]], seed: int) -> None:
        self._vectors = vectors
        self._labels = labels
        self._seed = seed
        self._descents = {f"pairwise, held {held:g}": Descent(held=held) for held in HELD}

    def trials(self, learnt: Rows, asked: Rows) -> Iterator[tuple[str, Floats]]:
        """See `Way`."""
        for name in self._descents:
            yield name, _scores(self._learn(name, learnt), self._vectors, asked)

    def knows(self, name: str) -> bool:
        """See `Way`."""
        return name in self._descents

    def steps(self, name: str) -> tuple[Step, ...]:
        """See `Way`."""
        return self._learn(name, np.arange(len(self._vectors)))

    def _learn(self, name: str, rows: Rows) -> tuple[Step, ...]:
        vectors, labels = self._vectors[rows], [self._labels[row] for row in rows]
        scatter = Scatter.of_labels(vectors, labels)
        draw = partial(pairwise.drawing, labels=labels, descent=self._descents[name])
        return _descended(scatter, vectors, draw, self._descents[name], self._seed)


class OfPairs:
    """What can be learnt from triples of query, better and worse, without any label.

    The closed form knows what differs between queries and their better pictures, and nothing more;
    the pairwise loss sets out from there.

    Args:
        vectors: of unit length, ndarray of shape (n, dim).
        triples: rows of query, better and worse, ndarray of shape (t, 3).
        seed: of all chance.
        ways: which of both there are to choose from, `closed` and `pairwise`.
    """

    def __init__(self, vectors: Floats, triples: Rows, seed: int, ways: Sequence[str]) -> None:
        self._vectors = vectors
        self._triples = triples
        self._seed = seed
        closed = {f"closed, within {within:g}": Strength(within, 0.0) for within in WITHIN}
        descents = {f"pairwise, held {held:g}": Descent(held=held) for held in HELD}
        self._choices: dict[str, Strength | Descent] = {
            **(closed if "closed" in ways else {}),
            **(descents if "pairwise" in ways else {}),
        }

    def trials(self, learnt: Rows, asked: Rows) -> Iterator[tuple[str, Floats]]:
        """As `Way` has it; both are rows of triples, and scores are (asked, 2): of the better, the worse."""
        for name in self._choices:
            steps = self._learn(name, self._triples[learnt])
            query, better, worse = (_applied(steps, self._vectors[self._triples[asked, i]]) for i in range(3))
            yield name, np.stack([(query * better).sum(1), (query * worse).sum(1)], axis=1)

    def steps(self, name: str) -> tuple[Step, ...]:
        """See `Way`."""
        return self._learn(name, self._triples)

    def _learn(self, name: str, triples: Rows) -> tuple[Step, ...]:
        choice, vectors = self._choices[name], self._vectors
        scatter = Scatter.of_differences(vectors[triples[:, 0]] - vectors[triples[:, 1]])
        if isinstance(choice, Strength):
            return scatter.map(choice).steps()

        def drawing(_: Floats) -> Callable[[np.random.Generator], Triples]:
            return partial(_drawn, triples=triples, count=choice.queries * choice.better * choice.worse)

        return _descended(scatter, vectors, drawing, choice, self._seed)


def _descended(
    scatter: Scatter,
    vectors: Floats,
    drawing: Callable[[Floats], Callable[[np.random.Generator], Triples]],
    descent: Descent,
    seed: int,
) -> tuple[Step, ...]:
    """W of the closed form, and from there the pairwise loss, as steps."""
    start = scatter.map(Strength(_GENTLE, 0.0))
    moved = start.within(vectors)
    factors = pairwise.descend(moved, drawing(moved), descent, seed)
    return pairwise.steps(start.matrix, factors)


def _drawn(random: np.random.Generator, *, triples: Rows, count: int) -> Triples:
    """The triples of a step, out of those that were given."""
    chosen = triples[random.permutation(len(triples))[:count]]
    asking, query = np.unique(chosen[:, 0], return_inverse=True)
    return Triples(asking, query, chosen[:, 1], chosen[:, 2])


def _scores(steps: tuple[Step, ...], vectors: Floats, asked: Rows) -> Floats:
    moved = _applied(steps, vectors)
    return moved[asked] @ moved.T


def _applied(steps: tuple[Step, ...], vectors: Floats) -> Floats:
    for step in (*steps, Normalise()):
        vectors = step.apply(vectors)
    return vectors

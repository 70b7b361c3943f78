"""Choose the map, if any, that makes search better and harms nothing, by trials that were held out.

Trials are divided into fifths, once or twice: every map is learned from the rest, and each query held out is
compared with itself by the plain vectors. Of labels, a fifth is held out with all of its pictures, and a
fifth of the pictures of all others; of pairs, a fifth of the queries.

A map learned from labels is safe if, in P@5 as in mAP@100,

* pictures of labels seen are found better: the mean over labels is above 0 by two standard errors, the
  labels being those that they are, and the mean over queries is not below 0;
* labels never seen are not harmed: the mean over labels less one standard error, the labels being some of
  those that might be, is above -.0075, and the mean over queries above -.02.

One learned from pairs is safe if the mean over queries of the share in the right order is above 0 by two
standard errors. Of the safe ones the one with the largest gains is taken; if none is safe, vectors stay as
they are. The bounds are measured by benches/ranker.py, with wrong labels, few labels and few pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from lookalike.extractors.steps import apply as applied
from lookalike.training.maps import Descent, Strength, descend
from lookalike.training.trials import MeanGain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.extractors.steps import Step
    from lookalike.training.maps import Reals, Rows
    from lookalike.training.recipes import RankerMethod
    from lookalike.training.trials import Fold, Trials
    from lookalike.types import Floats

_WITHIN = (0.02, 0.05, 0.1, 0.2)
_GENTLE = Strength(0.1, 0.0)  # from which the pairwise loss sets out
_HELD = (0.03,)

_SURE = 1.96  # standard errors of a gain
_UNLIKELY = 1.0  # standard errors of a loss
_NO_LOSS = 0.0075
_NO_LOSS_OF_QUERIES = 0.02  # one large label decides it nearly alone


class MapMethod(Protocol):
    """Learn maps from trials; every choice there is has a name.

    rounds: how often the check divides the trials for it.
    """

    rounds: ClassVar[int]

    def scores(self, trials: Trials, fold: Fold) -> Iterator[tuple[str, Floats]]:
        """Yield for each choice, learned from a fold, the scores of what is asked."""
        ...

    def steps(self, trials: Trials, name: str) -> tuple[Step, ...] | None:
        """Return what one choice, learned from all trials, adds to a card; None if it has no such choice."""
        ...


class ClosedForm:
    """Learn by the closed form, more and less bold.

    Args:
        shares: of the directions between labels that there are to choose from.
    """

    rounds: ClassVar[int] = 2

    def __init__(self, shares: Sequence[float]) -> None:
        self._strengths = {
            f"closed, within {within:g}" + f", between {between:g}" * (between > 0): Strength(within, between)
            for within in _WITHIN
            for between in shares
        }

    def scores(self, trials: Trials, fold: Fold) -> Iterator[tuple[str, Floats]]:
        """See `MapMethod`."""
        scatter = trials.among(fold.learned).scatter()
        done: float | None = None
        for name, strength in self._strengths.items():
            if strength.within != done:  # what only this decides is made once
                done, made = strength.within, scatter.map(strength)
                within = trials.scores(made.within(trials.vectors), fold.asked)
                between = trials.scores(made.between(trials.vectors), fold.asked)
            share = np.float32(scatter.share(strength.between) if made.share else 0.0)
            yield name, (1 - share) * within + share * between

    def steps(self, trials: Trials, name: str) -> tuple[Step, ...] | None:
        """See `MapMethod`."""
        strength = self._strengths.get(name)
        return None if strength is None else trials.scatter().map(strength).steps()


class PairwiseLoss:
    """Learn by the pairwise loss, held near to where it sets out.

    Args:
        seed: of the first numbers and of the triples.
    """

    rounds: ClassVar[int] = 1  # a descent takes a second

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._descents = {f"pairwise, held {held:g}": Descent(held=held) for held in _HELD}

    def scores(self, trials: Trials, fold: Fold) -> Iterator[tuple[str, Floats]]:
        """See `MapMethod`."""
        for name, descent in self._descents.items():
            moved = applied(self._learn(trials.among(fold.learned), descent), trials.vectors)
            yield name, trials.scores(moved, fold.asked)

    def steps(self, trials: Trials, name: str) -> tuple[Step, ...] | None:
        """See `MapMethod`."""
        descent = self._descents.get(name)
        return None if descent is None else self._learn(trials, descent)

    def _learn(self, trials: Trials, descent: Descent) -> tuple[Step, ...]:
        start = trials.scatter().map(_GENTLE)
        moved = start.within(trials.vectors)
        return start.followed(descend(moved, trials.triples(moved, descent), descent, self._seed))


@dataclass(frozen=True, slots=True)
class Choice:
    """Hold one of the maps there are, judged.

    name: method and strength.
    gains: by the parts of the trials: on `seen` and `unseen` labels, or on `pairs`.
    safe: whether it may be used.
    worth: what the safe ones are compared by.
    """

    name: str
    gains: Mapping[str, MeanGain]
    safe: bool
    worth: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the result of a check.

    chosen: the choice to take; None for the plain vectors.
    choices: all of them.
    """

    chosen: Choice | None
    choices: tuple[Choice, ...] = field(repr=False)


@dataclass(slots=True)
class _Tally:
    """Collect what the queries reached by one choice; a query may come several times."""

    _rows: list[Rows] = field(default_factory=list)
    _unseen: list[NDArray[np.bool_]] = field(default_factory=list)
    _reached: list[Reals] = field(default_factory=list)

    def add(self, fold: Fold, before: Reals, after: Reals) -> None:
        """Take in what the queries of a fold reached, plain and by the map, each (q, measures)."""
        self._rows.append(fold.asked)
        self._unseen.append(fold.unseen)
        self._reached.append(np.stack([before, after]))  # (2, q, measures)

    def means(self, *, unseen: bool) -> tuple[Rows, Reals, Reals]:
        """Return each query once, with its means: (q,), (q, measures), (q, measures)."""
        wanted = np.concatenate(self._unseen) == unseen
        rows, place, counts = np.unique(
            np.concatenate(self._rows)[wanted], return_inverse=True, return_counts=True
        )
        reached = np.concatenate(self._reached, axis=1)[:, wanted]
        sums = np.zeros((len(rows), 2, reached.shape[2]))
        np.add.at(sums, place, reached.transpose(1, 0, 2))
        before, after = (sums / counts[:, None, None]).transpose(1, 0, 2)
        return rows, before, after


def learn_map(trials: Trials, method: RankerMethod, seed: int) -> tuple[Verdict, tuple[Step, ...]]:
    """Return the verdict on all maps, and the steps of the one that it chose; none where it chose none.

    Args:
        trials: to learn from, and to hold out.
        method: `closed`, `pairwise`, or `auto` for both.
        seed: of the divisions and of the descents.
    """
    methods: list[MapMethod] = []
    if method in {"closed", "auto"}:
        methods.append(ClosedForm(trials.shares))
    if method in {"pairwise", "auto"}:
        methods.append(PairwiseLoss(seed))
    verdict = select(trials.sampled(seed), methods, seed)
    if verdict.chosen is None:
        return verdict, ()
    steps = (one.steps(trials, verdict.chosen.name) for one in methods)
    return verdict, (*trials.first, *next(filter(None, steps)))


def select(trials: Trials, methods: Sequence[MapMethod], seed: int = 0) -> Verdict:
    """Judge every choice of some methods, and choose the best of the safe ones."""
    tallies: dict[str, _Tally] = {}
    for method in methods:
        for fold in trials.folds(method.rounds, seed):
            measure = trials.measure(fold.asked)
            before = measure(trials.plain_scores(fold.asked))
            for name, scores in method.scores(trials, fold):
                tallies.setdefault(name, _Tally()).add(fold, before, measure(scores))
    choices = tuple(_judged(name, tally, trials) for name, tally in tallies.items())
    safe = (choice for choice in choices if choice.safe)
    return Verdict(max(safe, key=lambda choice: choice.worth, default=None), choices)


def _judged(name: str, tally: _Tally, trials: Trials) -> Choice:
    gains: dict[str, MeanGain] = {}
    safe, worth = True, 0.0
    for part, unseen in trials.parts.items():
        rows, before, after = tally.means(unseen=unseen)
        if not len(rows):
            return Choice(name, gains, safe=False, worth=0.0)
        gains[part] = MeanGain(*(tuple(each.mean(0).tolist()) for each in (before, after)))
        gained = after - before
        mean, error = mean_by_kind(gained, trials.kinds[rows], fixed=part == "seen")
        if unseen:
            harmless = (mean - _UNLIKELY * error > -_NO_LOSS) & (gained.mean(0) > -_NO_LOSS_OF_QUERIES)
        else:
            harmless = (mean > _SURE * error) & (gained.mean(0) >= 0)
        safe, worth = safe and bool(harmless.all()), worth + float(mean.sum())
    return Choice(name, gains, safe, worth)


def mean_by_kind(gained: Reals, kinds: Rows, *, fixed: bool) -> tuple[Reals, Reals]:
    """Return the mean over labels of a gain, and its standard error.

    Args:
        gained: by each query, ndarray of shape (q, measures).
        kinds: the number of the label of each query, ndarray of shape (q,).
        fixed: whether only the queries are drawn, and not the labels.

    Returns:
        Both of shape (measures,); the error is infinite where it can't be told.
    """
    _, place, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), gained.shape[1]))
    np.add.at(sums, place, gained)
    means = sums / counts[:, None]  # (labels, measures)
    mean = means.mean(0)
    free = len(gained) - len(counts) if fixed else len(counts) - 1
    if free < 1:
        return mean, np.full_like(mean, np.inf)
    if fixed:
        variance = ((gained - means[place]) ** 2).sum(0) / free * (1 / counts).sum() / len(counts) ** 2
    else:
        variance = ((means - mean) ** 2).sum(0) / free / len(counts)
    # Of few, the error itself is in doubt: Student's t in short.
    return mean, np.sqrt(variance) * (1 + 0.8 / free)

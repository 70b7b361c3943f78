"""The held-out check: which of several maps, if any, makes search better and harms nothing.

What is learnt from is divided into fifths, once or twice. Each fifth of the labels, and with it a fifth
of the pictures of all others, is held out once, every choice is learnt from the rest, and the pictures
held out ask for all others. So each label is once one that was never seen, and each picture once one that
was never seen of a label that was. Every query is compared with itself by the plain vectors.

A choice is safe if, in P@5 as in mAP@100,

* pictures of labels seen are found better: the mean over labels is above 0 by two standard errors, the
  labels being those that they are, and the mean over queries is not below 0;
* labels never seen are not harmed: the mean over labels less one standard error, the labels being some of
  those that might be, is above -.0075, and the mean over queries above -.02.

Of those that are safe it is the one with the largest gains; if none is, vectors stay as they are. The
bounds are measured by benches/ranker.py, with wrong labels, few labels and few pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.evaluation import measures

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from lookalike.training.ranker.methods import OfPairs, Way
    from lookalike.types import Floats

    Rows = NDArray[np.intp]
    Reals = NDArray[np.floating[Any]]
    Scores = Callable[[Rows], Floats]

MEASURES = ("p5", "map100")
PARTS = 5

_MOST = 1500
"""Pictures that are looked at: the check of 1,500 takes some seconds, and is sure enough."""

_LEAST = 4  # pictures of a label that are looked at, if it has so many
_SURE = 1.96  # standard errors of a gain
_UNLIKELY = 1.0  # standard errors of a loss
_NO_LOSS = 0.0075
_NO_LOSS_OF_QUERIES = 0.02  # one large label decides it nearly alone
_DEPTH = 100


class Gain(NamedTuple):
    """Means over queries, of P@5 and mAP@100 (or the one measure there is).

    before: by the plain vectors.
    after: by the map.
    queries: how many.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    queries: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the maps there are, judged.

    name: way and strength.
    gains: on `seen` and `unseen` labels, or on `pairs`.
    safe: whether it may be used.
    worth: what the safe ones are compared by.
    """

    name: str
    gains: Mapping[str, Gain]
    safe: bool
    worth: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check says.

    chosen: the choice to take; None for the plain vectors.
    choices: all of them.
    """

    chosen: Choice | None
    choices: tuple[Choice, ...] = field(repr=False)

    @classmethod
    def of(cls, choices: Sequence[Choice]) -> Verdict:
        """The best of the safe ones."""
        safe = [choice for choice in choices if choice.safe]
        return cls(max(safe, key=lambda choice: choice.worth, default=None), tuple(choices))


@dataclass(slots=True)
class _Tally:
    """What the queries reached by one choice; a query may come several times."""

    _rows: list[Rows] = field(default_factory=list)
    _unseen: list[NDArray[np.bool_]] = field(default_factory=list)
    _reached: list[Reals] = field(default_factory=list)

    def add(self, rows: Rows, unseen: NDArray[np.bool_], before: Reals, after: Reals) -> None:
        """Take in queries (q,) and what they reached, plain and by the map, each (q, measures)."""
        self._rows.append(rows)
        self._unseen.append(unseen)
        self._reached.append(np.stack([before, after]))  # (2, q, measures)

    def means(self, *, unseen: bool) -> tuple[Rows, Reals, Reals]:
        """Each query once, with its means: (q,), (q, measures), (q, measures)."""
        wanted = np.concatenate(self._unseen) == unseen
        rows, place, counts = np.unique(
            np.concatenate(self._rows)[wanted], return_inverse=True, return_counts=True
        )
        reached = np.concatenate(self._reached, axis=1)[:, wanted]
        sums = np.zeros((len(rows), 2, reached.shape[2]))
        np.add.at(sums, place, reached.transpose(1, 0, 2))
        before, after = (sums / counts[:, None, None]).transpose(1, 0, 2)
        return rows, before, after


def of_labels(
    way: Way,
    plain: Scores,
    labels: Sequence[AbstractSet[Hashable]],
    *,
    groups: Sequence[Sequence[int]] = (),
    rounds: int = 2,
    seed: int = 0,
) -> Verdict:
    """Judge every choice of a way to learn from labels.

    Args:
        way: on n pictures.
        plain: gives the scores of some rows with all, (q, n), as they are without a map.
        labels: of each picture its labels, at least one.
        groups: rows of pictures that are next to identical and are held out together.
        rounds: how often pictures and labels are divided anew.
        seed: of all chance.
    """
    alike = measures.Relevance([frozenset(of) for of in labels])
    every = np.arange(len(labels))
    tallies: dict[str, _Tally] = {}
    finds = np.array([len(alike.of(row)) > 1 for row in range(len(labels))], np.bool_)  # what is right
    for learnt, held, unseen_of_held in _divisions(labels, groups, rounds, seed):
        asked, unseen = held[finds[held]], unseen_of_held[finds[held]]
        if len(learnt) < 2 or not len(asked):
            continue
        relevant = alike.between(asked, every)
        before = _quality(plain(asked), relevant, asked)
        for name, scores in way.trials(learnt, asked):
            tally = tallies.setdefault(name, _Tally())
            tally.add(asked, unseen, before, _quality(scores, relevant, asked))
    label = kinds(labels)
    return Verdict.of([_judged(name, tally, label) for name, tally in tallies.items()])


def of_pairs(way: OfPairs, plain: Floats, triples: Rows, seed: int) -> Verdict:
    """Judge every choice of a way to learn from triples, by the share of triples put in the right order.

    A fifth of the queries at a time is held out, with every triple that one of them is in.

    Args:
        way: on t triples.
        plain: scores of the better and the worse picture as they are without a map, (t, 2).
        triples: rows of query, better and worse, ndarray of shape (t, 3).
        seed: of all chance.
    """
    queries, number = np.unique(triples[:, 0], return_inverse=True)
    part = np.random.default_rng(seed).permutation(len(queries)) % PARTS
    tallies: dict[str, _Tally] = {}
    for held in range(PARTS):
        out = queries[part == held]
        asked = np.flatnonzero(part[number] == held)
        learnt = np.flatnonzero(~np.isin(triples, out).any(axis=1))
        if not len(learnt) or not len(asked):
            continue
        for name, scores in way.trials(learnt, asked):
            tally = tallies.setdefault(name, _Tally())
            tally.add(asked, np.zeros(len(asked), bool), right(plain[asked]), right(scores))
    return Verdict.of([_judged_pairs(name, tally, number) for name, tally in tallies.items()])


def sampled(labels: Sequence[AbstractSet[Hashable]], seed: int, most: int = _MOST) -> Rows:
    """Rows to look at, in ascending order: all, or of each label a share; of very many labels some."""
    random = np.random.default_rng(seed)
    if len(labels) <= most:
        return np.arange(len(labels))
    by_label: dict[Hashable, list[int]] = {}
    for row in random.permutation(len(labels)).tolist():
        by_label.setdefault(_first(labels[row]), []).append(row)
    share = most / len(labels)
    kept: list[int] = []
    for rows in by_label.values():  # in the order of chance
        if len(kept) >= most:
            break
        kept += rows[: max(_LEAST, round(share * len(rows)))]
    return np.sort(np.array(kept, np.intp))


def kinds(labels: Sequence[AbstractSet[Hashable]]) -> Rows:
    """The first label of each picture as a number, ndarray of shape (n,)."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(_first(several), len(known)) for several in labels], np.intp)


def quality(scores: Floats, relevant: NDArray[np.bool_], asked: Rows) -> tuple[float, ...]:
    """P@5 and mAP@100 of queries that leave themselves out; see `_quality`."""
    return tuple(_quality(scores, relevant, asked).mean(0).tolist())


def _divisions(
    labels: Sequence[AbstractSet[Hashable]], groups: Sequence[Sequence[int]], rounds: int, seed: int
) -> Iterator[tuple[Rows, Rows, NDArray[np.bool_]]]:
    """Rows to learn from, rows to ask with, and which of these have only labels that are held out."""
    random = np.random.default_rng(seed)
    names = list(dict.fromkeys(of for several in labels for of in sorted(several, key=str)))
    leader = np.arange(len(labels))
    for group in groups:
        leader[list(group)] = min(group)
    for _ in range(rounds):
        order = random.permutation(len(names)) % min(PARTS, len(names))
        label_part = dict(zip(names, order.tolist(), strict=True))
        part = _dealt(labels, leader, random)
        parts_of = [{label_part[of] for of in several} for several in labels]
        for held in range(PARTS):
            touched = np.array([held in parts for parts in parts_of], bool)
            unseen = np.array([parts == {held} for parts in parts_of], bool)
            asked = np.flatnonzero(unseen | ((part == held) & ~touched))
            # One of a group may have another label.
            learnt = ~touched & (part != held) & ~np.isin(leader, leader[asked])
            yield np.flatnonzero(learnt), asked, unseen[asked]


def _dealt(labels: Sequence[AbstractSet[Hashable]], leader: Rows, random: np.random.Generator) -> Rows:
    """A part for each picture, that of its group's leader, all parts equally often within a label."""
    units: dict[Hashable, list[int]] = {}
    for row in random.permutation(np.unique(leader)).tolist():
        units.setdefault(_first(labels[row]), []).append(row)
    part = np.zeros(len(labels), np.intp)
    for rows in units.values():
        part[rows] = (np.arange(len(rows)) + random.integers(PARTS)) % PARTS
    return np.asarray(part[leader])


def _quality(scores: Floats, relevant: NDArray[np.bool_], asked: Rows) -> Reals:
    """P@5 and AP@100 of each query, which leaves itself out.

    Args:
        scores: with all pictures, ndarray of shape (q, n).
        relevant: booleans of the same shape.
        asked: the rows of the queries, ndarray of shape (q,).

    Returns:
        ndarray of shape (q, 2).
    """
    itself = np.arange(len(asked)), asked
    scores, relevant = scores.copy(), relevant.copy()
    scores[itself], relevant[itself] = -np.inf, False
    ranking = measures.rank(scores, relevant, min(_DEPTH, scores.shape[1] - 1))
    precision = measures.precision_at(ranking.relevant, 5)
    mean_ap = measures.average_precision_at(ranking.relevant, ranking.total, _DEPTH, found=ranking.found)
    return np.stack([precision, mean_ap], axis=1)


def right(scores: Floats) -> Reals:
    """For each (better, worse) 1 where the better one scores higher, ½ where they tie: (t, 1)."""
    apart = scores[:, :1] - scores[:, 1:]
    return np.asarray((np.sign(apart) + 1) / 2, float)


def _judged(name: str, tally: _Tally, label: Rows) -> Choice:
    gains: dict[str, Gain] = {}
    means: list[tuple[Reals, Reals, Reals]] = []
    for what in ("seen", "unseen"):
        rows, before, after = tally.means(unseen=what == "unseen")
        if not len(rows):
            return Choice(name, gains, safe=False, worth=0.0)
        gains[what] = _gain(before, after)
        by_label = _by_label(after - before, label[rows], fixed=what == "seen")
        means.append((*by_label, (after - before).mean(0)))
    (seen, seen_error, seen_queries), (unseen, unseen_error, unseen_queries) = means
    better = (seen > _SURE * seen_error) & (seen_queries >= 0)
    harmless = (unseen - _UNLIKELY * unseen_error > -_NO_LOSS) & (unseen_queries > -_NO_LOSS_OF_QUERIES)
    return Choice(name, gains, bool(better.all() and harmless.all()), float((seen + unseen).sum()))


def _judged_pairs(name: str, tally: _Tally, query: Rows) -> Choice:
    rows, before, after = tally.means(unseen=False)
    mean, error = _by_label(after - before, query[rows], fixed=False)
    safe = bool((mean > _SURE * error).all() and (after - before).mean() >= 0)
    return Choice(name, {"pairs": _gain(before, after)}, safe, float(mean.sum()))


def _gain(before: Reals, after: Reals) -> Gain:
    return Gain(tuple(before.mean(0).tolist()), tuple(after.mean(0).tolist()), len(before))


def _by_label(gained: Reals, label: Rows, *, fixed: bool) -> tuple[Reals, Reals]:
    """The mean over labels of a gain, and its standard error.

    Args:
        gained: by each query, ndarray of shape (q, measures).
        label: of each query, ndarray of shape (q,).
        fixed: whether only the queries are by chance, and not the labels.

    Returns:
        Both of shape (measures,); the error is infinite where it can't be told.
    """
    _, place, counts = np.unique(label, return_inverse=True, return_counts=True)
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


def _first(several: AbstractSet[Hashable]) -> Hashable:
    return min(several, key=str)

"""Learn a map from labels: pictures that share one are to score higher."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation import measures
from lookalike.evaluation.labels import Pictures, read
from lookalike.evaluation.quality import similarity
from lookalike.evaluation.splits import Split, split
from lookalike.extractors.steps import apply as applied
from lookalike.training import dataset
from lookalike.training.ranker import model_selection
from lookalike.training.ranker import vectors as stored
from lookalike.training.ranker.methods import Closed, Pairwise
from lookalike.training.ranker.model_selection import Choice, Gain, Verdict
from lookalike.training.ranker.result import Learnt, named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from lookalike.evaluation.folder import PictureFolder
    from lookalike.evaluation.labels import Labels, LabelsLike
    from lookalike.evaluation.splits import Part
    from lookalike.extractors.steps import Step
    from lookalike.training.ranker.methods import Way
    from lookalike.training.ranker.vectors import Stored
    from lookalike.training.recipes import RankerRecipe
    from lookalike.types import Floats

    Rows = NDArray[np.intp]

_ONCE = 1000
"""Pictures from which on the check divides them only once: there are queries enough."""

_TESTED = 2000
"""Pictures of the test part that ask, at most."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pictures with their labels.

    ids: sorted.
    labels: of each at least one.
    fixed: the parts that are settled before any is drawn, by the data set or by the base, by id.
    what: where the labels come from.
    """

    ids: list[str]
    labels: list[frozenset[str]]
    fixed: dict[str, Part]
    what: str

    @classmethod
    def find(cls, place: PictureFolder, labels: LabelsLike, recipe: RankerRecipe) -> Labelled:
        """The labelled pictures of a folder.

        Raises:
            UsageError: the labels can't be read, or say too little.
        """
        known = _known(place, labels)
        fixed: dict[str, Part] = {}
        if place.packed is not None:
            fixed = {id_: "test" for id_, of in place.packed.fields() if of.get("part") == "test"}
        there = [row for row, of in enumerate(known.sets) if of]
        if recipe.limit is not None:
            ids = [known.ids[row] for row in there]
            there = [there[row] for row in dataset.drawn(ids, fixed, recipe.limit, recipe.seed)]
        ids = [known.ids[row] for row in there]
        found = cls(ids, [known.sets[row] for row in there], fixed, known.what)
        found.require_enough()
        return found

    def require_enough(self) -> None:
        """Raise `UsageError` unless there is something to tell apart."""
        counts = Counter(label for several in self.labels for label in several)
        if len(counts) < 2:
            raise UsageError(
                f"by {self.what} {len(self.ids):,} pictures have a label, and all the same one, "
                f"{next(iter(counts), '')!r}; expected two labels or more, so that there is something to "
                "tell apart"
            )
        shared = sum(count > 1 for count in counts.values())
        if shared < 2:
            raise UsageError(
                f"by {self.what} there are {len(counts):,} labels, of which {shared} have more than one "
                "picture; expected two labels or more with several pictures each"
            )

    def keeping(self, unseen: AbstractSet[str]) -> Labelled:
        """They, some of which the base never saw; if there are any, they are the part never seen."""
        own: dict[str, Part] = {id_: "test" for id_ in self.ids if id_ in unseen}
        return replace(self, fixed=own or self.fixed)

    def among(self, ids: Sequence[str]) -> Labelled:
        """The pictures of these ids."""
        known = dict(zip(self.ids, self.labels, strict=True))
        found = Labelled(list(ids), [known[id_] for id_ in ids], self.fixed, self.what)
        found.require_enough()
        return found


def _known(place: PictureFolder, labels: LabelsLike) -> Labels:
    if place.packed is not None and labels == "folder":
        labels = "label"  # its own: in folders there are none
    if isinstance(labels, str | os.PathLike):  # a gallery's metadata may be meant
        return place.labels(labels, frozenset(place.found))
    return read(labels, Pictures(place.path, sorted(place.found)))


def learn(given: Labelled, vectors: Stored, metric: str, recipe: RankerRecipe) -> Learnt:
    """Learn from the training part, check by what of it is held out, and measure on the test part.

    Args:
        given: pictures with labels.
        vectors: of these.
        metric: by which they are compared without a map.
        recipe: how.

    Raises:
        UsageError: of the pictures that could be read, too few have labels.
    """
    pictures = given.among(vectors.ids)
    groups = stored.near(vectors.vectors)
    divided = _divided(pictures, groups, recipe)
    rows, last = (
        np.array([row for row, id_ in enumerate(pictures.ids) if divided.part_of[id_] == part], np.intp)
        for part in ("train", "test")
    )
    of = [pictures.labels[row] for row in rows]
    verdict, steps = map_of(vectors.vectors[rows], of, _inside(groups, rows), metric, recipe)
    reached = {} if verdict.chosen is None else named(verdict.chosen.gains)
    last = last[:: -(-len(last) // _TESTED) or 1]
    own = vectors.vectors[last]
    moved, by = (applied(steps, own), "cosine") if steps else (own, metric)
    reached |= tested((own, metric), (moved, by), [pictures.labels[row] for row in last])
    return Learnt(steps, verdict, divided, reached)


def map_of(
    vectors: Floats,
    labels: Sequence[frozenset[str]],
    groups: Sequence[Sequence[int]],
    metric: str,
    recipe: RankerRecipe,
) -> tuple[Verdict, tuple[Step, ...]]:
    """What the check says, and the steps of the map that it chose; none where there is none.

    Args:
        vectors: as the base gives them, ndarray of shape (n, dim).
        labels: of each picture at least one.
        groups: rows of pictures that are next to identical.
        metric: by which vectors are compared without a map.
        recipe: how.
    """
    first, centred = stored.centred(vectors, model_selection.kinds(labels))
    rows = model_selection.sampled(labels, recipe.seed)
    some, of = vectors[rows], [labels[row] for row in rows]

    def plain(asked: Rows) -> Floats:
        return similarity(some[asked], some, metric)

    choices: list[Choice] = []
    for way in _ways(centred[rows], of, recipe):
        rounds = way.rounds if len(rows) <= _ONCE else 1
        judged = model_selection.of_labels(
            way, plain, of, groups=_inside(groups, rows), rounds=rounds, seed=recipe.seed
        )
        choices += judged.choices
    verdict = Verdict.of(choices)
    if verdict.chosen is None:
        return verdict, ()
    name = verdict.chosen.name
    way = next(way for way in _ways(centred, labels, recipe) if way.knows(name))
    return verdict, (*first, *way.steps(name))


def _divided(pictures: Labelled, groups: Sequence[Sequence[int]], recipe: RankerRecipe) -> Split:
    """The split: that of the data set, or drawn."""
    fixed = {id_: pictures.fixed[id_] for id_ in pictures.ids if id_ in pictures.fixed}
    free = [row for row, id_ in enumerate(pictures.ids) if id_ not in fixed]
    drawn = split(
        [pictures.ids[row] for row in free],
        [min(pictures.labels[row]) for row in free],
        groups=_inside(groups, np.array(free, np.intp)),
        test=0.0 if fixed else recipe.test,
        validation=recipe.validation,
        seed=recipe.seed,
    )
    return Split({**drawn.part_of, **fixed})


def _inside(groups: Sequence[Sequence[int]], rows: Rows) -> list[list[int]]:
    """What of groups is among some rows, by its place there."""
    place = {row: number for number, row in enumerate(rows.tolist())}
    inside = [[place[row] for row in group if row in place] for group in groups]
    return [group for group in inside if len(group) > 1]


def _ways(unit: Floats, labels: Sequence[frozenset[str]], recipe: RankerRecipe) -> list[Way]:
    ways: list[Way] = []
    if recipe.way in {"closed", "auto"}:
        ways.append(Closed(unit, labels))
    if recipe.way in {"pairwise", "auto"}:
        ways.append(Pairwise(unit, labels, recipe.seed))
    return ways


def tested(
    before: tuple[Floats, str], after: tuple[Floats, str], labels: Sequence[frozenset[str]]
) -> dict[str, float]:
    """How the pictures of the test part find each other: `base_test_p5`, `test_p5`, and so on.

    Args:
        before: their vectors by the base, ndarray of shape (n, dim), and the metric that compares them.
        after: the same by what was learnt.
        labels: n times some.
    """
    alike = measures.Relevance(labels)
    asked = np.array([row for row in range(len(labels)) if len(alike.of(row)) > 1], np.intp)
    if not len(asked):
        return {}
    relevant = alike.between(asked, np.arange(len(labels)))
    old, new = (
        model_selection.quality(similarity(vectors[asked], vectors, by), relevant, asked)
        for vectors, by in (before, after)
    )
    return named({"test": Gain(old, new, len(asked))})

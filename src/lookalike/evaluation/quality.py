"""How good a gallery's answers are, where labels say which pictures belong together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lookalike.errors import UsageError, visible
from lookalike.evaluation import held_out, measures
from lookalike.evaluation import labels as label_reading
from lookalike.evaluation.asking import rankings
from lookalike.extractors.needs import require_model
from lookalike.stores import filtering

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.labels import Labels, LabelsLike
    from lookalike.gallery import Gallery
    from lookalike.reports import Progress

    Split: TypeAlias = float | str | Collection[str]

RANKS = (1, 5, 10)
DEPTH = 100
_DEEPEST = 1_000_000


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """The measures of the queries of one label.

    label: the label.
    queries: how many pictures of it asked.
    measures: their means, by name.
    """

    label: str
    queries: int
    measures: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {"label": self.label, "queries": self.queries, **self.measures}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good the answers of a gallery are; `evaluation["P@5"]` is a mean over the queries.

    gallery, model, metric: what was asked.
    labels: where the labels come from.
    pictures: how many could be found.
    queries: how many pictures asked.
    unlabelled, rare: how many did not, because they have no label, or one that too few others have.
    measures: the means over the queries: `P@1`, `P@5`, `P@10`, `recall@10`, `mAP@100`, `nDCG@10`.
    by_label: the same for the queries of each label, in the order of labels.
    notes: what the user should know of it.
    """

    gallery: str
    model: str
    metric: str
    labels: str
    pictures: int
    queries: int
    unlabelled: int
    rare: int
    measures: Mapping[str, float]
    by_label: tuple[LabelQuality, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def __getitem__(self, measure: str) -> float:
        """The mean of a measure by its name."""
        return self.measures[measure]

    def __str__(self) -> str:
        """The measures in one line."""
        figures = ", ".join(f"{name} {value:.3f}" for name, value in self.measures.items())
        what = f"{self.queries:,} queries to {self.pictures:,} pictures, {visible(self.model)}"
        return f"{figures} ({what})"

    def _repr_html_(self) -> str:
        from lookalike.views import pages

        rows = [
            ("all", self.queries, self.measures),
            *((q.label, q.queries, q.measures) for q in self.by_label),
        ]
        heads = ["label", "queries", *self.measures]
        cells = [[label, f"{n:,}", *(f"{x:.3f}" for x in by.values())] for label, n, by in rows]
        return pages.fragment_table(pages.Table(heads, cells, range(1, len(heads))), self.notes)

    def as_dict(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {
            "gallery": self.gallery,
            "model": self.model,
            "metric": self.metric,
            "labels": self.labels,
            "pictures": self.pictures,
            "queries": self.queries,
            "unlabelled": self.unlabelled,
            "rare": self.rare,
            "measures": dict(self.measures),
            "by_label": [of.as_dict() for of in self.by_label],
            "notes": list(self.notes),
        }


def evaluate(  # noqa: PLR0913  # each is a wish of its own
    gallery: Gallery,
    labels: LabelsLike,
    *,
    k: Sequence[int] = RANKS,
    at_least: int = 2,
    queries: int | None = None,
    split: Split | None = None,
    only: Collection[str] | None = None,
    seed: int = 0,
    depth: int = DEPTH,
    progress: Callable[[Progress], object] | None = None,
) -> Evaluation:
    """Ask a gallery with its own pictures; those that share a label with the query are right.

    Leave-one-out: every picture asks for all the others. With `split`, pictures are either queries
    or searched. The answers are exact, and what ties is averaged over all orders. For a query with
    R relevant pictures among those searched, the relevance of rank i being r_i (0 or 1):

    * P@k = Σ_{i≤k} r_i / k
    * recall@k = Σ_{i≤k} r_i / R
    * AP@d = Σ_{i≤d} r_i · P@i / min(R, d); mAP@d is its mean over the queries
    * nDCG@k = Σ_{i≤k} r_i / log2(i + 1), divided by the same sum if all R came first

    Args:
        gallery: whose pictures; nothing but its stored vectors is read.
        labels: where the labels are, as `lookalike.evaluation.labels.read` says: `folder`,
            `folder:N`, `name:REGEX`, a table, a field of the metadata, or a mapping of ids.
        k: the ranks of P@k; recall and nDCG are of the largest.
        at_least: pictures whose label fewer than so many have do not ask, but can be found.
        queries: at most so many of each label ask, drawn by chance; default all.
        split: which pictures are queries and can't be found: a share between 0 and 1 of those that
            have a label, drawn by chance; a filter such as `folder=queries` or `part=test`; or a
            collection of ids. Of a model that was trained here also `test`, `validation` or `train`: only
            the pictures of that part of its own split are looked at, each asks for all others.
        only: ids of the pictures to look at; default all.
        seed: of the choices by chance.
        depth: how deep the ranking is that mAP looks at.
        progress: called with how many queries have been answered.

    Raises:
        UsageError: the labels or the split can't be read, or leave nothing to ask.
    """
    if not k or min(k) < 1 or at_least < 2 or depth < 1 or (queries is not None and queries < 1):
        raise UsageError(
            f"k {tuple(k)}, depth {depth}, queries {queries} and at_least {at_least} can't all be meant; "
            "expected at_least 2 or more, and 1 or more for the others"
        )
    if max(*k, depth) > _DEEPEST:
        raise UsageError(f"k and depth can be {_DEEPEST:,} at most, so far does a ranking go")
    known = _only(label_reading.read(labels, label_reading.Pictures.of(gallery)), only)
    said: tuple[str, ...] = ()
    if (part := held_out.part_meant(split)) is not None:
        require_model(gallery.model, gallery.access)  # whose folder has the split
        held = held_out.pictures([gallery.model], part, gallery.root, known.ids)
        known, said, split = _only(known, held), held_out.notes(part, len(held)), None
    asking, searched = _parts(known, gallery, split, seed)
    asked, rare = _eligible(known, asking, searched, at_least)
    if queries is not None:
        asked = _drawn(known, asked, queries, seed)
    ranking = rankings(
        gallery,
        known.ids,
        known.sets,
        queries=asked,
        searched=searched,
        depth=max(depth, *k),
        progress=progress,
    )
    values = _values(ranking, k, depth)
    unlabelled = sum(not known.sets[row] for row in asking)
    return Evaluation(
        gallery=gallery.address,
        model=gallery.model,
        metric=gallery.store.header.metric,
        labels=known.what,
        pictures=int(searched.sum()),
        queries=len(asked),
        unlabelled=unlabelled,
        rare=rare,
        measures={name: float(of.mean()) for name, of in values.items()},
        by_label=_by_label(values, [known.sets[row] for row in ranking.queries]),
        notes=(*said, *_notes(known, unlabelled, rare, at_least)),
    )


def check(labels: Labels, at_least: int, only: Collection[str] | None = None) -> None:
    """Make sure, before the pictures are described, that there will be something to ask.

    Raises:
        UsageError: no label is frequent enough among the pictures looked at.
    """
    labels = _only(labels, only)
    every = np.arange(len(labels.ids))
    _eligible(labels, every, np.ones(len(every), bool), at_least)


def _only(labels: Labels, ids: Collection[str] | None) -> Labels:
    if ids is None:
        return labels
    kept = [(id_, of) for id_, of in zip(labels.ids, labels.sets, strict=True) if id_ in ids]
    return label_reading.Labels(labels.what, [id_ for id_, _ in kept], [of for _, of in kept])


def _parts(
    labels: Labels, gallery: Gallery, split: Split | None, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The rows that may ask, and which pictures are searched."""
    every = np.arange(len(labels.ids))
    if split is None:
        return every, np.ones(len(every), bool)
    if isinstance(split, int | float):
        if not 0 < split < 1:
            raise UsageError(f"a split of {split} can't be meant; expected a share between 0 and 1")
        labelled = np.array([row for row, of in enumerate(labels.sets) if of], np.intp)
        count = max(1, round(split * len(labelled)))
        drawn = np.random.default_rng(seed).permutation(labelled)[:count]
        asks = np.isin(every, drawn)
    else:
        ids = _passing(split, gallery) if isinstance(split, str) else frozenset(split)
        asks = np.array([id_ in ids for id_ in labels.ids], bool)
        if not asks.any():
            what = (
                split if isinstance(split, str) else f"{len(ids):,} ids, {next(iter(ids), '')!r} among them,"
            )
            raise UsageError(f"the split {what} names no picture of the gallery that could ask")
    return np.flatnonzero(asks), ~asks


def _passing(split: str, gallery: Gallery) -> frozenset[str]:
    conditions = filtering.conditions(split, gallery.store)
    return frozenset(record.id for batch in gallery.store.scan(where=conditions) for record in batch.records)


def _eligible(
    labels: Labels, asking: NDArray[np.intp], searched: NDArray[np.bool_], at_least: int
) -> tuple[NDArray[np.intp], int]:
    """The rows that ask, and how many do not because too few others share a label with them.

    Raises:
        UsageError: none does.
    """
    alike = measures.Relevance(labels.sets)
    labelled = [row for row in asking.tolist() if labels.sets[row]]
    # Itself counts among those that have its label, whether it is searched or not.
    counts = [searched[alike.of(row)].sum() + (not searched[row]) for row in labelled]
    kept = [row for row, count in zip(labelled, counts, strict=True) if count >= at_least]
    if not kept:
        raise UsageError(_nothing_to_ask(labels, at_least))
    return np.array(kept, np.intp), len(labelled) - len(kept)


def _drawn(labels: Labels, asked: NDArray[np.intp], at_most: int, seed: int) -> NDArray[np.intp]:
    """At most so many queries of each label; of several labels the first in order counts."""
    firsts = [min(labels.sets[row]) for row in asked]
    return asked[measures.sample(firsts, at_most=at_most, seed=seed)]


def _values(ranking: measures.Ranking, k: Sequence[int], depth: int) -> dict[str, NDArray[np.floating]]:
    """Each measure of every query, by its name."""
    last = max(k)
    relevant, total = ranking.relevant, ranking.total
    return {
        **{f"P@{rank}": measures.precision_at(relevant, rank) for rank in sorted(set(k))},
        f"recall@{last}": measures.recall_at(relevant, total, last),
        f"mAP@{depth}": measures.average_precision_at(relevant, total, depth, found=ranking.found),
        f"nDCG@{last}": measures.ndcg_at(relevant, total, last),
    }


def _by_label(
    values: Mapping[str, NDArray[np.floating]], labels: Sequence[frozenset[str]]
) -> tuple[LabelQuality, ...]:
    means = {name: measures.mean_by_label(of, labels) for name, of in values.items()}
    counts: dict[str, int] = {}
    for several in labels:
        for label in several:
            counts[label] = counts.get(label, 0) + 1
    return tuple(
        LabelQuality(label, counts[label], {name: of[label] for name, of in means.items()})
        for label in sorted(counts)
    )


def _notes(labels: Labels, unlabelled: int, rare: int, at_least: int) -> tuple[str, ...]:
    notes = []
    if unlabelled:
        notes.append(f"{unlabelled:,} pictures have no label: they were not asked with, but could be found")
    if rare:
        notes.append(
            f"{rare:,} pictures were not asked with: fewer than {at_least} have their label; "
            "they could be found"
        )
    if len({label for of in labels.sets for label in of}) == 1:
        notes.append("there is only one label, so there was next to nothing wrong to find")
    return tuple(notes)


def _nothing_to_ask(labels: Labels, at_least: int) -> str:
    count = len({label for of in labels.sets for label in of})
    return (
        f"nothing to ask: of the {len(labels.ids):,} pictures, with {count:,} labels by {labels.what}, none "
        f"has a label that {at_least} or more have among the pictures that are searched"
    )

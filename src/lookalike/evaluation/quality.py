"""Measure how good a gallery's answers are, where labels say which pictures belong together."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation import labels as label_reading
from lookalike.evaluation import measures, splits
from lookalike.evaluation.results import Evaluation, LabelQuality
from lookalike.extractors.names import require_model
from lookalike.indexes import distances
from lookalike.reports import Progress
from lookalike.stores import where

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.labels import Labels, LabelsLike
    from lookalike.gallery import Gallery
    from lookalike.types import Floats

    SplitLike: TypeAlias = float | str | Collection[str]

RANKS = (1, 5, 10)
DEPTH = 100
_DEEPEST = 1_000_000

_NUMBERS = 1 << 25
"""Numbers of query vectors that are held at a time, in float64: 256 MB."""

_SCORES = 1 << 22
"""Scores that are looked at at a time."""

_PICTURES = 4096
"""Pictures read at a time; the store reads fewer of long vectors."""


def evaluate(  # noqa: PLR0913  # each is a wish of its own
    gallery: Gallery,
    labels: LabelsLike,
    *,
    k: Sequence[int] = RANKS,
    at_least: int = 2,
    queries: int | None = None,
    split: SplitLike | None = None,
    only: Collection[str] | None = None,
    seed: int = 0,
    depth: int = DEPTH,
    progress: Callable[[Progress], object] | None = None,
) -> Evaluation:
    """Query a gallery with its own pictures; those that share a label with the query are relevant.

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
        queries: at most so many of each label ask, drawn at random; default all.
        split: which pictures are queries and can't be found: a share between 0 and 1 of those that
            have a label, drawn at random; a filter such as `folder=queries` or `part=test`; or a
            collection of ids. Of a model that was trained here also `test`, `validation` or `train`: only
            the pictures of that part of its own split are looked at, each asks for all others.
        only: ids of the pictures to look at; default all.
        seed: of the random choices.
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
    known = label_reading.read(labels, label_reading.Pictures.of(gallery)).among(only)
    said: tuple[str, ...] = ()
    if (part := splits.part_meant(split)) is not None:
        require_model(gallery.model, gallery.access)  # whose folder has the split
        held = splits.pictures_of_part([gallery.model], part, gallery.root, known.ids)
        known, said, split = known.among(held), splits.notes_on_part(part, len(held)), None
    asking, searched = _parts(known, gallery, split, seed)
    asked, rare = _eligible(known, asking, searched, at_least)
    if queries is not None:  # of several labels the first in order counts
        firsts = [min(known.sets[row]) for row in asked]
        asked = asked[measures.sample(firsts, at_most=queries, seed=seed)]
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
        metric=gallery.store.header.space.metric,
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
    """Check, before pictures are extracted, that there will be something to ask.

    Raises:
        UsageError: no label is frequent enough among the pictures looked at.
    """
    labels = labels.among(only)
    every = np.arange(len(labels.ids))
    _eligible(labels, every, np.ones(len(every), bool), at_least)


def _parts(
    labels: Labels, gallery: Gallery, split: SplitLike | None, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the rows that may ask, and which pictures are searched."""
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
    conditions = where.conditions(split, gallery.store)
    return frozenset(record.id for batch in gallery.store.scan(where=conditions) for record in batch.records)


def _eligible(
    labels: Labels, asking: NDArray[np.intp], searched: NDArray[np.bool_], at_least: int
) -> tuple[NDArray[np.intp], int]:
    """Return the rows that ask, and how many do not because too few others share a label with them.

    Raises:
        UsageError: none does.
    """
    alike = measures.Relevance(labels.sets)
    labelled = [row for row in asking.tolist() if labels.sets[row]]
    # Itself counts among those that have its label, whether it is searched or not.
    counts = [searched[alike.of(row)].sum() + (not searched[row]) for row in labelled]
    kept = [row for row, count in zip(labelled, counts, strict=True) if count >= at_least]
    if not kept:
        raise UsageError(
            f"nothing to ask: of the {len(labels.ids):,} pictures, with {len(labels.names):,} labels by "
            f"{labels.what}, none has a label that {at_least} or more have among the pictures that are "
            "searched"
        )
    return np.array(kept, np.intp), len(labelled) - len(kept)


def _values(ranking: measures.Ranking, k: Sequence[int], depth: int) -> dict[str, NDArray[np.floating]]:
    """Return each measure of every query, by its name."""
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
    counts = Counter(label for several in labels for label in several)
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
    if len(labels.names) == 1:
        notes.append("there is only one label, so there was next to nothing wrong to find")
    return tuple(notes)


def rankings(
    gallery: Gallery,
    ids: Sequence[str],
    labels: Sequence[Hashable],
    *,
    queries: NDArray[np.intp],
    searched: NDArray[np.bool_],
    depth: int,
    progress: Callable[[Progress], object] | None = None,
) -> measures.Ranking:
    """Rank the pictures searched for each query, by the gallery's own metric.

    A picture is never its own answer. The gallery's vectors are read once for every 256 MB of query
    vectors, some thousand pictures at a time, and nothing but the best of each query is kept.

    Args:
        gallery: whose vectors.
        ids: its pictures.
        labels: of each its label, as `lookalike.evaluation.measures` has them.
        queries: the rows of those that ask, shape (q,), at least one.
        searched: which pictures can be found, shape (n,); for each query at least one besides itself.
        depth: how many ranks to keep.
        progress: called with how many queries have been answered, and of the last ones the share.
    """
    places = {id_: row for row, id_ in enumerate(ids)}
    alike = measures.Relevance(labels)
    metric = gallery.store.header.space.metric
    # With itself left out a query can't fill more ranks than this.
    depth = min(depth, int(searched.sum()) - bool(searched[queries].any()))
    block = max(1, _NUMBERS // gallery.store.header.space.dim)
    rankings: list[measures.Ranking] = []
    began = time.perf_counter()
    for start in range(0, len(queries), block):
        asked = queries[start : start + block]
        parts = list(_parts_of(gallery, asked, [ids[row] for row in asked], depth))
        for share, found, pictures in _searched(gallery, places, searched):
            for rows, vectors, best in parts:
                scores = similarity(vectors, pictures, metric)  # (q, n)
                relevant = alike.between(rows, found)
                itself = rows[:, None] == found
                scores[itself], relevant[itself] = -np.inf, False
                best.add(scores, relevant)
            if progress is not None:
                done = start + int(share * len(asked))
                progress(Progress(done, len(queries), 0, time.perf_counter() - began))
        rankings += [best.ranking(rows) for rows, _, best in parts]
    return measures.join(rankings)


def _parts_of(
    gallery: Gallery, asked: NDArray[np.intp], ids: list[str], depth: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.floating], measures.Shortlist]]:
    """Yield queries with their vectors in parts whose scores on one batch of pictures are not too many."""
    vectors: NDArray[np.floating] = gallery.vectors(ids)
    if gallery.store.header.space.metric in distances.CORE:
        vectors = vectors.astype(np.float64)  # as `similarity` wants them, once and not for every batch
    size = _SCORES // _PICTURES
    for start in range(0, len(asked), size):
        part = slice(start, start + size)
        yield asked[part], vectors[part], measures.Shortlist(depth)


def _searched(
    gallery: Gallery, places: Mapping[str, int], searched: NDArray[np.bool_]
) -> Iterator[tuple[float, NDArray[np.intp], Floats]]:
    """Yield the share that was read, and the rows and vectors of some of the pictures searched."""
    read = 0
    for batch in gallery.store.scan(batch=_PICTURES):
        read += len(batch.records)
        # What came in since the labels were read has no row.
        found = np.array([places.get(record.id, -1) for record in batch.records], np.intp)
        wanted = (found >= 0) & searched[found]
        if wanted.any():
            yield min(read / len(places), 1), found[wanted], batch.vectors[wanted]


def similarity(queries: NDArray[np.floating], pictures: Floats, metric: str) -> Floats:
    """Return scores by the metric, larger is closer, the same for equal vectors wherever they stand.

    A sum of many products depends on the order in which they are added, and so equal vectors may
    differ in the last digit, which would order what has no order. In float64 that digit is far behind
    the ones that are returned.

    Args:
        queries: ndarray of shape (q, dim); in float64 they need not be copied.
        pictures: ndarray of shape (n, dim), float32.
        metric: as `lookalike.indexes.distances` has them.

    Returns:
        ndarray of shape (q, n).
    """
    if metric not in distances.CORE:
        return distances.estimates(queries.astype(np.float32, copy=False), pictures, metric)
    one, other = np.asarray(queries, np.float64), np.asarray(pictures, np.float64)
    products: NDArray[np.float64] = one @ other.T  # (q, n)
    if metric == "inner":
        return products.astype(np.float32)
    ours, theirs = (np.einsum("ij,ij->i", x, x) for x in (one, other))
    if metric == "cosine":
        sizes = np.sqrt(ours)[:, None] * np.sqrt(theirs)
        products = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
        return products.astype(np.float32)
    sums = ours[:, None] + theirs
    squares = sums - 2 * products
    # What is left of equal vectors is the rounding of their squares.
    squares[squares < 1e-13 * sums] = 0
    scores: Floats = -np.sqrt(squares).astype(np.float32)
    return scores

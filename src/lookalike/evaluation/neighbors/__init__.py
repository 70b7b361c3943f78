"""The most similar pictures for every picture of a gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.evaluation.neighbors.facts import Facts, page
from lookalike.evaluation.neighbors.files import check_file, write
from lookalike.evaluation.neighbors.finding import found
from lookalike.evaluation.neighbors.neighbor import Neighbor
from lookalike.indexes import distances
from lookalike.search.distinct import check_fields, checked_k, checked_score, distinct_fields
from lookalike.stores import where as filtering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lookalike.gallery.reader import Reader
    from lookalike.reports import Progress
    from lookalike.stores.where import WhereLike

__all__ = ["Facts", "Neighbor", "check_file", "neighbors", "page", "write"]


def neighbors(
    gallery: Reader,
    k: int = 3,
    *,
    exact: bool = False,
    where: WhereLike = None,
    distinct: str | None = None,
    unique: bool = False,
    min_score: float | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Iterator[tuple[str, list[Neighbor]]]:
    """The k most similar for every picture of a gallery, in the order of ids.

    A picture is left out of its own answer; another of the same vector is not. Of equally similar
    pictures the one whose id comes first is better. Without `exact`, in a large gallery, pictures
    are compared by sketches whose recall was measured on pictures of this gallery to be .999.

    Args:
        gallery: the gallery.
        k: how many for each.
        exact: compare whole vectors, even where sketches would do.
        where: only pictures that pass this filter, on either side; as for `Gallery.search`.
        distinct: a field; for each picture only the best of each value, its own left out: with
            several pictures a product, the most similar other products.
        unique: only one of pictures whose files are identical, its own left out.
        min_score: leave out neighbours of a smaller score.
        progress: called now and then while pairs are compared.

    Raises:
        UsageError: k is below 1, or absurdly large, or min_score no number.
        FilterError: the filter can't be read, or names an unknown field, as `distinct` may.
        MissingExtra: the gallery's metric is scikit-learn's, which is not installed.

    >>> for id, hits in neighbors(gallery, k=3):  # doctest: +SKIP
    ...     print(id, [hit.id for hit in hits])
    """
    k = checked_k(k)
    store = gallery.store
    distances.check(store.header.space.metric)
    fields = distinct_fields(distinct, unique=unique)
    check_fields(fields, store)
    conditions = filtering.conditions(where, store)
    least = checked_score(min_score)
    answers = found(store, k, exact=exact, where=conditions, fields=fields, progress=progress)
    return ((id_, [one for one in near if one.score >= least]) for id_, near in answers)

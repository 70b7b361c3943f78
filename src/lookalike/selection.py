"""Which of the ranked candidates become hits."""

from __future__ import annotations

import math
import operator
import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import FilterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.types import Record, Store, Value

_MOST = 2**31 - 1
"""The largest number of pictures that can be asked for; a few times as many still fit a machine word."""


class Ranked(NamedTuple):
    """A candidate: its id, its score, and the parts of the score."""

    id: str
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the ranked candidates become hits.

    k: how many are wanted.
    query: the record of the query, if it is a picture of the gallery; left out of its own answer.
    distinct: fields; only the best of each value of each of them is kept, and the query's own
        values are left out. `digest` means the picture's bytes.
    """

    k: int
    query: Record | None = None
    distinct: tuple[str, ...] = ()

    @property
    def first_look(self) -> int:
        """How many candidates are enough in the usual case."""
        return self.k * (3 if self.distinct else 1) + (self.query is not None)

    def choose(self, rank: Callable[[int], Sequence[Ranked]], store: Store) -> list[tuple[Ranked, Record]]:
        """Look deeper into the ranking until k pictures are chosen or there are no more."""
        most = store.limits.k or sys.maxsize
        depth = min(self.first_look, most)
        kept = _Kept(self)
        while True:
            ranked = rank(depth)
            kept.take(ranked, store)
            if len(kept.pairs) >= self.k or len(ranked) < depth or depth == most:
                return kept.pairs[: self.k]
            depth = min(4 * depth, most)

    def values(self, record: Record) -> set[tuple[str, Value | bytes]]:
        """The record's values of the distinct fields; none for a field it lacks."""
        values = ((field, value_of(record, field)) for field in self.distinct)
        return {(field, value) for field, value in values if value is not None}


class _Kept:
    """The candidates chosen so far; a deeper look goes on where the one before ended."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.pairs: list[tuple[Ranked, Record]] = []
        self._done = {selection.query.id} if selection.query is not None else set()
        self._values = set() if selection.query is None else selection.values(selection.query)

    def take(self, ranked: Sequence[Ranked], store: Store) -> None:
        """Choose among the candidates that were not there before, some at a time, until there are enough."""
        new = (candidate for candidate in ranked if candidate.id not in self._done)
        while len(self.pairs) < self.selection.k and (some := list(islice(new, self.selection.first_look))):
            records = store.get([candidate.id for candidate in some])
            self._done.update(candidate.id for candidate in some)
            for candidate, record in zip(some, records, strict=True):
                # A record is None when another process has just removed the picture.
                if record is not None:
                    self._consider(candidate, record)

    def _consider(self, candidate: Ranked, record: Record) -> None:
        values = self.selection.values(record)
        if not values & self._values:
            self.pairs.append((candidate, record))
            self._values |= values


def value_of(record: Record, field: str) -> Value | bytes | None:
    """A field's value in a record; None where it has none."""
    folder, _, name = record.id.rpartition("/")
    own: dict[str, Value | bytes] = {
        "folder": folder,
        "name": name,
        "width": record.width,
        "height": record.height,
        "digest": record.digest,
    }
    return own[field] if field in own else record.metadata.get(field)


def distinct_fields(distinct: str | None, *, unique: bool) -> tuple[str, ...]:
    """The fields of a `Selection`: the one named, and the picture's bytes for `unique`."""
    return (*((distinct,) if distinct else ()), *(("digest",) if unique else ()))


def distance_of(score: float, metric: str) -> float:
    """The distance a score stands for, smaller is closer: 1 − score for cosine and keywords, else −score."""
    return 1 - score if metric in {"cosine", "keywords"} else -score


def check_fields(fields: Sequence[str], store: Store) -> None:
    """Raise `FilterError` unless the gallery has these fields."""
    known = store.fields() if fields else {}
    for field in fields:
        if field != "digest" and field not in known:
            raise FilterError(f"the gallery has no field {field!r}; it has {', '.join(known)}")


def checked_k(k: int) -> int:
    """Return how many pictures are asked for. Raises `UsageError` unless it is a whole number, 1 or more."""
    try:
        number = operator.index(k)
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"k is {k!r}; expected a whole number, 1 or more")
    if number > _MOST:
        raise UsageError(f"k is too large; expected at most {_MOST:,}")
    return number


def checked_score(score: float | None) -> float:
    """Return the score below which nothing is wanted; minus infinity for None.

    Raises:
        UsageError: it is no number.
    """
    try:
        least = -math.inf if score is None else float(score)
    except (TypeError, ValueError):
        least = math.nan
    if math.isnan(least):
        raise UsageError(f"min_score is {score!r}; expected a number")
    return least

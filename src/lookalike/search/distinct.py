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
    from collections.abc import Callable, Iterator, Sequence

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
        """Look deeper into the ranking until k pictures are chosen or there are no more.

        A deeper look may see a later state of the store, so it is chosen from anew: what came first in
        one state need not come before what comes next in another.
        """
        most = store.limits.k or sys.maxsize
        depth = min(self.first_look, most)
        records: dict[str, Record] = {}
        while True:
            ranked = rank(depth)
            pairs = list(islice(self._chosen(ranked, store, records), self.k))
            if len(pairs) >= self.k or len(ranked) < depth or depth == most:
                return pairs
            depth = min(4 * depth, most)

    def _chosen(
        self, ranked: Sequence[Ranked], store: Store, records: dict[str, Record]
    ) -> Iterator[tuple[Ranked, Record]]:
        """Candidates with new values and their records, which are looked up some at a time and remembered."""
        own = None if self.query is None else self.query.id
        seen = set() if self.query is None else self.values(self.query)
        candidates = (candidate for candidate in ranked if candidate.id != own)
        while some := list(islice(candidates, self.first_look)):
            new = [candidate.id for candidate in some if candidate.id not in records]
            # A record is None when another process has just removed the picture.
            records |= {record.id: record for record in store.get(new) if record is not None}
            for candidate in some:
                record = records.get(candidate.id)
                if record is not None and not (values := self.values(record)) & seen:
                    seen |= values
                    yield candidate, record

    def values(self, record: Record) -> set[tuple[str, Value | bytes]]:
        """The record's values of the distinct fields; none for a field it lacks."""
        values = ((field, value_of(record, field)) for field in self.distinct)
        return {(field, value) for field, value in values if value is not None}


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

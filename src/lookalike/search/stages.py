"""Stages: what becomes of ranked candidates on their way to an answer, one step after the other."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, overload

from lookalike.errors import FilterError, NotFound, UsageError

if TYPE_CHECKING:
    from lookalike.types import Floats, Record, Space, Store, Value

_MOST = 2**31 - 1
"""The largest number of pictures that can be asked for; a few times as many still fit a machine word."""

RERANKED = 20
"""How many of the nearest are ranked anew by text, if no more are wanted."""


class Ranked(NamedTuple):
    """A candidate: its id, its score (larger is closer), and the parts of the score."""

    id: str
    score: float
    parts: dict[str, float]


class Records:
    """The records of a gallery as one search sees them: each is looked up once."""

    def __init__(self, store: Store) -> None:
        """Look them up in this store."""
        self.store = store
        self._known: dict[str, Record | None] = {}

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the records of ids; None for a picture that another process has just removed."""
        known = self._known
        if new := [id_ for id_ in ids if id_ not in known]:
            known.update(zip(new, self.store.get(new), strict=True))
        return [known[id_] for id_ in ids]


class Candidates(Sequence[Ranked]):
    """Ranked pictures, best first, with their records and vectors for a stage that wants them."""

    def __init__(self, ranked: Sequence[Ranked], records: Records) -> None:
        """Rank these pictures; nothing is looked up yet."""
        self.ranked = ranked
        self._records = records

    @overload
    def __getitem__(self, place: int) -> Ranked: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Ranked]: ...
    def __getitem__(self, place: int | slice) -> Ranked | Sequence[Ranked]:
        """The candidate of that place, counted from 0."""
        return self.ranked[place]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ranked)

    def records(self, count: int | None = None) -> list[Record | None]:
        """Return the records of all, or of the first so many; None for a picture that was just removed."""
        return self._records.get([candidate.id for candidate in islice(self.ranked, count)])

    def vectors(self) -> Floats:
        """Return the stored vectors, array of shape (candidates, dim); zeros for a picture just removed."""
        import numpy as np

        store = self._records.store
        ids = [candidate.id for candidate in self.ranked]
        try:
            return store.vectors(ids)
        except NotFound:
            rows = np.zeros((len(ids), store.header.space.dim), np.float32)
            present = [row for row, record in enumerate(store.get(ids)) if record is not None]
            if present:
                rows[present] = store.vectors([ids[row] for row in present])
            return rows


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as stages see it.

    label: the query in words.
    records: of its pictures that are in the gallery, without those that it takes away.
    left_out: the records of the gallery's pictures that are no hits, because they are the query.
    vector: array of shape (dim,), float32; None for words that are looked up.
    words: what was asked in words; "" for none.
    """

    label: str
    records: tuple[Record, ...] = ()
    left_out: tuple[Record, ...] = ()
    vector: Floats | None = field(default=None, compare=False)
    words: str = ""


class Stage(Protocol):
    """A step between the candidates of the store and the answer: it leaves some out, or orders them anew.

    A stage that leaves candidates out may have an attribute `drops`, True, which says that a deeper look
    can make up for them: it is then asked again with more candidates, until it gives as many as are wanted.
    """

    @property
    def name(self) -> str:
        """What it is called in `Hits.stages`."""

    def depth(self, k: int) -> int:
        """Return how many candidates it wants to give k."""

    def order(self, candidates: Candidates, query: Asked, space: Space) -> Sequence[Ranked]:
        """Return the candidates that stay, best first, with the scores they have from now on."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way from the candidates of a store to the pictures of an answer.

    rank: gives the best candidates, of which it is told the number.
    stages: what they go through.
    most: how many candidates the store can give; None for all.
    """

    rank: Callable[[int], Sequence[Ranked]]
    stages: Sequence[Stage]
    query: Asked
    space: Space
    records: Records
    most: int | None = None

    def best(self, k: int) -> Sequence[Ranked]:
        """Return the k best after all stages; fewer where there are no more."""
        return self._after(len(self.stages), k)

    def _after(self, count: int, k: int) -> Sequence[Ranked]:
        """Return the k best after the first so many stages.

        A deeper look may see a later state of the store, so everything is ordered from anew: what came first
        in one state need not come before what comes next in another.
        """
        if not count:
            return self.rank(k)
        stage, most = self.stages[count - 1], self.most or sys.maxsize
        depth = min(stage.depth(k), most)
        while True:
            found = self._after(count - 1, depth)
            kept = stage.order(Candidates(found, self.records), self.query, self.space)
            final = not getattr(stage, "drops", False) or len(found) < depth or depth >= most
            if final or len(kept) >= k:
                return kept[:k]
            depth = min(4 * depth, most)


def first_look(stages: Sequence[Stage], k: int, most: int | None) -> int:
    """Return how many candidates are enough for k pictures in the usual case."""
    for stage in reversed(stages):
        k = min(stage.depth(k), most or sys.maxsize)
    return k


@dataclass(frozen=True, slots=True)
class Present:
    """Leave out the pictures of the query, and those that were removed while the store was asked.

    count: how many have to be there, None for all; of the others it is seen when they are shown.
    queries: how many pictures a query has at most.
    """

    count: int | None
    queries: int = 1
    name: ClassVar[str] = "present"
    drops: ClassVar[bool] = True

    def depth(self, k: int) -> int:
        """Return k, and as many as are left out."""
        return k + self.queries

    def order(self, candidates: Candidates, query: Asked, space: Space) -> Sequence[Ranked]:  # noqa: ARG002
        """Return the others, in their order."""
        own = {record.id for record in query.left_out}
        records = candidates.records(None if self.count is None else self.count + len(own))
        gone = {candidates[place].id for place, record in enumerate(records) if record is None}
        out = own | gone
        return [candidate for candidate in candidates.ranked if candidate.id not in out]


@dataclass(frozen=True, slots=True)
class Distinct:
    """Keep the best of each value of some fields; the values of the query itself are left out.

    fields: of the gallery; `digest` means the picture's bytes.
    """

    fields: tuple[str, ...]
    drops: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """`distinct`, and the fields."""
        return f"distinct {', '.join(self.fields)}"

    def depth(self, k: int) -> int:
        """Return how many candidates have k values in the usual case."""
        return 3 * k

    def order(self, candidates: Candidates, query: Asked, space: Space) -> list[Ranked]:  # noqa: ARG002
        """Return the best of each value; a picture without one stays."""
        seen = {value for record in query.left_out for value in self._values(record)}
        kept = []
        for candidate, record in zip(candidates, candidates.records(), strict=True):
            if record is not None and not (values := self._values(record)) & seen:
                seen |= values
                kept.append(candidate)
        return kept

    def _values(self, record: Record) -> set[tuple[str, Value | bytes]]:
        """Return the record's values of the fields; none for a field it lacks."""
        values = ((field_, value_of(record, field_)) for field_ in self.fields)
        return {(field_, value) for field_, value in values if value is not None}


@dataclass(frozen=True, slots=True)
class TextLikeness:
    """Rank the nearest pictures anew by how alike a text of their metadata is.

    field: a field of the gallery.
    text: what its values are compared with; None for the query's own value.
    """

    field: str
    text: str | None

    @classmethod
    def parse(cls, text: str, store: Store) -> TextLikeness:
        """Read `category`, or `category=Shoes` for a query that has no metadata.

        Raises:
            FilterError: the gallery has no such field.
        """
        name, equals, wanted = text.partition("=")
        if name not in (known := store.fields()):
            raise FilterError(f"the gallery has no field {name!r}; it has {', '.join(known)}")
        return cls(name, wanted if equals else None)

    @property
    def name(self) -> str:
        """`text likeness`, and the field."""
        return f"text likeness {self.field}"

    def depth(self, k: int) -> int:
        """Return how many of the nearest are ranked anew."""
        return max(k, RERANKED)

    def order(self, candidates: Candidates, query: Asked, space: Space) -> list[Ranked]:  # noqa: ARG002
        """Return all, those of the likest text first, of equal ones the nearer first.

        The score is the likeness, 0 to 1 (0 for one without such a text), and stands among its parts under
        the field's name.

        Raises:
            UsageError: the query has no text to compare with.
        """
        from rapidfuzz import fuzz

        text = self.text if self.text is not None else _text(next(iter(query.records), None), self.field)
        if not text:
            raise UsageError(
                f"{query.label} has no {self.field!r} to rank by; tell one: {self.field}=TEXT, or search "
                "with a picture of the gallery that has it"
            )
        ranked = []
        wanted = _words(text)
        for candidate, record in zip(candidates, candidates.records(), strict=True):
            own = _words(_text(record, self.field))
            likeness = fuzz.token_sort_ratio(wanted, own) / 100 if own else 0.0
            # A field may be called as a part that is there already.
            name = f"{self.field} text" if self.field in candidate.parts else self.field
            ranked.append(candidate._replace(score=likeness, parts={**candidate.parts, name: likeness}))
        return sorted(ranked, key=lambda candidate: -candidate.score)  # stable: the nearer stays before


@dataclass(frozen=True, slots=True)
class MinScore:
    """Leave out what has a smaller score."""

    least: float

    @property
    def name(self) -> str:
        """`score`, and the least."""
        return f"score >= {self.least:g}"

    def depth(self, k: int) -> int:
        """Return k: what comes after has smaller scores."""
        return k

    def order(self, candidates: Candidates, query: Asked, space: Space) -> list[Ranked]:  # noqa: ARG002
        """Return those of at least this score."""
        return [candidate for candidate in candidates if candidate.score >= self.least]


def _text(record: Record | None, name: str) -> str:
    """The text of a field; empty where there is none."""
    value = None if record is None else value_of(record, name)
    return "" if value is None or isinstance(value, bytes) else str(value)


def _words(text: str) -> str:
    """A text for comparing: without case and punctuation, unless it is nothing else."""
    from rapidfuzz import utils

    return utils.default_process(text) or text.strip().lower()


def value_of(record: Record, name: str) -> Value | bytes | None:
    """Return a field's value in a record; None where it has none."""
    folder, _, file = record.id.rpartition("/")
    own: dict[str, Value | bytes] = {
        "folder": folder,
        "name": file,
        "width": record.width,
        "height": record.height,
        "digest": record.digest,
    }
    return own[name] if name in own else record.metadata.get(name)


def distinct_fields(distinct: str | None, *, unique: bool) -> tuple[str, ...]:
    """Return the fields of a `Distinct`: the one named, and the picture's bytes for `unique`."""
    return (*((distinct,) if distinct else ()), *(("digest",) if unique else ()))


def distance_of(score: float, metric: str) -> float:
    """Return the distance a score stands for: 1 − score for cosine and keywords, else −score."""
    return 1 - score if metric in {"cosine", "keywords"} else -score


def check_fields(fields: Iterable[str], store: Store) -> None:
    """Raise `FilterError` unless the gallery has these fields."""
    known = store.fields() if fields else {}
    for name in fields:
        if name != "digest" and name not in known:
            raise FilterError(f"the gallery has no field {name!r}; it has {', '.join(known)}")


def checked_k(k: int, name: str = "k") -> int:
    """Return how many pictures are asked for. Raises `UsageError` unless it is a whole number, 1 or more."""
    try:
        number = operator.index(k)
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"{name} is {k!r}; expected a whole number, 1 or more")
    if number > _MOST:
        raise UsageError(f"{name} is too large; expected at most {_MOST:,}")
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

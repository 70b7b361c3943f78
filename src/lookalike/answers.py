"""From ranked ids to hits: leave out the query, keep the best of each value, join the records."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from lookalike import images, vocabulary
from lookalike.errors import FilterError, ImageError, ModelError, UsageError
from lookalike.queries import Resolved, resolve
from lookalike.results import Hit, Hits
from lookalike.types import Tag
from lookalike.walk import path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.images import ImageLimits
    from lookalike.queries import Query
    from lookalike.types import (
        Extraction,
        Extractor,
        Floats,
        Header,
        Neighbours,
        Record,
        Store,
        Term,
        Value,
        Where,
    )


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


@dataclass(frozen=True, slots=True)
class Answering:
    """What it takes to answer: the store, the gallery's root, its extractor, limits on pictures."""

    store: Store
    root: str
    extractor: Callable[[], Extractor]
    limits: ImageLimits

    def search(
        self, queries: Sequence[Query], k: int, where: Where, distinct: tuple[str, ...], *, exact: bool
    ) -> list[Hits]:
        """The nearest pictures of each query."""
        check_fields(distinct, self.store)
        resolved = [resolve(query, self.store, self.root, self.limits) for query in queries]
        if not resolved:
            return []
        header = self.store.header
        vectors = self._vectors(resolved, header.dim)
        ids = [query.id for query in resolved if query.id is not None]
        own = {record.id: record for record in self.store.get(ids) if record is not None} if ids else {}
        selections = [Selection(k, own.get(query.id or ""), distinct) for query in resolved]
        # One call for all of them; a selection that needs to look deeper asks again for itself.
        look = max(selection.first_look for selection in selections)
        first = self.store.search(vectors, look, where=where, exact=exact)

        def ranking(row: int) -> Callable[[int], Sequence[Ranked]]:
            def rank(depth: int) -> Sequence[Ranked]:
                if depth <= look:
                    return _Nearest(first[row])
                query = vectors[row : row + 1]
                return _Nearest(self.store.search(query, depth, where=where, exact=exact)[0])

            return rank

        return [
            self._answer(query, selection.choose(ranking(row), self.store), header, header.metric)
            for row, (query, selection) in enumerate(zip(resolved, selections, strict=True))
        ]

    def find(self, words: str, k: int, where: Where, distinct: tuple[str, ...], *, only: str | None) -> Hits:
        """The pictures that satisfy every word."""
        check_fields(distinct, self.store)
        header = self.store.header
        classes = header.classes
        terms = vocabulary.terms(words, classes)
        if not terms:
            raise UsageError("no words to find were given")

        def rank(depth: int) -> list[Ranked]:
            matches = self.store.find(terms, depth, where=where, only=only)
            return [Ranked(m.id, m.score, {"classes": m.classes, "text": m.text}) for m in matches]

        chosen = Selection(k, None, distinct).choose(rank, self.store)
        notes = [] if chosen else self._did_you_mean(terms)
        if classes is None and only != "text":
            notes.append(f"{header.extractor} has no classes: names and metadata were searched alone")
        return self._answer(Resolved(words), chosen, header, "keywords", tuple(notes))

    def thumbnail(self, id_: str) -> bytes | None:
        """A small JPEG of a picture; None if its file can't be read now."""
        record = self.store.get([id_])[0]
        if record is None or record.thumbnail is not None:
            return None if record is None else record.thumbnail
        try:
            content = images.read_file(path_of(id_, self.root), self.limits)
            return thumbnail_of(content, self.limits)
        except ImageError:
            return None

    def _vectors(self, queries: Sequence[Resolved], dim: int) -> Floats:
        """The vectors of the queries, ndarray of shape (q, dim)."""
        import numpy as np

        vectors = np.zeros((len(queries), dim), np.float32)
        stored = [row for row, query in enumerate(queries) if query.id is not None]
        if stored:
            vectors[stored] = self.store.vectors([queries[row].id or "" for row in stored])
        fresh = [row for row, query in enumerate(queries) if query.content is not None]
        if fresh:
            vectors[fresh] = extract(self.extractor(), [queries[row] for row in fresh], self.limits).vectors
        for row, query in enumerate(queries):
            if query.vector is not None:
                vectors[row] = _checked(query.vector, dim)
        return vectors

    def _answer(
        self,
        query: Resolved,
        chosen: Sequence[tuple[Ranked, Record]],
        header: Header,
        metric: str,
        notes: tuple[str, ...] = (),
    ) -> Hits:
        def query_thumbnail() -> bytes | None:
            if query.content is not None:
                return thumbnail_of(query.content, self.limits)
            return None if query.id is None else self.thumbnail(query.id)

        return Hits(
            query=query.label,
            model=header.extractor,
            metric=metric,
            hits=hits(chosen, header, self.root, metric),
            notes=notes,
            query_thumbnail=query_thumbnail,
            thumbnail=self.thumbnail,
        )

    def _did_you_mean(self, terms: Sequence[Term]) -> list[str]:
        classes = self.store.header.classes
        notes = []
        for term in terms:
            if not term.classes and not self.store.find([term], 1, only="text"):
                close = vocabulary.suggest(term.text, classes)
                hint = f"; did you mean {', '.join(close)}?" if close else ""
                notes.append(f"{term.text!r} is no word of the model, nor in any name or metadata{hint}")
        return notes


def extract(extractor: Extractor, queries: Sequence[Resolved], limits: ImageLimits) -> Extraction:
    """Decode the pictures of queries and run the network on them.

    Raises:
        ImageError: one of them can't be read; the message says which.
    """
    return extractor.extract([_prepared(extractor, query, limits) for query in queries])


def _prepared(extractor: Extractor, query: Resolved, limits: ImageLimits) -> NDArray[np.generic]:
    try:
        return extractor.prepare(
            images.decode(query.content or b"", size=extractor.size, limits=limits).image
        )
    except ImageError as error:
        raise ImageError(f"{query.label}: {error}") from error


def best_tags(extractor: Extractor, query: Resolved, k: int, limits: ImageLimits) -> list[Tag]:
    """The k best classes of a query's picture, straight from the network."""
    import numpy as np

    classes = extractor.classes
    scores = None if classes is None else extract(extractor, [query], limits).scores
    if scores is None or classes is None:
        raise ModelError(without_classes(extractor.name))
    best = np.argsort(-scores[0], kind="stable")[:k].tolist()
    return [Tag(classes.ids[i], classes.names[i], float(scores[0, i])) for i in best]


def without_classes(model: str) -> str:
    """What to say of a model that has no classes."""
    return f"{model} has no classes, so it can't say what a picture shows"


def thumbnail_of(content: bytes, limits: ImageLimits) -> bytes | None:
    """A small JPEG of an encoded picture; None if it can't be read."""
    side = images.THUMBNAIL_SIDE
    try:
        return images.thumbnail(images.decode(content, size=(side, side), limits=limits).image)
    except ImageError:
        return None


class _Nearest(Sequence[Ranked]):
    """Neighbours as candidates, made one by one: a deep look has many of them."""

    def __init__(self, found: Neighbours) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found.ids)

    @overload
    def __getitem__(self, place: int) -> Ranked: ...
    @overload
    def __getitem__(self, place: slice) -> list[Ranked]: ...
    def __getitem__(self, place: int | slice) -> Ranked | list[Ranked]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        score = float(self._found.scores[place])
        return Ranked(self._found.ids[place], score, {"vector": score})


def _checked(vector: NDArray[np.floating[Any]], dim: int) -> NDArray[np.floating[Any]]:
    if vector.shape != (dim,):
        raise UsageError(f"the query has {vector.shape[0]} numbers; the gallery's vectors have {dim}")
    return vector


def check_fields(fields: Sequence[str], store: Store) -> None:
    """Raise `FilterError` unless the gallery has these fields."""
    known = store.fields() if fields else {}
    for field in fields:
        if field != "digest" and field not in known:
            raise FilterError(f"the gallery has no field {field!r}; it has {', '.join(known)}")


def hits(chosen: Sequence[tuple[Ranked, Record]], header: Header, root: str, metric: str) -> tuple[Hit, ...]:
    """Join candidates with their records; metric is the gallery's, or `keywords`."""
    names = names_of(header)
    return tuple(
        Hit(
            rank=rank,
            id=record.id,
            path=path_of(record.id, root) if record.source in {"walk", "file"} else None,
            score=candidate.score,
            distance=-candidate.score if metric in {"euclidean", "inner"} else 1 - candidate.score,
            scores=candidate.parts,
            tags=tags_of(record, names),
            metadata=record.metadata,
        )
        for rank, (candidate, record) in enumerate(chosen, start=1)
    )


def names_of(header: Header) -> dict[str, str]:
    """The names of the classes of a gallery, by id."""
    return {} if header.classes is None else header.classes.by_id


def tags_of(record: Record, names: dict[str, str]) -> tuple[Tag, ...]:
    """The classes the network saw in a picture, best first."""
    return tuple(Tag(id_, names.get(id_, id_), score) for id_, score in record.scores)

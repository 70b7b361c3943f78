"""From queries to answers: vectors, candidates of the store, stages, and the records joined to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from lookalike import images
from lookalike.errors import ImageError, ModelError, StoreBusy, StoreChanged, UsageError
from lookalike.extractors import vocabulary
from lookalike.extractors.model import IMPORTED
from lookalike.search import words as wording
from lookalike.search.hits import Answers, Hit, Hits
from lookalike.search.query import combined
from lookalike.search.resolve import resolve
from lookalike.search.stages import (
    Asked,
    Distinct,
    MinScore,
    Present,
    Ranked,
    Records,
    Route,
    TextLikeness,
    check_fields,
    distance_of,
    first_look,
)
from lookalike.sources.folder import is_address, path_of
from lookalike.sources.remote import is_remote
from lookalike.sources.thumbnails import thumbnail_of, thumbnail_of_file
from lookalike.system.tracing import timed
from lookalike.types import Tag

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lookalike.images import ImageLimits
    from lookalike.search.query import QueryLike
    from lookalike.search.resolve import ResolvedPart, ResolvedQuery
    from lookalike.search.stages import Stage
    from lookalike.sources.access import Access
    from lookalike.types import Extraction, Extractor, Floats, Header, Neighbours, Record, Store, Term, Where

T = TypeVar("T")

_TRIES = 5
"""How often a question is asked of a gallery that is replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What is wanted of a search, as `Gallery.search` describes it.

    limit: how many of the k are joined with their records at once; None for all.
    """

    k: int
    where: Where = ()
    distinct: tuple[str, ...] = ()
    exact: bool = False
    include_self: bool = False
    rerank: str | None = None
    min_score: float | None = None
    by: Literal["classes", "text"] | None = None
    stages: Sequence[Stage] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Searcher:
    """What it takes to answer: the store, the gallery's extractor, and what the gallery may reach."""

    store: Store
    access: Access
    extractor: Callable[[], Extractor]

    @property
    def limits(self) -> ImageLimits:
        """On the pictures that are opened."""
        return self.access.limits

    def search(self, queries: Sequence[QueryLike], options: SearchOptions) -> Answers:
        """Return the answer to each query."""
        check_fields(options.distinct, self.store)
        stages = self._stages(options)
        with timed("queries looked up and read"):
            resolved = [resolve(query, self.store, self.access) for query in queries]
        if not resolved:
            return Answers()
        return of_one_gallery(self.store, lambda header: self._search(resolved, options, stages, header))

    def _stages(self, options: SearchOptions) -> list[Stage]:
        """Return the stages that the options ask for, in their order, behind `Present`."""
        stages: list[Stage] = []
        if options.distinct:
            stages.append(Distinct(options.distinct))
        if options.rerank:
            stages.append(TextLikeness.parse(options.rerank, self.store))
        stages += options.stages
        if options.min_score is not None:
            stages.append(MinScore(options.min_score))
        return stages

    def _search(
        self,
        queries: Sequence[ResolvedQuery],
        options: SearchOptions,
        stages: Sequence[Stage],
        header: Header,
    ) -> Answers:
        worded = [query.words for query in queries]
        seen = [query for query, words in zip(queries, worded, strict=True) if not words]
        by_pictures = iter(self._by_pictures(seen, options, stages, header) if seen else ())
        return Answers(
            self._by_words(query, words, options, stages, header) if words else next(by_pictures)
            for query, words in zip(queries, worded, strict=True)
        )

    # By pictures.

    def _by_pictures(
        self,
        queries: Sequence[ResolvedQuery],
        options: SearchOptions,
        stages: Sequence[Stage],
        header: Header,
    ) -> Iterator[Hits]:
        with timed(f"vectors of {len(queries):,} queries by {header.space.extractor}"):
            vectors = self._vectors(queries, header)
        asked = [_asked(query, vectors[row], options) for row, query in enumerate(queries)]
        most = self.store.limits.k
        own = max(len(one.left_out) for one in asked)
        stages = [Present(options.limit, own), *stages]
        # One call for all of them; a query that needs to look deeper asks again for itself.
        look = first_look(stages, options.k, most)
        with timed(f"the best {look:,} of each by {header.space.metric}"):
            first = self.store.search(vectors, look, where=options.where, exact=options.exact)

        def ranking(row: int) -> Callable[[int], Sequence[Ranked]]:
            def rank(depth: int) -> Sequence[Ranked]:
                if depth <= look:
                    return Nearest(first[row], paper=_is_paper(header))[:depth]
                query = vectors[row : row + 1]
                deeper = self.store.search(query, depth, where=options.where, exact=options.exact)
                return Nearest(deeper[0], paper=_is_paper(header))

            return rank

        for row, query in enumerate(queries):
            records = Records(self.store)
            way = Route(ranking(row), stages, asked[row], header.space, records, most)
            answer = _Answer(self, query, header, header.space.metric, ("nearest", *_names(stages)))
            yield answer.hits(way.best(options.k), options.limit, records)

    def _vectors(self, queries: Sequence[ResolvedQuery], header: Header) -> Floats:
        """Return the vectors of the queries, ndarray of shape (q, dim)."""
        import numpy as np

        parts = [part for query in queries for _, part in query.parts]
        rows = self._part_vectors(parts, header.space.dim)  # (parts, dim)
        if len(parts) == len(queries) and all(query.parts[0][0] == 1 for query in queries):
            return rows
        vectors = np.empty((len(queries), header.space.dim), np.float32)
        start = 0
        for place, query in enumerate(queries):
            own = rows[start : start + len(query.parts)]
            start += len(own)
            weights = np.array([weight for weight, _ in query.parts], np.float32)
            spreads = np.ones(len(own), np.float32)  # all are pictures, so their scores are of one kind
            vectors[place] = combined(own, weights, spreads, normalized=header.space.normalized)
        return vectors

    def _part_vectors(self, parts: Sequence[ResolvedPart], dim: int) -> Floats:
        """Return the vectors of pictures, ids and vectors, ndarray of shape (parts, dim)."""
        import numpy as np

        vectors = np.zeros((len(parts), dim), np.float32)
        stored = [row for row, part in enumerate(parts) if part.id is not None]
        if stored:
            vectors[stored] = fitting(self.store.vectors([parts[row].id or "" for row in stored]), dim)
        fresh = [row for row, part in enumerate(parts) if part.content is not None]
        if fresh:
            found = extract(self.extractor(), [parts[row] for row in fresh], self.limits)
            vectors[fresh] = fitting(found.vectors, dim)
        for row, part in enumerate(parts):
            if part.vector is not None:
                vectors[row] = _checked(part.vector, dim)
        return vectors

    # By words.

    def _by_words(
        self,
        query: ResolvedQuery,
        words: str,
        options: SearchOptions,
        stages: Sequence[Stage],
        header: Header,
    ) -> Hits:
        classes, by = header.classes, options.by
        if classes is None and by == "classes":
            raise ModelError(
                f"{_no_classes(header.space.extractor)} to find pictures by; search names and metadata"
            )
        terms = vocabulary.terms(words, classes)
        if not terms:
            raise UsageError("no words to find were given")
        notes = wording.ambiguous(terms, classes)
        stages = [Present(options.limit, 0), *stages]
        records, asked = Records(self.store), Asked(query.label, words=words)

        def best(rank: Callable[[int], Sequence[Ranked]]) -> Sequence[Ranked]:
            return Route(rank, stages, asked, header.space, records, self.store.limits.k).best(options.k)

        if _is_paper(header) and by != "text" and any(term.classes for term in terms):
            unknown = [repr(term.text) for term in terms if not term.classes]
            if unknown:
                notes.insert(0, f"{', '.join(unknown)} names no class: left out of the product")
            answer = _Answer(self, query, header, "inner", ("product of classes", *_names(stages)), notes)
            return answer.hits(best(self._product(terms, options, header)), options.limit, records)
        found = best(self._matches(terms, options))
        if not found:
            wider, notes = wording.expand(words, terms, self.store, by)
            if wider:
                found = best(self._matches(wider, options, wording.LEAST))
        if classes is None and by != "text":
            notes.append(f"{_no_classes(header.space.extractor)}: names and metadata were searched alone")
        answer = _Answer(self, query, header, "keywords", (_SOURCES[by], *_names(stages)), notes)
        return answer.hits(found, options.limit, records)

    def _matches(
        self, terms: Sequence[Term], options: SearchOptions, least: float = 0.0
    ) -> Callable[[int], Sequence[Ranked]]:
        """Rank what satisfies every term, by a class score of `least` or more where by no text."""

        def rank(depth: int) -> list[Ranked]:
            matches = self.store.find(terms, depth, where=options.where, only=options.by)
            kept = (match for match in matches if match.text or match.classes >= least)
            return [Ranked(m.id, m.score, {"classes": m.classes, "text": m.text}) for m in kept]

        return rank

    def _product(
        self, terms: Sequence[Term], options: SearchOptions, header: Header
    ) -> Callable[[int], Sequence[Ranked]]:
        """Rank by words as a picture of nothing but their classes: 1 + Σ ηj·ξij with ηj 1 for each."""
        import numpy as np

        named = frozenset[str]().union(*(term.classes for term in terms))
        ids = () if header.classes is None else header.classes.ids
        query = np.array([[id_ in named for id_ in ids]], np.float32)  # (1, classes)

        def rank(depth: int) -> list[Ranked]:
            found = Nearest(self.store.search(query, depth, where=options.where)[0], paper=True)
            return [candidate for candidate in found if candidate.score > 0]

        return rank

    def thumbnail(self, id_: str) -> bytes | None:
        """Return a small JPEG of a picture; None if its file can't be read now."""
        record = self.store.get([id_])[0]
        if record is None or record.thumbnail is not None:
            return None if record is None else record.thumbnail
        return thumbnail_of_file(id_, self.access)


_SOURCES = {None: "classes and names", "classes": "classes", "text": "names"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an answer is made of, page by page, once its pictures are ranked."""

    searcher: Searcher
    query: ResolvedQuery
    header: Header
    metric: str
    stages: tuple[str, ...]
    notes: Sequence[str] = ()

    def hits(self, ranked: Sequence[Ranked], limit: int | None, records: Records) -> Hits:
        """Return the first page of the answer, which keeps the ranking for the others."""
        return self._page(tuple(ranked), 0, limit or len(ranked), records)

    def _page(self, ranked: tuple[Ranked, ...], offset: int, limit: int, records: Records) -> Hits:
        some = ranked[offset : offset + limit]
        known = records.get([candidate.id for candidate in some])
        chosen = [
            (rank, candidate, record)
            for rank, (candidate, record) in enumerate(zip(some, known, strict=True), offset + 1)
            if record is not None
        ]
        access = self.searcher.access
        outside = access.unread(dict.fromkeys(self._files(record for _, _, record in chosen)))
        # The store may be closed by the time a notebook shows the answer.
        kept = {record.id: record.thumbnail for _, _, record in chosen}

        def thumbnail(hit: Hit) -> bytes | None:
            is_file = hit.path is not None or is_remote(hit.id)
            return kept.get(hit.id) or (thumbnail_of_file(hit.id, access) if is_file else None)

        def page(offset: int, limit: int) -> Hits:
            return self._page(ranked, offset, limit, Records(self.searcher.store))

        removed = len(some) - len(chosen)
        gone = f"{removed:,} of these pictures {'is' if removed == 1 else 'are'} not in the gallery any more"
        notes = (*self.query.notes, *self.notes, *([gone] if removed else []))
        return Hits(
            query=self.query.label,
            model=self.header.space.extractor,
            metric=self.metric,
            hits=self._joined(chosen, frozenset(outside)),
            notes=(*notes, access.note(outside)) if outside else notes,
            label="Words" if self.query.words else "Query",
            stages=self.stages,
            total=len(ranked),
            query_thumbnail=self._query_thumbnail,
            thumbnail=thumbnail,
            pages=page,
        )

    def _joined(
        self, chosen: Sequence[tuple[int, Ranked, Record]], unread: frozenset[str]
    ) -> tuple[Hit, ...]:
        """Return candidates as hits; `unread` are ids of pictures that the gallery may not reach."""
        names, root = names_of(self.header), self.searcher.access.root
        return tuple(
            Hit(
                rank=rank,
                id=record.id,
                path=path_of(record.id, root) if _is_file(record) and record.id not in unread else None,
                score=candidate.score,
                distance=distance_of(candidate.parts.get("vector", candidate.score), self.metric),
                scores=candidate.parts,
                tags=tags_of(record, names),
                metadata=record.metadata,
                width=record.width,
                height=record.height,
                digest=record.digest.hex(),
            )
            for rank, candidate, record in chosen
        )

    def _files(self, records: Iterator[Record]) -> Iterator[str]:
        """Yield the ids of what is read to show the query and these pictures."""
        shown = self._shown
        if shown is not None and shown.id is not None and not shown.named and not _content(shown):
            yield shown.id
        yield from (record.id for record in records if _is_file(record) or is_remote(record.id))

    @property
    def _shown(self) -> ResolvedPart | None:
        """The part that stands for the query in pages: the first that is looked for."""
        return next((part for weight, part in self.query.parts if weight > 0), None)

    def _query_thumbnail(self) -> bytes | None:
        shown, access = self._shown, self.searcher.access
        content = None if shown is None else _content(shown)
        if shown is not None and content is not None:
            return thumbnail_of(content, access.limits, shown.box)
        if shown is None or shown.id is None:
            return None
        return thumbnail_of_file(shown.id, access.naming(shown.named) if shown.named else access)


def _content(part: ResolvedPart) -> bytes | None:
    """A picture's bytes; of one in the gallery that is no file, what was kept of it."""
    return part.content or (None if part.record is None or part.id is None else part.record.thumbnail)


def _asked(query: ResolvedQuery, vector: Floats, options: SearchOptions) -> Asked:
    """Return a query as stages see it."""
    own = tuple(part.record for _, part in query.parts if part.record is not None)
    return Asked(query.label, query.records, () if options.include_self else own, vector)


def _names(stages: Sequence[Stage]) -> list[str]:
    return [getattr(stage, "name", type(stage).__name__) for stage in stages[1:]]


def extract(extractor: Extractor, parts: Sequence[ResolvedPart], limits: ImageLimits) -> Extraction:
    """Decode pictures and run the network on them.

    Raises:
        ImageError: one of them can't be read; the message says which.
    """
    return extractor.extract([_prepared(extractor, part, limits) for part in parts])


def _prepared(extractor: Extractor, part: ResolvedPart, limits: ImageLimits) -> NDArray[np.generic]:
    try:
        decoded = images.decode(part.content or b"", size=extractor.size, limits=limits, box=part.box)
        return extractor.prepare(decoded.image)
    except ImageError as error:
        raise ImageError(f"{part.label}: {error}") from error


def best_tags(extractor: Extractor, part: ResolvedPart, k: int, limits: ImageLimits) -> list[Tag]:
    """Return the k best classes of a picture, straight from the network."""
    import numpy as np

    classes = extractor.classes
    scores = None if classes is None else extract(extractor, [part], limits).scores
    if scores is None or classes is None:
        raise ModelError(without_classes(extractor.name))
    best = np.argsort(-scores[0], kind="stable")[:k].tolist()
    return [Tag(classes.ids[i], classes.names[i], float(scores[0, i])) for i in best]


def without_classes(model: str) -> str:
    """Return what to say of a model that has no classes."""
    return f"{_no_classes(model)}, so what a picture shows can't be said"


def _no_classes(model: str) -> str:
    return "imported vectors have no classes" if model == IMPORTED else f"{model} has no classes"


class Nearest(Sequence[Ranked]):
    """Neighbours as candidates, made one by one: a deep look has many of them."""

    def __init__(self, found: Neighbours, *, paper: bool) -> None:
        """Take these neighbours; with `paper` the score of visual words stands among the parts."""
        self._found = found
        self._paper = paper

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found.ids)

    @overload
    def __getitem__(self, place: int) -> Ranked: ...
    @overload
    def __getitem__(self, place: slice) -> list[Ranked]: ...
    def __getitem__(self, place: int | slice) -> Ranked | list[Ranked]:
        """The candidate of that place, counted from 0."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        score = float(self._found.scores[place])
        # As the visual words of Elasticsearch are scored: 1.000 + Σ ηj·ξij.
        parts = {"vector": score, "paper": 1 + score} if self._paper else {"vector": score}
        return Ranked(self._found.ids[place], score, parts)


def _is_paper(header: Header) -> bool:
    """Whether scores are products of class scores with class scores: visual words."""
    return header.space.visual_words and header.space.metric == "inner"


def _checked(vector: NDArray[np.floating[Any]], dim: int) -> Floats:
    import numpy as np

    if vector.shape != (dim,):
        raise UsageError(f"the query has {vector.shape[0]} numbers; the gallery's vectors have {dim}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which the store refuses
        return vector.astype(np.float32)


def _is_file(record: Record) -> bool:
    """Whether a picture is a file on this machine."""
    return record.source in {"walk", "file"} and not is_address(record.id)


def names_of(header: Header) -> dict[str, str]:
    """Return the names of the classes of a gallery, by id."""
    return {} if header.classes is None else header.classes.by_id


def tags_of(record: Record, names: dict[str, str]) -> tuple[Tag, ...]:
    """Return the classes the network saw in a picture, best first."""
    return tuple([Tag(id_, names.get(id_, id_), score) for id_, score in record.scores])


# Answers of one gallery, though another process may put another one in its place at any moment.


def of_one_gallery(store: Store, ask: Callable[[Header], T]) -> T:
    """Return an answer to which vectors, classes and pictures of one and the same gallery led.

    Args:
        store: where the gallery is.
        ask: asks it; it gets the header that the gallery has, and is called anew if that has changed.

    Raises:
        StoreBusy: the gallery was replaced again and again.
    """
    for _ in range(_TRIES):
        header = store.header
        with suppress(StoreChanged), _unless_changed(store, header):
            found = ask(header)
            if store.header == header:
                return found
    raise StoreBusy(
        f"the gallery was replaced {_TRIES} times while it was asked; ask again when what rebuilds it is done"
    )


def fitting(vectors: Floats, dim: int) -> Floats:
    """Return vectors (n, dim) as they are.

    Raises:
        StoreChanged: they have another length: they are of another gallery, put in the place of the first.
    """
    if vectors.shape[1] != dim:
        raise StoreChanged(f"vectors have {vectors.shape[1]} numbers, expected {dim}; ask again")
    return vectors


@contextmanager
def _unless_changed(store: Store, header: Header) -> Iterator[None]:
    """Raise `StoreChanged` in place of an error that may come of the change alone."""
    try:
        yield
    except (ModelError, UsageError) as error:
        store.count()  # a store in a cluster notices only when it is asked
        if store.header != header:
            raise StoreChanged("the gallery was replaced while it was asked; ask again") from error
        raise

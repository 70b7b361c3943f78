"""From ranked ids to hits: leave out the query, keep the best of each value, join the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from lookalike import images
from lookalike.errors import ImageError, ModelError, UsageError
from lookalike.extractors import vocabulary
from lookalike.extractors.model import IMPORTED
from lookalike.search import query_expansion
from lookalike.search.consistent import fitting, of_one_gallery
from lookalike.search.distinct import Ranked, Selection, check_fields, distance_of
from lookalike.search.hits import Answers, Hit, Hits
from lookalike.search.query import Resolved, resolve
from lookalike.search.rerank import Rerank
from lookalike.sources.folder import is_address, path_of
from lookalike.sources.remote import is_remote
from lookalike.sources.thumbnails import thumbnail_of, thumbnail_of_file
from lookalike.system.tracing import timed
from lookalike.types import Tag

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.images import ImageLimits
    from lookalike.search.query import Query
    from lookalike.sources.access import Access
    from lookalike.types import (
        Extraction,
        Extractor,
        Floats,
        Header,
        Neighbours,
        Record,
        Store,
        Term,
        Where,
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a search by picture, as `Gallery.search` describes it."""

    k: int
    where: Where = ()
    distinct: tuple[str, ...] = ()
    exact: bool = False
    include_self: bool = False
    rerank: str | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """What it takes to answer: the store, the gallery's extractor, and what it may reach."""

    store: Store
    access: Access
    extractor: Callable[[], Extractor]

    @property
    def limits(self) -> ImageLimits:
        """On the pictures that are opened."""
        return self.access.limits

    def search(self, queries: Sequence[Query], wish: Wish) -> Answers:
        """The nearest pictures of each query."""
        check_fields(wish.distinct, self.store)
        rerank = Rerank.parse(wish.rerank, self.store) if wish.rerank else None
        with timed("queries looked up and read"):
            resolved = [resolve(query, self.store, self.access) for query in queries]
        if not resolved:
            return Answers()
        return of_one_gallery(self.store, lambda header: self._search(resolved, wish, rerank, header))

    def _search(
        self, resolved: Sequence[Resolved], wish: Wish, rerank: Rerank | None, header: Header
    ) -> Answers:
        with timed(f"vectors of {len(resolved):,} queries by {header.space.extractor}"):
            vectors = self._vectors(resolved, header.space.dim)
        k = wish.k if rerank is None else rerank.depth(wish.k)
        selections = [
            Selection(k, None if wish.include_self else query.record, wish.distinct) for query in resolved
        ]
        # One call for all of them; a selection that needs to look deeper asks again for itself.
        look = max(selection.first_look for selection in selections)
        look = min(look, self.store.limits.k or look)
        with timed(f"the best {look:,} of each by {header.space.metric}"):
            first = self.store.search(vectors, look, where=wish.where, exact=wish.exact)

        def ranking(row: int) -> Callable[[int], Sequence[Ranked]]:
            def rank(depth: int) -> Sequence[Ranked]:
                if depth <= look:
                    return _Nearest(first[row], paper=_is_paper(header))
                query = vectors[row : row + 1]
                deeper = self.store.search(query, depth, where=wish.where, exact=wish.exact)
                return _Nearest(deeper[0], paper=_is_paper(header))

            return rank

        answers = Answers()
        for row, (query, selection) in enumerate(zip(resolved, selections, strict=True)):
            chosen = selection.choose(ranking(row), self.store)
            if rerank is not None:
                chosen = rerank.order(chosen, query.record, query.label)[: wish.k]
            answers.append(self._answer(_with_thumbnail(query), chosen, header, header.space.metric))
        return answers

    def find(self, words: str, k: int, where: Where, distinct: tuple[str, ...], *, only: str | None) -> Hits:
        """The pictures that satisfy every word."""
        check_fields(distinct, self.store)
        return of_one_gallery(
            self.store, lambda header: self._find(words, k, where, distinct, header=header, only=only)
        )

    def _find(
        self, words: str, k: int, where: Where, distinct: tuple[str, ...], *, header: Header, only: str | None
    ) -> Hits:
        classes = header.classes
        if classes is None and only == "classes":
            raise ModelError(
                f"{_no_classes(header.space.extractor)} to find pictures by; search names and metadata"
            )
        terms = vocabulary.terms(words, classes)
        if not terms:
            raise UsageError("no words to find were given")
        if _is_paper(header) and only != "text" and any(term.classes for term in terms):
            return self._find_by_product(words, terms, k, where, distinct)

        selection = Selection(k, None, distinct)
        chosen, notes = (
            self._chosen(terms, selection, where, only),
            query_expansion.ambiguous(terms, header.classes),
        )
        if not chosen and k:
            wider, notes = query_expansion.expand(words, terms, self.store, only)
            if wider:
                chosen = self._chosen(wider, selection, where, only, least=query_expansion.LEAST)
        if classes is None and only != "text":
            notes.append(f"{_no_classes(header.space.extractor)}: names and metadata were searched alone")
        return self._answer(Resolved(words), chosen, header, "keywords", tuple(notes), "Words")

    def _chosen(
        self,
        terms: Sequence[Term],
        selection: Selection,
        where: Where,
        only: str | None,
        *,
        least: float = 0.0,
    ) -> list[tuple[Ranked, Record]]:
        """The pictures that satisfy every term, by a class score of `least` or more where by no text."""

        def rank(depth: int) -> list[Ranked]:
            matches = self.store.find(terms, depth, where=where, only=only)
            kept = (match for match in matches if match.text or match.classes >= least)
            return [Ranked(m.id, m.score, {"classes": m.classes, "text": m.text}) for m in kept]

        return selection.choose(rank, self.store)

    def _find_by_product(
        self, words: str, terms: Sequence[Term], k: int, where: Where, distinct: tuple[str, ...]
    ) -> Hits:
        """Words as a picture of nothing but their classes: 1 + Σ ηj·ξij with ηj 1 for each of those."""
        import numpy as np

        header = self.store.header
        named = frozenset[str]().union(*(term.classes for term in terms))
        ids = () if header.classes is None else header.classes.ids
        query = np.array([[id_ in named for id_ in ids]], np.float32)  # (1, classes)

        def rank(depth: int) -> list[Ranked]:
            found = _Nearest(self.store.search(query, depth, where=where)[0], paper=True)
            return [candidate for candidate in found if candidate.score > 0]

        chosen = Selection(k, None, distinct).choose(rank, self.store)
        unknown = [repr(term.text) for term in terms if not term.classes]
        notes = [f"{', '.join(unknown)} names no class: left out of the product"] if unknown else []
        notes += query_expansion.ambiguous(terms, header.classes)
        return self._answer(Resolved(words), chosen, header, "inner", tuple(notes), "Words")

    def thumbnail(self, id_: str) -> bytes | None:
        """A small JPEG of a picture; None if its file can't be read now."""
        record = self.store.get([id_])[0]
        if record is None or record.thumbnail is not None:
            return None if record is None else record.thumbnail
        return thumbnail_of_file(id_, self.access)

    def _vectors(self, queries: Sequence[Resolved], dim: int) -> Floats:
        """The vectors of the queries, ndarray of shape (q, dim)."""
        import numpy as np

        vectors = np.zeros((len(queries), dim), np.float32)
        stored = [row for row, query in enumerate(queries) if query.id is not None]
        if stored:
            vectors[stored] = fitting(self.store.vectors([queries[row].id or "" for row in stored]), dim)
        fresh = [row for row, query in enumerate(queries) if query.content is not None]
        if fresh:
            found = extract(self.extractor(), [queries[row] for row in fresh], self.limits)
            vectors[fresh] = fitting(found.vectors, dim)
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
        label: str = "Query",
    ) -> Hits:
        access = self.access

        def query_thumbnail() -> bytes | None:
            if query.content is not None:
                return thumbnail_of(query.content, access.limits)
            if query.id is None:
                return None
            return thumbnail_of_file(query.id, access.naming(query.named) if query.named else access)

        # The store may be closed by the time a notebook shows the answer.
        kept = {record.id: record.thumbnail for _, record in chosen}

        def hit_thumbnail(hit: Hit) -> bytes | None:
            is_file = hit.path is not None or is_remote(hit.id)
            return kept.get(hit.id) or (thumbnail_of_file(hit.id, access) if is_file else None)

        unread = [] if query.content or query.named or query.id is None else [query.id]
        unread += [record.id for _, record in chosen if _is_file(record) or is_remote(record.id)]
        outside = access.unread(dict.fromkeys(unread))
        return Hits(
            query=query.label,
            model=header.space.extractor,
            metric=metric,
            hits=hits(chosen, header, access.root, metric, unread=frozenset(outside)),
            notes=(*notes, access.note(outside)) if outside else notes,
            label=label,
            query_thumbnail=query_thumbnail,
            thumbnail=hit_thumbnail,
        )


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
    return f"{_no_classes(model)}, so what a picture shows can't be said"


def _no_classes(model: str) -> str:
    return "imported vectors have no classes" if model == IMPORTED else f"{model} has no classes"


class _Nearest(Sequence[Ranked]):
    """Neighbours as candidates, made one by one: a deep look has many of them."""

    def __init__(self, found: Neighbours, *, paper: bool) -> None:
        self._found = found
        self._paper = paper

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
        # As the visual words of Elasticsearch are scored: 1.000 + Σ ηj·ξij.
        parts = {"vector": score, "paper": 1 + score} if self._paper else {"vector": score}
        return Ranked(self._found.ids[place], score, parts)


def _with_thumbnail(query: Resolved) -> Resolved:
    """A query of the gallery that is no file can be shown by what was kept of it."""
    small = None if query.record is None else query.record.thumbnail
    return query if small is None else replace(query, content=small)


def _is_paper(header: Header) -> bool:
    """Whether scores are products of class scores with class scores: visual words."""
    return header.space.visual_words and header.space.metric == "inner"


def _checked(vector: NDArray[np.floating[Any]], dim: int) -> Floats:
    import numpy as np

    if vector.shape != (dim,):
        raise UsageError(f"the query has {vector.shape[0]} numbers; the gallery's vectors have {dim}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which the store refuses
        return vector.astype(np.float32)


def hits(
    chosen: Sequence[tuple[Ranked, Record]],
    header: Header,
    root: str,
    metric: str,
    *,
    unread: frozenset[str] = frozenset(),
) -> tuple[Hit, ...]:
    """Join candidates with their records.

    Args:
        chosen: best first.
        header: of the gallery.
        root: the folder that ids are relative to.
        metric: the gallery's, or `keywords`.
        unread: ids of pictures that the gallery may not reach.
    """
    names = names_of(header)
    return tuple(
        Hit(
            rank=rank,
            id=record.id,
            path=path_of(record.id, root) if _is_file(record) and record.id not in unread else None,
            score=candidate.score,
            distance=distance_of(candidate.parts.get("vector", candidate.score), metric),
            scores=candidate.parts,
            tags=tags_of(record, names),
            metadata=record.metadata,
            width=record.width,
            height=record.height,
        )
        for rank, (candidate, record) in enumerate(chosen, start=1)
    )


def _is_file(record: Record) -> bool:
    """Whether a picture is a file on this machine."""
    return record.source in {"walk", "file"} and not is_address(record.id)


def names_of(header: Header) -> dict[str, str]:
    """The names of the classes of a gallery, by id."""
    return {} if header.classes is None else header.classes.by_id


def tags_of(record: Record, names: dict[str, str]) -> tuple[Tag, ...]:
    """The classes the network saw in a picture, best first."""
    return tuple([Tag(id_, names.get(id_, id_), score) for id_, score in record.scores])

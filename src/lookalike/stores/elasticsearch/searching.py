"""Search by vectors and by words, and reading through many documents in the order of ids.

The server's scores of vectors are turned into ours here, and nowhere else. A search by a graph of quantised
vectors is always scored again from the exact ones. An exact search goes over shares of the pictures so
small that the server compares every one of them: a filter that no more documents pass than there are
candidates makes it leave its graph alone.

Search by words gives the numbers of the embedded store, whose `finding` says what they mean. The server
ranks by weights that are good to .4 %. What leaves here is computed from the exact ones, of as many
candidates as it takes to be sure of the k best: the rankings by single terms are read side by side, each of
them only of pictures that satisfy every term, until no picture further down any of them could still be
among the best (R. Fagin, A. Lotem and M. Naor, "Optimal aggregation algorithms for middleware", PODS 2001).
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import elasticsearch
import numpy as np
import orjson

from lookalike.errors import StoreError
from lookalike.indexes import distances
from lookalike.stores import words
from lookalike.stores.elasticsearch import layout
from lookalike.stores.records import LEAST, UNIT
from lookalike.types import Match, Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.layout import Stemmer
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Floats, Header, Term, Value

    Query = dict[str, Any]
    Hit = dict[str, Any]

_KEPT = "10m"
"""How long the server keeps a point in time between two pages: the caller may be slow with one."""

_CROWDED = 429  # it is all there, and may be asked again

STATES = 5_000
"""Documents in a page of which nothing but a few doc values is read."""


def pages(
    server: Server, index: str, query: Query, size: int, wanted: Mapping[str, Any]
) -> Iterator[list[Hit]]:
    """All documents that match, some at a time.

    Args:
        server: where.
        index: of the documents, or its alias.
        query: which.
        size: how many at a time.
        wanted: what of them, as arguments of a search.

    Raises:
        IndexGone: the index is not there, or was deleted meanwhile.
    """
    reading = _Reading(index, query, size, wanted)
    try:
        while hits := server.call(reading.page)["hits"]["hits"]:
            reading.after = hits[-1]["sort"][0]
            yield hits
            if len(hits) < size:
                return
    finally:
        reading.close(server)


class _Reading:
    """A point in time, and how far it was read.

    A node that dies takes its points in time along: then a new one is opened, and read from the last id on.
    """

    def __init__(self, index: str, query: Query, size: int, wanted: Mapping[str, Any]) -> None:
        self.after: str | None = None
        self._index = index
        self._query = query
        self._body = {
            "sort": [{"id": "asc"}],
            "size": size,
            "track_total_hits": False,
            "allow_partial_search_results": False,
            **wanted,
        }
        self._point: str | None = None

    def page(self, es: elasticsearch.Elasticsearch) -> Any:
        """The page behind the last id that was read."""
        if self._point is None:
            opened = es.open_point_in_time(
                index=self._index, keep_alive=_KEPT, allow_partial_search_results=False
            )
            self._point = opened["id"]
        further: list[Query] = [] if self.after is None else [{"range": {"id": {"gt": self.after}}}]
        query = {"bool": {"filter": [self._query, *further]}}
        try:
            answer = es.search(pit={"id": self._point, "keep_alive": _KEPT}, query=query, **self._body)
        except elasticsearch.ApiError as error:
            if error.status_code != _CROWDED:
                self._let_go(es)
            raise
        except elasticsearch.TransportError:
            self._let_go(es)
            raise
        self._point = answer["pit_id"]
        return answer

    def _let_go(self, es: elasticsearch.Elasticsearch) -> None:
        """Forget the point in time, a part of which may be lost."""
        point, self._point = self._point, None
        with suppress(elasticsearch.ApiError, elasticsearch.TransportError):
            es.close_point_in_time(id=point)

    def close(self, server: Server) -> None:
        """Let go of the point in time; one that can't be reached ends by itself."""
        point = self._point
        if point is not None:
            with suppress(StoreError):
                server.call(lambda es: es.close_point_in_time(id=point), server.clock(opening=True))


def values(*fields: str) -> dict[str, Any]:
    """The arguments of a search that reads nothing but doc values."""
    return {"source": False, "stored_fields": "_none_", "docvalue_fields": list(fields)}


CANDIDATES = 100
"""Documents that a graph gives at least, in every part of the index (benches/index_types.py)."""

SPARE = 3
"""How many times k it gives at least. The exact scores of all that it gives are computed."""

PICTURES: dict[str, Any] = {"term": {"status": "picture"}}

_MOST_CANDIDATES = 10_000
_SHARE = 4_000  # pictures in a share of an exact search; half as many again still fit
_TOGETHER = 32  # searches in one request


class Searcher:
    """Searches one index.

    Args:
        server: where.
        index: in which.
    """

    def __init__(self, server: Server, index: Index) -> None:
        self._server = server
        self._index = index
        self._type = layout.index_type(index.header, index.options.get("index_type"))

    def search(self, queries: Floats, k: int, filters: list[Query], *, exact: bool) -> list[Neighbours]:
        """The k best of the pictures that pass the filters, for each row of queries (q, dim)."""
        if k == 0 or not len(queries):
            return [Neighbours([], np.empty(0, np.float32)) for _ in queries]
        if exact and self._type != "flat":
            return [self._exact(query, k, filters) for query in queries]
        found = self._ask([self._body(query, k, filters) for query in queries])
        # A graph need not lead to every picture.
        short = [row for row, neighbours in enumerate(found) if len(neighbours.ids) < k]
        if short and (passing := min(k, self.count(filters))):
            for row in short:
                if len(found[row].ids) < passing and self._type != "flat":
                    found[row] = self._exact(queries[row], k, filters)
        return found

    def count(self, filters: list[Query]) -> int:
        """How many pictures pass the filters."""
        query = {"bool": {"filter": [PICTURES, *filters]}}
        answer = self._server.call(
            lambda es: es.search(
                index=self._index.alias,
                query=query,
                size=0,
                track_total_hits=True,
                allow_partial_search_results=False,
                filter_path="hits.total.value",
            )
        )
        return int(answer["hits"]["total"]["value"])

    def values(self, path: str, k: int) -> list[Value]:
        """The k most frequent values of a field of the documents of pictures."""
        order = [{"_count": "desc"}, {"_key": "asc"}]
        answer = self._server.call(
            lambda es: es.search(
                index=self._index.alias,
                query={"bool": {"filter": [PICTURES]}},
                aggs={"values": {"terms": {"field": path, "size": k, "order": order}}},
                size=0,
                filter_path="aggregations.values.buckets.key",
            )
        )
        found = answer.get("aggregations", {}).get("values", {}).get("buckets", [])
        return [bucket["key"] for bucket in found]

    def _body(self, query: Floats, k: int, filters: list[Query]) -> dict[str, Any]:
        body = self._shell(k)
        if self._index.header.space.metric == "cosine":
            query = distances.normalized(query[None])[0]
            # Against a vector of zeros the cosine is 0, and so it is for a query of zeros.
            zeros: list[Query] = [{"term": {"zero": True}}] if query.any() else [PICTURES]
            body["query"] = {
                "constant_score": {"filter": {"bool": {"filter": [*zeros, *filters]}}, "boost": 0.5}
            }
            if not query.any():
                return body
        candidates = min(_MOST_CANDIDATES, max(CANDIDATES, SPARE * k))
        body["knn"] = self._knn(query, k, candidates, filters)
        return body

    def _shell(self, k: int) -> dict[str, Any]:
        return {
            "_source": False,
            "stored_fields": "_none_",
            "docvalue_fields": ["id"],
            "size": k,
        }

    def _knn(self, query: Floats, k: int, candidates: int, filters: list[Query]) -> dict[str, Any]:
        knn: dict[str, Any] = {"field": "vector", "query_vector": query, "k": k, "num_candidates": candidates}
        if self._type == "hnsw":
            # From each part no more than the best of all that were found so far would be looked for.
            knn["k"] = candidates
        elif self._type != "flat":
            knn["rescore_vector"] = {"oversample": candidates / k}
        if filters:
            knn["filter"] = filters
        return knn

    def _ask(self, bodies: Sequence[dict[str, Any]]) -> list[Neighbours]:
        if len(bodies) == 1:
            return [self._neighbours(self._one(bodies[0]))]
        found: list[Neighbours] = []
        for start in range(0, len(bodies), _TOGETHER):
            some = bodies[start : start + _TOGETHER]
            # What failed is asked for once more by itself, with patience.
            found += (
                self._neighbours(one if _whole(one) else self._one(body))
                for one, body in zip(self._several(some), some, strict=True)
            )
        return found

    def _several(self, bodies: Sequence[dict[str, Any]]) -> list[Any]:
        lines: Any = [line for body in bodies for line in (b"{}", _json(body))]  # encoded already
        answer = self._server.call(lambda es: es.msearch(index=self._index.alias, searches=lines))
        return list(answer["responses"])

    def request(self, query: Floats, k: int, filters: Sequence[Query] = ()) -> dict[str, Any]:
        """A search as arguments of the client."""
        return _arguments(self._body(query, k, list(filters)))

    def _one(self, body: dict[str, Any]) -> Any:
        arguments = _arguments(body)
        return self._server.call(lambda es: es.search(index=self._index.alias, **arguments))

    def _neighbours(self, answer: Any) -> Neighbours:
        hits = answer["hits"]["hits"]
        values = np.array([hit["_score"] for hit in hits], np.float64)
        return Neighbours([hit["fields"]["id"][0] for hit in hits], score(values, self._index.header))

    def _exact(self, query: Floats, k: int, filters: list[Query]) -> Neighbours:
        """Every picture that passes is compared; of equal scores the smaller id comes first."""
        shares = -(-self.count(filters) // _SHARE)
        edges = [layout.BUCKETS * share // max(shares, 1) for share in range(shares + 1)]
        best: list[tuple[float, str]] = []
        for low, high in pairwise(edges):
            best += self._share(query, low, high, filters, k)
            best = sorted(best, key=lambda pair: (-pair[0], pair[1]))[:k]
        return Neighbours([id_ for _, id_ in best], np.array([value for value, _ in best], np.float32))

    def _share(
        self, query: Floats, low: int, high: int, filters: list[Query], k: int
    ) -> list[tuple[float, str]]:
        """The best of the pictures in some buckets; halved where they turn out to be too many."""
        within: Query = {"range": {"bucket": {"gte": low, "lt": high}}}
        body = self._body(query, k, [*filters, within])
        body["sort"] = [{"_score": "desc"}, {"id": "asc"}]
        if "knn" in body:
            unit = body["knn"]["query_vector"]
            body["knn"] = self._knn(unit, _MOST_CANDIDATES, _MOST_CANDIDATES, [*filters, within])
        answer = self._one(body)
        if answer["hits"]["total"]["value"] >= _MOST_CANDIDATES and high - low > 1:
            middle = (low + high) // 2
            return [
                *self._share(query, low, middle, filters, k),
                *self._share(query, middle, high, filters, k),
            ]
        found = self._neighbours(answer)
        return list(zip(found.scores.tolist(), found.ids, strict=True))


def score(values: NDArray[np.float64], header: Header) -> Floats:
    """Scores as they are everywhere in lookalike, of the server's: (n,) float32.

    The server gives (1 + cos) / 2; 1 / (1 + d²); and of a product p, 1 + p or, where that is negative,
    1 / (1 − p).
    """
    if header.space.metric == "cosine":
        ours = np.clip(2 * values - 1, -1, 1)
    elif header.space.metric == "euclidean":
        ours = -np.sqrt(np.maximum(1 / values - 1, 0))
    else:
        ours = np.where(values < 1, 1 - 1 / values, values - 1)
    found: Floats = ours.astype(np.float32)
    return found


def picture(filters: Sequence[Query]) -> Query:
    """A query for the pictures that pass."""
    return {"bool": {"filter": [PICTURES, *filters]}}


def _arguments(body: dict[str, Any]) -> dict[str, Any]:
    arguments = {name.lstrip("_"): value for name, value in body.items()}
    return {"allow_partial_search_results": False, **arguments}


def _whole(answer: Any) -> bool:
    return "hits" in answer and not answer["_shards"]["failed"]


def _json(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


_SLACK = 1.01
"""How far a sum by rounded weights may lie below the true one."""

_FIRST, _MOST_RANKED = 200, 10_000
_COUNTS = (1.0, words.BEGUN)
_EXPANSIONS = 1_000  # words that the last one of a phrase may begin
_PATHS = ("stems.path", "stems.text")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A term as the server can look for it.

    classes: numbers of its classes; none where they do not count.
    phrase: its stems; None where they do not count.
    open: whether the last of them may be the beginning of a longer one.
    """

    classes: frozenset[int]
    phrase: str | None
    open: bool = False

    def satisfied(self) -> Query:
        """A query for the pictures that may satisfy it."""
        return _any([*self._weights(1.0), *(query for query, _ in self.texts())])

    def ranked(self) -> Query:
        """The same, scored by 1 − (1 − c)(1 − t/2)."""
        texts = self.texts()
        cases = [self._case(query, t, [better for better, _ in texts[:place]])
                 for place, (query, t) in enumerate(texts)]  # fmt: skip
        if self.classes:
            untold: Query = {"must": self._weights(1.0), "must_not": [query for query, _ in texts]}
            cases.append({"bool": untold})
        return _any(cases)

    def texts(self) -> list[tuple[Query, float]]:
        """Queries for the pictures whose words hold its phrase, each with what that counts, best first."""
        if self.phrase is None:
            return []
        whole = _any([{"match_phrase": {path: self.phrase}} for path in _PATHS])
        return [(whole, 1.0), *([(self._begun(), words.BEGUN)] if self.open else [])]

    def _begun(self) -> Query:
        """A query for the pictures that have a word which the phrase's last one begins."""
        if " " not in (self.phrase or ""):
            return _any([{"prefix": {path: {"value": self.phrase}}} for path in _PATHS])
        phrase = {"query": self.phrase, "max_expansions": _EXPANSIONS}
        return _any([{"match_phrase_prefix": {path: phrase}} for path in _PATHS])

    def _case(self, query: Query, t: float, better: list[Query]) -> Query:
        """Pictures of one way to hold the phrase, and of no better one: t/2 + (1 − t/2)c."""
        told = [_constant({"match_all": {}}, t / 2), *self._weights(1 - t / 2)]
        return {"bool": {"filter": [query], "must_not": better, "should": told}}

    def _weights(self, boost: float) -> list[Query]:
        if not self.classes:
            return []
        weights = {f"c{number}": 1.0 for number in sorted(self.classes)}
        return [
            {"sparse_vector": {"field": "classes", "query_vector": weights, "prune": False, "boost": boost}}
        ]


@dataclass(slots=True)
class _Ranking:
    """The pictures by one term, as far as they were read."""

    wanted: _Wanted
    size: int
    after: list[Any] = field(default_factory=list)
    depth: float = 1.0
    ended: bool = False


class Finder:
    """Finds pictures by words in one index.

    Args:
        server: where.
        index: the name of the index.
        numbers: class numbers by class id.
        stemmer: for the words.
    """

    def __init__(self, server: Server, index: str, numbers: Mapping[str, int], stemmer: Stemmer) -> None:
        self._server = server
        self._index = index
        self._numbers = numbers
        self._stemmer = stemmer

    def find(self, terms: Sequence[Term], k: int, filters: list[Query], only: str | None) -> list[Match]:
        """The k best pictures that satisfy every term and pass the filters."""
        wanted = [self._wanted(term, only) for term in terms]
        if any(not term.classes and term.phrase is None for term in wanted):
            return []
        query = picture([*filters, *(term.satisfied() for term in wanted)])
        if not any(term.classes for term in wanted):
            return self._by_text(query, k, wanted, only)
        found: dict[str, Match] = {}
        rankings = [_Ranking(term, min(_MOST_RANKED, max(_FIRST, k + k // 10))) for term in wanted]
        while True:
            for ranking in rankings:
                self._read(ranking, query, wanted, found)
            best = sorted(found.values(), key=lambda match: (-match.score, match.id))[:k]
            # Whoever is further down in every ranking is at most as good as this in each.
            bound = math.prod(min(1.0, _SLACK * ranking.depth) for ranking in rankings) ** (1 / len(rankings))
            enough = len(best) == k and best[-1].score > bound
            if enough or any(ranking.ended for ranking in rankings):
                return best

    def _wanted(self, term: Term, only: str | None) -> _Wanted:
        classes = {self._numbers[id_] for id_ in term.classes if id_ in self._numbers}
        phrase = self._stemmer.phrase(term.text) if only != "classes" else None
        return _Wanted(frozenset(classes if only != "text" else ()), phrase, words.may_go_on(term.text))

    def _by_text(self, query: Query, k: int, wanted: list[_Wanted], only: str | None) -> list[Match]:
        """Without classes the sum of the terms' scores orders pictures as their product does.

        For each of them is one of two numbers, by whether the picture has the whole word.
        """
        hits = self._search(
            {
                "query": {
                    "bool": {"must": [term.ranked() for term in wanted], "filter": [query, *_named(wanted)]}
                },
                "sort": [{"_score": "desc"}, {"id": "asc"}],
                "size": k,
                "track_total_hits": False,
            }
        )
        return [match for hit in hits if (match := _match(hit, wanted, only)) is not None]

    def _read(self, ranking: _Ranking, every: Query, wanted: list[_Wanted], found: dict[str, Match]) -> None:
        """Read on in a ranking; every picture in it is judged by all terms at once."""
        hits = self._search(
            {
                "query": {"bool": {"must": [ranking.wanted.ranked()], "filter": [every, *_named(wanted)]}},
                "sort": [{"_score": "desc"}, {"id": "asc"}],
                "size": ranking.size,
                "track_total_hits": False,
                **({"search_after": ranking.after} if ranking.after else {}),
            }
        )
        for hit in hits:
            match = _match(hit, wanted)
            if match is not None:
                found[match.id] = match
        ranking.ended = len(hits) < ranking.size
        ranking.size = min(_MOST_RANKED, 4 * ranking.size)
        if hits:
            ranking.after, ranking.depth = hits[-1]["sort"], hits[-1]["sort"][0]

    def _search(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = values("points")
        answer = self._server.call(
            lambda es: es.search(index=self._index, allow_partial_search_results=False, **wanted, **body)
        )
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits


def _named(wanted: Sequence[_Wanted]) -> list[Query]:
    """Queries that let every picture pass, and tell by their names what each holds of which phrase."""
    named: list[Query] = [
        {"bool": {"must": [query], "_name": f"{place} {t}"}}
        for place, term in enumerate(wanted)
        for query, t in term.texts()
    ]
    return [{"bool": {"should": [{"match_all": {}}, *named]}}] if named else []


def _match(hit: Mapping[str, Any], wanted: Sequence[_Wanted], only: str | None = None) -> Match | None:
    """A picture's exact scores; None where it does not satisfy every term after all."""
    points = layout.points(hit.get("fields", {}))
    held = set(hit.get("matched_queries", ()))
    product, classes, text = 1.0, 0.0, 0.0
    for place, term in enumerate(wanted):
        total = sum(points.get(number, 0) for number in term.classes)
        c = min(total, UNIT) / UNIT if total >= LEAST else 0.0
        t = next((t for t in _COUNTS if f"{place} {t}" in held), 0.0)
        if c == t == 0:
            return None
        product *= t if only == "text" else 1 - (1 - c) * (1 - t / 2.0)
        classes += c
        text += t
    n = len(wanted)
    return Match(hit["sort"][1], product ** (1 / n), classes / n, text / n)


def _any(queries: list[Query]) -> Query:
    if not queries:
        return {"match_none": {}}
    return queries[0] if len(queries) == 1 else {"bool": {"should": queries, "minimum_should_match": 1}}


def _constant(query: Query, score: float) -> Query:
    return {"constant_score": {"filter": query, "boost": score}}

"""Search by vectors. The server's scores are turned into ours here, and nowhere else.

A search by a graph of quantised vectors is always scored again from the exact ones. An exact search
goes over shares of the pictures so small that the server compares every one of them: a filter that
no more documents pass than there are candidates makes it leave its graph alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from lookalike.indexes import distances
from lookalike.stores.elasticsearch import documents, layout
from lookalike.types import Neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Floats, Header, Value

    Query = dict[str, Any]

CANDIDATES = 100
"""Documents that a graph gives at least, in every part of the index (benches/index_types.py)."""

SPARE = 3
"""How many times k it gives at least. The exact scores of all that it gives are computed."""

PICTURES: dict[str, Any] = {"term": {"status": "picture"}}

_MOST = 10_000
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
        candidates = min(_MOST, max(CANDIDATES, SPARE * k))
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
        edges = [documents.BUCKETS * share // max(shares, 1) for share in range(shares + 1)]
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
            body["knn"] = self._knn(unit, _MOST, _MOST, [*filters, within])
        answer = self._one(body)
        if answer["hits"]["total"]["value"] >= _MOST and high - low > 1:
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

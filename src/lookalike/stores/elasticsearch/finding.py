"""Pictures by words, with the numbers of the embedded store, whose `finding` says what they mean.

The server ranks by weights that are good to .4 %. What leaves here is computed from the exact ones, of
as many candidates as it takes to be sure of the k best: the rankings by single terms are read side by
side, each of them only of pictures that satisfy every term, until no picture further down any of them
could still be among the best (R. Fagin, A. Lotem and M. Naor, "Optimal aggregation algorithms for
middleware", PODS 2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lookalike.stores import words
from lookalike.stores.elasticsearch import documents, pit, searching
from lookalike.stores.records import LEAST, UNIT
from lookalike.types import Match

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.elasticsearch.server import Server
    from lookalike.stores.stems import Stemmer
    from lookalike.types import Term

    Query = dict[str, Any]

_SLACK = 1.01
"""How far a sum by rounded weights may lie below the true one."""

_FIRST, _MOST = 200, 10_000
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
        query = searching.picture([*filters, *(term.satisfied() for term in wanted)])
        if not any(term.classes for term in wanted):
            return self._by_text(query, k, wanted, only)
        found: dict[str, Match] = {}
        rankings = [_Ranking(term, min(_MOST, max(_FIRST, k + k // 10))) for term in wanted]
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
        ranking.size = min(_MOST, 4 * ranking.size)
        if hits:
            ranking.after, ranking.depth = hits[-1]["sort"], hits[-1]["sort"][0]

    def _search(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = pit.values("points")
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
    points = documents.points(hit.get("fields", {}))
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

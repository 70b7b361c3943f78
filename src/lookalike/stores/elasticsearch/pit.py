"""Reading through many documents, in the order of ids, undisturbed by what is written meanwhile."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import elasticsearch

from lookalike.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.stores.elasticsearch.server import Server

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

"""What is read of an index, but for search: each of these asks the server, and remembers nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import NotFound, StoreCorrupt
from lookalike.stores.elasticsearch import layout, searching
from lookalike.stores.elasticsearch.bulk import Seen
from lookalike.stores.elasticsearch.searching import PICTURES
from lookalike.stores.records import FILES, is_id
from lookalike.types import Batch, Folder, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Floats, Record

    Hit = Mapping[str, Any]

_IDS = 1_000  # in one request
_NUMBERS = 2_000_000  # of vectors in one answer: some 25 MB of digits
_BRIEF = ["id", "status", "source", "size", "mtime_ns", "digest"]
_PATHS = "docs._source,docs._seq_no,docs._primary_term,docs.found,docs.error.type,docs.error.reason"

STATE = searching.values("status", "source", "size", "mtime_ns")
SKIPPED: dict[str, Any] = {"source": ["id", "size", "mtime_ns", "reason"]}
WHOLE: dict[str, Any] = {"docvalue_fields": ["vector", "zero"]}
"""What to ask of documents that `states`, `skipped` and `batch` are given."""


def possible(ids: Iterable[str]) -> list[str]:
    """Those of some texts that can be ids here, each once."""
    return [id_ for id_ in dict.fromkeys(ids) if is_id(id_, layout.LONGEST_ID)]


def known(server: Server, index: Index, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What is remembered of some ids just now, whatever became of them."""
    return _sources(server, index, possible(ids), wanted=_BRIEF)


def records(server: Server, index: Index, ids: Sequence[str]) -> list[Record | None]:
    """Records in the order asked for, as they are just now; None for an id that is no picture."""
    found = _sources(server, index, possible(ids), wanted=True)
    made = {
        id_: layout.record(source, index.header)
        for id_, source in found.items()
        if source["status"] == "picture"
    }
    return [made.get(id_) for id_ in ids]


def system(server: Server, alias: str, key: str) -> tuple[dict[str, Any], Seen | None]:
    """What a document about the gallery itself holds just now, and its version; empty where there is none."""
    item = _items(server, alias, [key], wanted=True)[0]
    return (dict(item["_source"]["content"]), seen(item)) if item.get("found") else ({}, None)


def folders(server: Server, alias: str) -> tuple[list[Folder], Seen | None]:
    """The folders that were indexed, and the version of the document that holds them."""
    content, version = system(server, alias, layout.FOLDERS_KEY)
    return [Folder(prefix, device) for prefix, device in content.get("folders", [])], version


def indexed_ns(server: Server, alias: str) -> int:
    """When the last complete indexing ended; 0 if that is not known."""
    time_ns = system(server, alias, layout.INDEXED_KEY)[0].get("time_ns", 0)
    return time_ns if type(time_ns) is int else 0


def outdated(index: Index, decoder: int) -> list[dict[str, Any]]:
    """A query for pictures with a file, which a decoder of a lower version has read."""
    files: dict[str, Any] = {"terms": {"source": list(FILES)}}
    if index.header.format == 1:
        return [PICTURES, files]
    newer = {"range": {"decoder": {"gte": decoder}}}
    return [PICTURES, files, {"bool": {"must_not": [newer]}}]


def vectors(server: Server, index: Index, ids: Sequence[str]) -> Floats:
    """Vectors (n, dim) in the order asked for, as of the last refresh.

    Raises:
        NotFound: there is no picture of one of these ids.
    """
    places: dict[str, int] = {}
    blocks: list[Floats] = [np.empty((0, index.header.space.dim), np.float32)]
    for hits in wholes(server, index, ids, source=["id"]):
        places |= {hit["_source"]["id"]: place for place, hit in enumerate(hits, len(places))}
        blocks.append(rows(hits, index.header.space.dim))
    if missing := [id_ for id_ in ids if id_ not in places]:
        raise NotFound(f"the gallery has no picture {missing[0]!r}")
    found: Floats = np.concatenate(blocks)[[places[id_] for id_ in ids]]
    return found


def wholes(
    server: Server, index: Index, ids: Iterable[str], *, source: bool | list[str] = True
) -> Iterator[list[Hit]]:
    """The pictures among some ids, with their vectors and versions, as of the last refresh."""
    left = possible(ids)
    size = page_size(index.header.space.dim, _IDS)
    for start in range(0, len(left), size):
        some = {"terms": {"id": left[start : start + size]}}
        yield _searched(server, index, some, size=size, source=source, seq_no_primary_term=True, **WHOLE)


def by_digest(server: Server, index: Index, digests: Iterable[bytes]) -> dict[bytes, list[str]]:
    """The ids of the pictures whose file has one of these digests, as of the last refresh."""
    found: dict[bytes, list[str]] = defaultdict(list)
    wanted = sorted({digest.hex() for digest in digests})
    for start in range(0, len(wanted), _IDS):
        alike: dict[str, Any] = {"terms": {"digest": wanted[start : start + _IDS]}}
        for hit in _alike(server, index, alike):
            found[bytes.fromhex(hit["fields"]["digest"][0])].append(hit["sort"][0])
    return dict(found)


def still(
    server: Server, index: Index, ids: Sequence[str], digests: Iterable[bytes]
) -> dict[bytes, list[str]]:
    """Those of some ids that are pictures with one of these digests just now."""
    found: dict[bytes, list[str]] = defaultdict(list)
    wanted = {digest.hex() for digest in digests}
    about = known(server, index, ids)
    for id_ in ids:
        if id_ in about and about[id_]["status"] == "picture" and about[id_]["digest"] in wanted:
            found[bytes.fromhex(about[id_]["digest"])].append(id_)
    return dict(found)


def batch(hits: Sequence[Hit], index: Index) -> Batch:
    """Pictures with their vectors."""
    found = [layout.record(hit["_source"], index.header) for hit in hits]
    return Batch(found, rows(hits, index.header.space.dim))


def rows(hits: Sequence[Hit], dim: int) -> Floats:
    """The vectors of some pictures, (n, dim).

    Raises:
        StoreCorrupt: one of them has none.
    """
    numbers = [layout.vector(hit, dim) for hit in hits]
    for hit, one in zip(hits, numbers, strict=True):
        if one is None:
            raise StoreCorrupt(f"the picture {hit['_id']!r} has no vector; delete it, and index again")
    return np.array(numbers, np.float32).reshape(len(hits), dim)


def seen(hit: Hit) -> Seen:
    """Which version of a document was read."""
    return Seen(hit["_seq_no"], hit["_primary_term"])


def page_size(dim: int, most: int) -> int:
    """How many pictures with vectors of so many numbers fit into one answer."""
    return max(1, min(most, _NUMBERS // dim, searching.STATES))


def skipped(hits: Sequence[Hit]) -> list[Skipped]:
    """Files that could not be indexed."""
    lines = (hit["_source"] for hit in hits)
    return [Skipped(line["id"], line["size"], line["mtime_ns"], line.get("reason", "")) for line in lines]


def _alike(server: Server, index: Index, query: dict[str, Any]) -> Iterator[Hit]:
    """Pictures that match, in the order of ids, by as few requests as it takes."""
    wanted = {"sort": [{"id": "asc"}], "size": _IDS, **searching.values("digest")}
    hits = _searched(server, index, query, **wanted)
    yield from hits
    while len(hits) == _IDS:
        hits = _searched(server, index, query, search_after=hits[-1]["sort"], **wanted)
        yield from hits


def _searched(server: Server, index: Index, query: dict[str, Any], **wanted: Any) -> list[Hit]:
    """The pictures that match."""
    pictures = {"bool": {"filter": [PICTURES, query]}}
    answer = server.call(
        lambda es: es.search(
            index=index.alias,
            query=pictures,
            track_total_hits=False,
            allow_partial_search_results=False,
            **wanted,
        )
    )
    hits: list[Hit] = answer["hits"]["hits"]
    return hits


def _sources(
    server: Server, index: Index, ids: Sequence[str], *, wanted: list[str] | bool
) -> dict[str, dict[str, Any]]:
    """The sources of the documents of some ids just now, refreshed or not."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(ids), _IDS):
        keys = [layout.key(id_) for id_ in ids[start : start + _IDS]]
        for item in _items(server, index.alias, keys, wanted=wanted):
            if item.get("found"):
                found[item["_source"]["id"]] = item["_source"]
    return found


def _items(server: Server, index: str, keys: list[str], *, wanted: list[str] | bool) -> list[dict[str, Any]]:
    clock = server.clock()
    while True:
        answer = server.call(
            lambda es: es.mget(index=index, ids=keys, source=wanted, filter_path=_PATHS), clock
        )
        items: list[dict[str, Any]] = answer.get("docs", [])
        error = next((item["error"] for item in items if "error" in item), None)
        if error is None:
            return items
        # A shard whose node is gone: another one takes over in a moment.
        refused = server.refused(404, error["type"], str(error.get("reason")))
        if refused is not None or not clock.wait():
            raise refused or server.late(str(error.get("reason")), clock)

"""Whether a gallery is sound: its shards, its fields, and that every picture has what it is found by."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lookalike.stores.elasticsearch import alias, indices, layout, searching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server

_NAMED = 5
_STATUSES = ["picture", "skipped", "removed", "system"]


def faults(server: Server, index: Index) -> list[str]:
    """Every fault found, in words; where a shard is missing the rest can't be asked."""
    shards = _shards(server, index)
    if shards and "pictures are missing" in shards[0]:
        return shards
    return [
        *shards,
        *_mapping(server, index),
        *_documents(server, index),
        *_leftovers(server, index),
    ]


def repair(server: Server, index: Index) -> list[str]:
    """Lift what a process that was killed left behind: the block, and the index it was building; in words.

    Raises:
        StoreBusy: it is still at it.
    """
    with ExitStack() as holding:
        left = alias.claimed(server, index, holding)
        if left:
            indices.unblock(server, index)
        for one in left:
            indices.remove(server, one.index.name)
        return [f"the index {one.index.name}, left of a rebuilding, was deleted" for one in left]


def _shards(server: Server, index: Index) -> list[str]:
    """Whether every shard is on some node, and as often as it is to be."""
    path = "_shards.total,_shards.successful,indices.*.shards.*.routing.primary"
    answer = server.call(
        lambda es: es.indices.stats(index=index.alias, metric="docs", level="shards", filter_path=path)
    )
    found = answer.get("indices", {}).get(index.name, {}).get("shards", {})
    if len(found) < (index.options.get("shards") or 1):
        return ["some of its shards are on no node: pictures are missing until the nodes with them are back"]
    count = answer["_shards"]["total"] - answer["_shards"]["successful"]
    if not count:
        return []
    return [f"{count} copies of its shards are on no node: a node is missing, or replicas is too many"]


def _mapping(server: Server, index: Index) -> Iterator[str]:
    """The fields as they are against those that the header asks for."""
    answer = server.call(lambda es: es.indices.get_mapping(index=index.alias))
    found = answer[index.name]["mappings"]["properties"]
    wanted = layout.mapping(index.header, index.options, {}, index.token)["properties"]
    later = layout.added_after(index.header.format)
    for field, about in wanted.items():
        if field == "metadata" or field in later:
            continue
        if not _agrees(found.get(field, {}), about):
            yield f"the field {field} is not as it was made; index again"


def _agrees(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all that was asked for is there; the server tells its defaults, too."""
    for name, value in wanted.items():
        if isinstance(value, dict):
            if not _agrees(found.get(name, {}), value):
                return False
        elif name in found and found[name] != value:
            return False
    return bool(wanted.get("type", "object") == found.get("type", "object"))


def _documents(server: Server, index: Index) -> Iterator[str]:
    exists: dict[str, Any] = {"exists": {"field": "vector"}}
    zero: dict[str, Any] = {"term": {"zero": True}}
    lost = {"bool": {"filter": [searching.PICTURES], "must_not": [exists, zero]}}
    yield from _some(server, index, "pictures without a vector; delete them, and index again", lost)
    odd = {"bool": {"must_not": [{"terms": {"status": _STATUSES}}]}}
    yield from _some(server, index, "documents of an unknown kind; delete them", odd)
    rootless = {"bool": {"filter": [searching.PICTURES], "must_not": [{"terms": {"folders": [".", "/"]}}]}}
    yield from _some(server, index, "pictures in no folder; index them again", rootless)


def _some(server: Server, index: Index, what: str, query: Mapping[str, Any]) -> Iterator[str]:
    answer = server.call(
        lambda es: es.search(
            index=index.alias,
            query=query,
            size=_NAMED,
            source=False,
            docvalue_fields=[{"field": "id"}],
            track_total_hits=True,
            allow_partial_search_results=False,
        )
    )
    count = answer["hits"]["total"]["value"]
    if count:
        names = [hit.get("fields", {}).get("id", [hit["_id"]])[0] for hit in answer["hits"]["hits"]]
        more = f" and {count - len(names)} more" if count > len(names) else ""
        yield f"{count} {what}: {', '.join(names)}{more}"


def _leftovers(server: Server, index: Index) -> Iterator[str]:
    left = indices.aside(server, index)
    if left:
        names = ", ".join(one.name for one in left)
        yield f"{names} is left of a rebuilding that was stopped, or is still going on; repair deletes it"
    if indices.blocked(server, index):
        yield (
            "it takes nothing new, because it is being built anew, or that was stopped; repair lifts that"
            if left
            else "it takes nothing new, for its setting index.blocks.write was set by somebody else"
        )

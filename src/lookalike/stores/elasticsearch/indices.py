"""The indices of a gallery: which one is live, how one comes to be, and how all of them go.

An index is called after its gallery, `photos~000001`, and the alias `photos` points at the live one. Each
has an alias of its own to be written by, `photos~000001~w`: a write that requires an alias never makes an
index anew that somebody has deleted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import elasticsearch

from lookalike.errors import NotFound, StoreCorrupt
from lookalike.stores.elasticsearch import layout
from lookalike.stores.elasticsearch.server import IndexGone, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Header

_COPIES = "10s"
"""How long a new index waits for its copies, where there may be too few nodes for them."""

_NUMBER = re.compile(r"~(\d{6})")


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a gallery.

    name: of the index itself.
    header: of the gallery in it.
    options: shards, replicas and index_type, as far as they were chosen.
    """

    name: str
    header: Header
    options: Mapping[str, Any]

    @property
    def writing(self) -> str:
        """The alias to write by."""
        return f"{self.name}~w"


def taken(server: Server, name: str) -> bool:
    """Whether there is an index or alias of a name."""
    return bool(server.call(lambda es: es.indices.exists(index=name), server.clock(opening=True)))


def live(server: Server, name: str) -> Index:
    """The index that a gallery's alias points at.

    Raises:
        NotFound: there is none.
        StoreCorrupt: it is not ours, or can't be read.
    """
    found = _described(server, name)
    if not found:
        raise NotFound(f"there is no gallery at {server.address.text}")
    if len(found) > 1:
        raise StoreCorrupt(
            f"{server.address.text} stands for {len(found)} indices ({', '.join(sorted(found))}), "
            "a gallery for one; take the alias away from the others"
        )
    index, about = next(iter(found.items()))
    if index == name and layout.is_ours(about["mappings"]):
        raise StoreCorrupt(
            f"{server.address.text} is an index where an alias is expected; name the gallery by it"
        )
    return Index(index, *layout.read_header(about["mappings"], server.address.text))


def create(
    server: Server, header: Header, *, live: bool, options: Mapping[str, Any], types: Mapping[str, str]
) -> Index:
    """Make an index; a gallery that came to be live in the meantime stays as it is.

    Args:
        server: where.
        header: of the gallery in it.
        live: whether the gallery's alias is to point at it from the first moment on.
        options: shards, replicas and index_type, as far as they are chosen.
        types: of the user's fields.

    Raises:
        UsageError: vectors that can't be kept here.
    """
    layout.check(header)
    name = server.address.name
    before = _described(server, f"{name}~*")
    new = Index(f"{name}~{_next_number(name, before):06}", header, options)
    if live and any(name in about["aliases"] for about in before.values()):
        return new  # another process was faster
    aliases: dict[str, Any] = {new.writing: {"is_hidden": True}, **({name: {}} if live else {})}
    body = layout.mapping(header, options, types)

    def make(es: elasticsearch.Elasticsearch) -> Any:
        try:
            # The copies are there before the first picture is: a node that dies then takes none along.
            return es.indices.create(
                index=new.name,
                mappings=body,
                settings=layout.settings(options),
                aliases=aliases,
                wait_for_active_shards="all",
                timeout=_COPIES,
            )
        except elasticsearch.BadRequestError as error:
            if kind_of(error) != "resource_already_exists_exception":
                raise
            # By another process at the same time, or by ours in an attempt whose answer was lost.
            return es.indices.exists(index=new.name)

    server.call(make)
    return new


def all_of(server: Server, name: str) -> dict[str, Any]:
    """Every index of a gallery that is ours, live or not, and what is known of it."""
    found = _described(server, f"{name}~*")
    return {
        index: about
        for index, about in found.items()
        if _NUMBER.fullmatch(index.removeprefix(name)) and layout.is_ours(about["mappings"])
    }


def aside(server: Server, current: Index) -> list[Index]:
    """The other indices of a gallery: built by a process that was stopped, or is still at it."""
    name = server.address.name
    found = [
        Index(index, *layout.read_header(about["mappings"], index))
        for index, about in all_of(server, name).items()
        if index != current.name and name not in about["aliases"]
    ]
    return sorted(found, key=lambda index: index.name)


def swap(server: Server, old: Index, new: Index) -> None:
    """Let the alias point at another index, and delete the old one, all in one step."""
    name = server.address.name
    actions: list[dict[str, Any]] = [
        {"add": {"index": new.name, "alias": name}},
        {"remove_index": {"index": old.name}},
    ]
    try:
        server.call(lambda es: es.indices.update_aliases(actions=actions))
    except IndexGone:
        # Done already, in an attempt whose answer was lost; or somebody else has deleted the gallery.
        if live(server, name).name != new.name:
            raise


def remove(server: Server, index: str) -> None:
    """Delete an index; one that is gone already does not matter."""
    server.call(lambda es: es.indices.delete(index=index, ignore_unavailable=True))


def drop(server: Server, name: str) -> None:
    """Delete a gallery, every index of it that is ours.

    Raises:
        NotFound: there is none.
        StoreCorrupt: something else has that name.
    """
    found = all_of(server, name)
    about = _described(server, name)
    if not found and not about:
        raise NotFound(f"there is no gallery at {server.address.text}")
    if foreign := sorted(set(about) - set(found)):
        raise StoreCorrupt(
            f"{server.address.text} is the index {foreign[0]}, which is no gallery of lookalike; nothing was "
            "deleted"
        )
    for index in found:
        remove(server, index)


def blocked(server: Server, index: Index) -> bool:
    """Whether an index is closed to writers, because it is built anew."""
    path = "*.settings.index.blocks.write"
    answer = server.call(lambda es: es.indices.get_settings(index=index.name, filter_path=path))
    return bool(answer) and str(answer[index.name]["settings"]["index"]["blocks"]["write"]) == "true"


def block(server: Server, index: Index) -> None:
    """Close an index to writers; what they were writing is finished before."""
    server.call(lambda es: es.indices.add_block(index=index.name, block="write"))


def unblock(server: Server, index: Index) -> None:
    """Open an index to writers again."""
    server.call(lambda es: es.indices.put_settings(index=index.name, settings={"index.blocks.write": None}))


def field_types(server: Server, index: Index) -> dict[str, str]:
    """The types of the user's fields, as they are now."""
    path = "*.mappings.properties.metadata.properties"
    answer = server.call(lambda es: es.indices.get_mapping(index=index.name, filter_path=path))
    found = answer.get(index.name, {}).get("mappings", {}).get("properties", {}).get("metadata", {})
    return layout.field_types(found.get("properties", {}))


def _described(server: Server, pattern: str) -> dict[str, Any]:
    try:
        answer = server.call(
            lambda es: es.indices.get(
                index=pattern, filter_path="*.aliases,*.mappings", expand_wildcards="open"
            ),
            server.clock(opening=True),
        )
    except IndexGone:
        return {}
    return dict(answer)


def _next_number(name: str, indices: Iterable[str]) -> int:
    numbers = (_NUMBER.fullmatch(index.removeprefix(name)) for index in indices)
    return 1 + max((int(number[1]) for number in numbers if number is not None), default=0)

"""A gallery in an Elasticsearch cluster: `elasticsearch://host:port/name`, `elasticsearch+https://…`.

An alias of the gallery's name points at the index that holds it: one document a picture, its vector as
`dense_vector`, its class scores as `sparse_vector`. See `layout` for the fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.stores.elasticsearch.address import Address

if TYPE_CHECKING:
    from lookalike.stores.elasticsearch.store import ElasticsearchStore
    from lookalike.types import Header

__all__ = ["delete_store", "exists", "open_store"]


def open_store(address: str, *, create: Header | None = None) -> ElasticsearchStore:
    """Open the gallery at an address; see `lookalike.stores.open_store`."""
    place = Address.parse(address)
    from lookalike.stores.elasticsearch.store import ElasticsearchStore

    return ElasticsearchStore(place, create=create)


def exists(address: str) -> bool:
    """Whether there is anything of that name in the cluster.

    Raises:
        StoreUnavailable: the cluster can't be reached.
    """
    place = Address.parse(address)
    from lookalike.stores.elasticsearch.server import Server

    with Server(place) as server:
        return server.has(place.name)


def delete_store(address: str) -> None:
    """Delete a gallery with all its indices; what was not made by lookalike is never touched.

    Raises:
        NotFound: there is none.
        StoreCorrupt: something else has that name.
    """
    place = Address.parse(address)
    from lookalike.stores.elasticsearch import indices
    from lookalike.stores.elasticsearch.server import Server

    with Server(place) as server:
        indices.drop(server, place.name)

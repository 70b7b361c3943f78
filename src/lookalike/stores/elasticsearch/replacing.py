"""Building a gallery anew beside the one in use, and putting it in its place."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from lookalike.stores.elasticsearch import documents, indices, reading
from lookalike.stores.elasticsearch.changing import Changer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.stores.elasticsearch.bulk import Bulk
    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Header


def beside(server: Server, bulk: Bulk, current: Index, header: Header, options: Mapping[str, Any]) -> Index:
    """An index beside the live one: what an earlier attempt left if its header is equal, or a new one.

    Args:
        server: where.
        bulk: writes to it.
        current: the live index.
        header: of the new one.
        options: as the address has them; where it says nothing they stay as they were.

    Raises:
        StoreBusy: another process is building already.
    """
    lift(server, current)
    # From here on nobody else comes this far, and nobody writes what would not be taken over.
    indices.block(server, current)
    left, found = indices.aside(server, current), None
    for index in left:
        if index.header == header and found is None:
            found = index
        else:
            indices.remove(server, index.name)
    if found is None:
        types = indices.field_types(server, current)
        both = {**current.options, **options}
        found = indices.create(server, header, live=False, options=both, types=types)
    me = {"host": socket.gethostname(), "pid": os.getpid()}
    Changer(server, bulk, found).put([documents.system(documents.BUILDER_KEY, me)])
    return found


def lift(server: Server, current: Index) -> None:
    """Open the live index to writers again where a process of this machine closed it, and is gone.

    Raises:
        StoreBusy: it was another one, which may still be at it.
    """
    if not indices.blocked(server, current):
        return
    for index in indices.aside(server, current):
        builder = reading.content(server, index, documents.BUILDER_KEY)
        here = builder.get("host") == socket.gethostname()
        if here and not _alive(builder.get("pid")):
            indices.unblock(server, current)
            return
    raise server.busy()


def _alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

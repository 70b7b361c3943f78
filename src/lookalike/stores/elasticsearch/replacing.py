"""Building a gallery anew beside the one in use, and putting it in its place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lookalike.errors import LookalikeError, StoreBusy
from lookalike.stores.elasticsearch import indices, layout
from lookalike.stores.elasticsearch.claiming import Claim
from lookalike.stores.elasticsearch.server import IndexGone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Header


@contextmanager
def beside(server: Server, current: Index, header: Header, options: Mapping[str, Any]) -> Iterator[Index]:
    """An index beside the live one, which takes its place when the block ends well.

    It is what an earlier attempt left if its header is equal, or a new one. As long as it is built nobody
    writes to the live one.

    Args:
        server: where.
        current: the live index.
        header: of the new one.
        options: as the address has them; where it says nothing they stay as they were.

    Raises:
        StoreBusy: another process is building already.
        UsageError: vectors that can't be kept here.
    """
    both = {**current.options, **options}
    layout.check(header)
    layout.index_type(header, both.get("index_type"))
    with ExitStack() as holding:
        left = claimed(server, current, holding)
        building = next((pair for pair in left if pair[0].header == header), None)
        if building is None:
            types = indices.field_types(server, current)
            made = indices.create(server, header, live=False, options=both, types=types)
            building = made, holding.enter_context(Claim(server, made.alias, fresh=True))
        new, claim = building
        try:
            _close_to_writers(server, current)
            for index, _ in left:
                if index is not new:
                    indices.remove(server, index.name)
            yield new
            claim.require()
            indices.swap(server, current, new)
        except BaseException:
            with suppress(LookalikeError):
                claim.require()
                indices.unblock(server, current)
            raise


def lift(server: Server, current: Index) -> None:
    """Open the live index to writers again where a process closed it, and is gone.

    Raises:
        StoreBusy: the process is still at it, or the index was closed by others.
    """
    if not indices.blocked(server, current):
        return
    with ExitStack() as holding:
        if not claimed(server, current, holding):
            raise StoreBusy(
                f"the gallery {server.address.text} takes nothing new: the setting index.blocks.write of its "
                f"index {current.name} was set by others than lookalike; have it lifted"
            )
        indices.unblock(server, current)


def claimed(server: Server, current: Index, holding: ExitStack) -> list[tuple[Index, Claim]]:
    """Everything that was built beside the live index and is not in use, for oneself alone.

    Args:
        server: where.
        current: the live index.
        holding: lets go of it in the end.

    Raises:
        StoreBusy: another process is building.
    """
    return [
        (index, holding.enter_context(Claim(server, index.alias))) for index in indices.aside(server, current)
    ]


def _close_to_writers(server: Server, current: Index) -> None:
    try:
        indices.block(server, current)
    except IndexGone as gone:
        raise server.busy() from gone  # another process was done with the same a moment ago

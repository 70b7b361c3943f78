"""Building a gallery anew beside the one in use, and putting it in its place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.errors import LookalikeError, StoreBusy
from lookalike.stores.elasticsearch import indices, layout
from lookalike.stores.elasticsearch.lock import Claim
from lookalike.stores.elasticsearch.server import IndexGone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Header


@dataclass(frozen=True, slots=True)
class Building:
    """An index that is built beside the live one, and the right to do so."""

    index: Index
    claim: Claim


@contextmanager
def beside(server: Server, current: Index, header: Header, options: Mapping[str, Any]) -> Iterator[Building]:
    """An index beside the live one, which takes its place when the block ends well.

    It is what an earlier attempt left if its header is equal, and its options are those asked for; else a
    new one. As long as it is built nobody writes to the live one.

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
        building = next((one for one in left if _is_wanted(one.index, header, options)), None)
        if building is None:
            types = {name: type_ for name, type_ in indices.field_types(server, current).items() if type_}
            known = {current.name, *(one.index.name for one in left)}
            made = indices.create(
                server, header, beside=known, options=both, types=types, token=current.token
            )
            building = Building(made, holding.enter_context(Claim(server, made.alias, fresh=True)))
        else:
            # Whoever has begun it, and only slept, writes no more into it.
            left.remove(building)
            building = Building(indices.called_anew(server, building.index), building.claim)
            building.claim.follow(building.index.alias)
        try:
            _close_to_writers(server, current)
            for one in left:
                indices.remove(server, one.index.name)
            yield building
            building.claim.require()
            indices.swap(server, current, building.index)
        except BaseException:
            with suppress(LookalikeError):
                building.claim.require()
                indices.unblock(server, current)
            raise


def _is_wanted(left: Index, header: Header, options: Mapping[str, Any]) -> bool:
    return (
        left.header == header
        and left.header.format == layout.FORMAT
        and options.items() <= left.options.items()
    )


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


def claimed(server: Server, current: Index, holding: ExitStack) -> list[Building]:
    """Everything that was built beside the live index and is not in use, for oneself alone.

    Args:
        server: where.
        current: the live index.
        holding: lets go of it in the end.

    Raises:
        StoreBusy: another process is building.
    """
    return [
        Building(index, holding.enter_context(Claim(server, index.alias)))
        for index in indices.aside(server, current)
    ]


def _close_to_writers(server: Server, current: Index) -> None:
    try:
        indices.block(server, current)
    except IndexGone as gone:
        raise server.busy() from gone  # another process was done with the same a moment ago

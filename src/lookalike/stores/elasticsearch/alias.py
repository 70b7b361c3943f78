"""The live index of a gallery behind its alias, and another built beside it to take its place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lookalike.errors import LookalikeError, NotFound, StoreBusy, StoreCorrupt, StoreUnavailable
from lookalike.stores.elasticsearch import indices, layout, searching
from lookalike.stores.elasticsearch.bulk import Recent
from lookalike.stores.elasticsearch.indices import Claim
from lookalike.stores.elasticsearch.server import IndexGone
from lookalike.system import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lookalike.stores.elasticsearch.indices import Index
    from lookalike.stores.elasticsearch.server import Server
    from lookalike.types import Header

    Queries = Callable[[Index], list[dict[str, Any]]]

_T = TypeVar("_T")
_REOPENED = 3
"""How often a reading begins again because another process put a new index in the place of its own."""


class Live:
    """Where a store reads and writes.

    Args:
        server: the cluster.
        index: the live index, or one that is built beside it.
        beside: the right to build the latter, in whose place no other can come.
    """

    def __init__(self, server: Server, index: Index, *, beside: Claim | None) -> None:
        self.index = index
        self.beside = beside
        self.recent = Recent()
        self._server = server
        self._mutex = forks.lock()
        self._closed = False

    def read(self, work: Callable[[Index], _T]) -> _T:
        """What an index answers; where it is gone, what the one in its place answers."""
        self._require_open()
        index = self.index
        try:
            return work(index)
        except IndexGone:
            self._reopen(index)
            return self._again(work, index)

    def search(self, work: Callable[[Index], _T]) -> _T:
        """The same of something that finds only what a refresh has made findable."""
        self._require_open()
        self.catch_up()
        return self.read(work)

    def write(self, work: Callable[[Index], _T]) -> _T:
        """The same of something that writes: where the new index is of the same kind.

        Raises:
            StoreBusy: it is not, or another process has gone on with building it.
        """
        self._require_open()
        if self.beside is not None:
            self.beside.hold()
        index = self.index
        try:
            return work(self._up_to_date(index))
        except IndexGone as gone:
            self._reopen(index)
            if self.index.header != index.header:
                raise StoreBusy(
                    f"another process has put a gallery of other vectors in the place of "
                    f"{self._server.address.text}; run the same command again"
                ) from gone
            return self._again(lambda index: work(self._up_to_date(index)), index)
        finally:
            self.recent.add()

    def pages(
        self, queries: Queries, size: int, wanted: Mapping[str, Any]
    ) -> Iterator[tuple[Index, list[dict[str, Any]]]]:
        """Documents that match all queries in the order of ids, a page at a time, with their index.

        Raises:
            StoreUnavailable: another index was put in its place while it was read.
        """
        self._require_open()
        self.catch_up()
        first = True
        for attempt in range(_REOPENED + 1):
            index = self.index
            try:
                query = {"bool": {"filter": queries(index)}}
                for hits in searching.pages(self._server, index.alias, query, size, wanted):
                    first = False
                    yield index, hits
            except IndexGone as gone:
                if not first:
                    address = self._server.address.text
                    message = f"the gallery {address} was built anew while it was read; start again"
                    raise StoreUnavailable(message) from gone
                if attempt == _REOPENED:
                    raise
                self._reopen(index)
            else:
                return

    def catch_up(self) -> None:
        """Make what was written here findable."""
        self.recent.clear(lambda: self.read(self._refreshed))

    def close(self) -> None:
        """Whoever uses it from now on is told."""
        self._closed = True

    def _refreshed(self, index: Index) -> Any:
        return self._server.call(lambda es: es.indices.refresh(index=index.alias))

    def _up_to_date(self, index: Index) -> Index:
        new = indices.migrate(self._server, index)
        with self._mutex:
            if new is not index and self.index is index:
                self.index = new
        return new

    def _reopen(self, gone: Index) -> None:
        address = self._server.address
        with self._mutex:
            if self.beside is not None:
                if self._server.has(gone.alias):
                    return
                self.beside.require()
                raise NotFound(
                    f"the index {gone.name}, which was being built, was deleted by another process"
                )
            if self.index is not gone:
                return  # another thread was here
            self.index = indices.live(self._server, address.name)

    def _again(self, work: Callable[[Index], _T], gone: Index) -> _T:
        """The work once more: while a whole cluster comes back, a refresh finds no index that is there."""
        try:
            return work(self.index)
        except IndexGone as error:
            if self.index.alias != gone.alias:
                raise
            address = self._server.address.text
            message = f"{address} has lost an alias; index again, or restore a snapshot"
            raise StoreCorrupt(message) from error

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the gallery {self._server.address.text} was closed; open it again")


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

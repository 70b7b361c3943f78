"""Writing many documents at once, and what a store has written that searches do not see yet.

Documents are written whole under ids of their own, so that whatever is sent twice, because an answer was
lost, is there once.

In chunks, on two threads, each document is tried again until it is refused for good. The server makes
writes searchable from time to time, or when it is told to, which takes a while: so it is told only where
something is searched. Digests are asked for all the time while pictures come in; of those just written they
are remembered here.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lookalike.stores.elasticsearch.server import Clock, Server
    from lookalike.types import Record

_THREADS = 2
_DOCUMENTS = 300  # in one request
_BYTES = 5 << 20
_CROWDED = {429, 502, 503, 504}
_CONFLICT = 409
_PATHS = "errors,items.*.status,items.*.error.type,items.*.error.reason"


class Seen(NamedTuple):
    """Which version of a document was read, to be written over only if it still is that one."""

    number: int
    term: int


NOTHING = Seen(-1, 0)
"""What was seen where there was no document."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do.

    key: `_id` of the document.
    document: what it is to be; None to delete it.
    seen: what it must still be; None where that does not matter.
    """

    key: str
    document: Mapping[str, Any] | None
    seen: Seen | None = None

    def lines(self) -> list[bytes]:
        """The action as lines of a request."""
        about: dict[str, Any] = {"_id": self.key}
        if self.seen == NOTHING:
            about["op_type"] = "create"
        elif self.seen is not None:
            about |= {"if_seq_no": self.seen.number, "if_primary_term": self.seen.term}
        if self.document is None:
            return [orjson.dumps({"delete": about})]
        # Of float32 as many digits as it takes to read the very same number again.
        return [
            orjson.dumps({"index": about}),
            orjson.dumps(self.document, option=orjson.OPT_SERIALIZE_NUMPY),
        ]


class Outcome(NamedTuple):
    """What became of some actions: reasons by key of those refused, and the keys of those that were late."""

    refused: dict[str, str]
    conflicts: set[str]


class _Part(NamedTuple):
    """Some actions with their lines."""

    actions: list[Action]
    lines: list[list[bytes]]


class Bulk(Forked):
    """Writes to the indices of one cluster.

    Args:
        server: the cluster.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.after_fork_in_child()
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Have threads of its own."""
        self._threads = ThreadPoolExecutor(_THREADS, "lookalike-bulk")

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown()

    def write(self, alias: str, actions: Sequence[Action]) -> Outcome:
        """Do everything that can be done; it is durable when this returns.

        Args:
            alias: to write by.
            actions: no two of one key.

        Raises:
            StoreUnavailable: the cluster did not take them in time; some of them may be done.
            StoreBusy, IndexGone: as the messages say.
        """
        refused: dict[str, str] = {}
        conflicts: set[str] = set()
        # All parts are waited for, so that nothing is still being written once an error is out.
        futures = [self._threads.submit(self._send, alias, part) for part in _parts(actions)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        for future in futures:
            outcome = future.result()
            refused |= outcome.refused
            conflicts |= outcome.conflicts
        return Outcome(refused, conflicts)

    def _send(self, alias: str, part: _Part) -> Outcome:
        outcome, clock = Outcome({}, set()), self._server.clock()
        while part.actions:
            items = self._answer(alias, part, clock)
            crowded = [row for row, item in enumerate(items) if item.get("status", 200) in _CROWDED]
            for action, item in zip(part.actions, items, strict=True):
                self._judge(action, item, outcome)
            if crowded and not clock.wait():
                reason = items[crowded[0]].get("error", {}).get("reason", "too much to do")
                raise self._server.late(str(reason), clock)
            part = _Part([part.actions[row] for row in crowded], [part.lines[row] for row in crowded])
        return outcome

    def _answer(self, alias: str, part: _Part, clock: Clock) -> list[dict[str, Any]]:
        """What became of each action; empty for one that went well."""
        lines: Any = [line for own in part.lines for line in own]  # encoded already
        answer = self._server.call(
            lambda es: es.bulk(operations=lines, index=alias, require_alias=True, filter_path=_PATHS), clock
        )
        if not answer["errors"]:
            return [{}] * len(part.actions)
        return [next(iter(item.values())) for item in answer["items"]]

    def _judge(self, action: Action, item: Mapping[str, Any], outcome: Outcome) -> None:
        status, error = item.get("status", 200), item.get("error")
        if error is None:
            return
        type_, reason = str(error.get("type", "")), str(error.get("reason", ""))
        everything = self._server.refused(status, type_, reason)
        if everything is not None:
            raise everything
        if status == _CONFLICT:
            outcome.conflicts.add(action.key)
        elif status not in _CROWDED:
            outcome.refused[action.key] = f"Elasticsearch refused it: {reason[:300]}"


def _parts(actions: Iterable[Action]) -> Iterator[_Part]:
    """Actions in requests that are neither long nor large, and enough of them for every thread."""
    actions = list(actions)
    most = min(_DOCUMENTS, max(1, -(-len(actions) // _THREADS)))
    part, size = _Part([], []), 0
    for action in actions:
        lines = action.lines()
        length = sum(map(len, lines))
        if part.actions and (len(part.actions) == most or size + length > _BYTES):
            yield part
            part, size = _Part([], []), 0
        part.actions.append(action)
        part.lines.append(lines)
        size += length
    if part.actions:
        yield part


MOST = 5_000
"""Pictures whose digests are remembered before the server is told to make them searchable."""


class Recent:
    """What was written since the last refresh; several threads may share it."""

    def __init__(self) -> None:
        self._mutex = forks.lock()
        self._stale = False
        self._ids: dict[bytes, set[str]] = defaultdict(set)
        self._count = 0

    @property
    def stale(self) -> bool:
        """Whether anything was."""
        return self._stale

    @property
    def full(self) -> bool:
        """Whether it is time for a refresh."""
        return self._count >= MOST

    def add(self, records: Iterable[Record] = ()) -> None:
        """Remember that something was written, and which pictures."""
        with self._mutex:
            self._stale = True
            for record in records:
                self._ids[record.digest].add(record.id)
                self._count += 1

    def ids(self, digests: Iterable[bytes]) -> set[str]:
        """The ids under which pictures with these digests were written; they may have changed since."""
        with self._mutex:
            return set().union(*(self._ids.get(digest, set()) for digest in set(digests)))

    def clear(self, refresh: Callable[[], object]) -> None:
        """Refresh if anything was written; who asks meanwhile waits for that."""
        with self._mutex:
            if self._stale:
                refresh()
                self._stale, self._count = False, 0
                self._ids.clear()

"""Who builds a gallery anew: one process at a time, told by a document that it writes again and again.

The document lies in the index that is being built. Nobody's clock and no process number is believed: whoever
wants the right watches the document, and takes it over by a conditional write when it rests for long.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import elasticsearch

from lookalike.errors import LookalikeError
from lookalike.stores.elasticsearch import documents, reading
from lookalike.stores.elasticsearch.bulk import Seen
from lookalike.stores.elasticsearch.server import IndexGone
from lookalike.system import forks
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from lookalike.stores.elasticsearch.server import Server

BEAT = 2.0
"""Seconds from one writing of the document to the next."""

SILENCE = 15.0
"""Seconds without one after which its process is taken to be gone."""

_LOOK = 0.25
_MOST = 1.0  # seconds of silence that one look can tell
_NOBODY = "nobody"


class _Overtaken(Exception):
    """Somebody has written the document since it was read."""


class _State(NamedTuple):
    """Who wrote the document last, and which version of it that is; None where there is none."""

    who: str
    seen: Seen | None


class Claim(Forked):
    """The right to build one index, held until it is let go.

    Args:
        server: where.
        alias: of the index.
        fresh: whether it was made here just now, so that nobody else can have the right.

    Raises:
        StoreBusy: another process has it.
        IndexGone: the index is not there.
    """

    def __init__(self, server: Server, alias: str, *, fresh: bool = False) -> None:
        self._server = server
        self._alias = alias
        self._me = secrets.token_hex(8)
        self._written = _clocks()
        before = _State("", None) if fresh else _look(server, alias)
        if not fresh and _changes(server, alias, before):
            raise server.busy()
        held = self._write(before)
        if held is None:
            raise server.busy()
        self._held = held
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lookalike-claim", daemon=True)
        self._thread.start()
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Leave the right to the parent, which goes on to have it."""
        self._lost = True
        self._ended = threading.Event()
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def follow(self, alias: str) -> None:
        """Go on under another alias of the same index."""
        self._alias = alias

    def hold(self) -> None:
        """Raise `StoreBusy` where another process may have taken it over; asked before every write."""
        if self._lost or self._silent() > SILENCE / 2:
            self.require()

    def require(self) -> None:
        """Raise `StoreBusy` where another process took it over: this one was silent for too long."""
        try:
            lost = self._lost or _look(self._server, self._alias).who != self._me
        except IndexGone as gone:
            # Whoever takes it over calls it otherwise; else it was deleted.
            if not self._server.has(self._alias.rpartition("~")[0]):
                raise
            raise self._server.busy() from gone
        if lost:
            raise self._server.busy()

    def release(self) -> None:
        """Let go of it, so that others need not wait; a second time does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        if not self._lost:
            with suppress(LookalikeError):
                self._write(self._held, free=True)

    def _silent(self) -> float:
        """Seconds since it was written; while a machine sleeps, only one of the two clocks goes on."""
        return max(now - then for now, then in zip(_clocks(), self._written, strict=True))

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            # A cluster that does not answer lets nobody else in, either.
            with suppress(LookalikeError):
                held = self._write(self._held)
                if held is None:
                    self._lost = True
                    return
                self._held = held

    def _write(self, before: _State, *, free: bool = False) -> _State | None:
        """Write the document if it still is as it was; None where it is not."""
        entry = documents.system(documents.BUILDER_KEY, {"who": _NOBODY if free else self._me})
        unseen: dict[str, Any] = {"op_type": "create"}
        asked = _clocks()
        as_seen = (
            {"if_seq_no": before.seen.number, "if_primary_term": before.seen.term} if before.seen else unseen
        )

        def write(es: elasticsearch.Elasticsearch) -> Any:
            try:
                return es.index(
                    index=self._alias, id=entry.key, document=entry.document, require_alias=True, **as_seen
                )
            except elasticsearch.ConflictError as error:
                raise _Overtaken from error

        try:
            answer = self._server.call(write, self._server.clock(opening=True))
        except _Overtaken:
            # Perhaps by ourselves, in an attempt whose answer was lost.
            now = _look(self._server, self._alias)
            return now if now.who == self._me else None
        self._written = asked
        return _State(self._me, Seen(answer["_seq_no"], answer["_primary_term"]))


def require_nobody(server: Server, alias: str) -> None:
    """Raise `StoreBusy` where a process is building an index."""
    if _changes(server, alias, _look(server, alias)):
        raise server.busy()


def _look(server: Server, alias: str) -> _State:
    content, seen = reading.system(server, alias, documents.BUILDER_KEY)
    return _State(content.get("who", _NOBODY if seen else ""), seen)


def _changes(server: Server, alias: str, before: _State) -> bool:
    """Whether somebody writes the document; an index that was just made has none yet."""
    silent = SILENCE if before.who == _NOBODY else 0.0
    while silent < SILENCE:
        asked = time.monotonic()
        time.sleep(_LOOK)
        if _look(server, alias) != before:
            return True
        # While a cluster does not answer, its builder can't write either.
        silent += min(time.monotonic() - asked, _MOST)
    return False


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()

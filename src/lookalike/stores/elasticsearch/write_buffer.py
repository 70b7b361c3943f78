"""What a store has written that searches do not see yet.

The server makes writes searchable from time to time, or when it is told to, which takes a while: so it
is told only where something is searched. Digests are asked for all the time while pictures come in;
of those just written they are remembered here instead.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lookalike.system import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lookalike.types import Record

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

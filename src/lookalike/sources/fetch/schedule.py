"""Which picture is fetched next: several hosts at once, each no more often than is polite."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.sources.fetch.wanted import Picture

SILENT = 10
"""After how many requests in a row without any answer a host is not asked again."""


@dataclass(slots=True)
class Task:
    """A picture on its way.

    url: the address to ask now, after redirects.
    attempts: how often that failed.
    redirects: how often it led on.
    """

    picture: Picture
    url: str
    attempts: int = 0
    redirects: int = 0


@dataclass(slots=True, eq=False)
class Host:
    """A machine that is asked.

    waiting: what is still to be asked for.
    busy: how many requests are under way.
    until: asked for nothing before this time.
    silent: how many requests in a row had no answer.
    closed: why it is not asked for anything any more; "" while it is.
    """

    waiting: deque[Task] = field(default_factory=deque)
    busy: int = 0
    until: float = 0.0
    silent: int = 0
    closed: str = ""


class Schedule:
    """What is to be fetched, handed out to threads.

    Every task taken is given back once: as `done`, as `again`, or as `moved`.

    Args:
        pictures: what is wanted.
        per_host: requests under way to one host at most.
    """

    def __init__(self, pictures: Iterable[Picture], *, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, Host] = {}
        self._ready: dict[Host, None] = {}  # an ordered set: hosts with something to ask, and room
        self._later: list[tuple[float, int, Host, Task | None]] = []
        self._ties = count()
        self._open = 0
        self._stopped = False
        self._change = threading.Condition()
        with self._change:
            for picture in pictures:
                self._add(Task(picture, picture.url))
                self._open += 1

    @property
    def room(self) -> int:
        """How many threads can have work at the same time."""
        with self._change:
            return sum(min(len(host.waiting), self._per_host) for host in self._hosts.values())

    def host_of(self, task: Task) -> Host:
        """The host that is to be asked for this."""
        return self._hosts.setdefault(_name(task.url), Host())

    def take(self, near: Host | None = None) -> Task | None:
        """The next task, from the host `near` if it has one; None when there will be no more.

        A thread that stays with a host can go on with its connection.
        """
        with self._change:
            while self._open and not self._stopped:
                wait = self._wake()
                host = near if near in self._ready else next(iter(self._ready), None)
                if host is not None:
                    task = host.waiting.popleft()
                    host.busy += 1
                    self._sort(host)
                    return task
                self._change.wait(wait)
            return None

    def done(self, task: Task, *, silent: bool = False) -> None:
        """This has come, or failed for good."""
        with self._change:
            self._release(task, silent=silent)
            self._open -= 1
            self._change.notify_all()

    def again(self, task: Task, delay: float, *, silent: bool = False, pause: bool = False) -> None:
        """Try this again after some seconds; with `pause` the host is left alone for as long."""
        with self._change:
            host = self._release(task, silent=silent)
            when = time.monotonic() + delay
            task.attempts += 1
            if pause:
                host.until = max(host.until, when)
                self._sort(host)
            heapq.heappush(self._later, (when, next(self._ties), host, task))
            self._change.notify()

    def moved(self, task: Task, url: str) -> None:
        """This leads on to another address, whose host has its own turn."""
        with self._change:
            self._release(task)
            task.url = url
            task.redirects += 1
            self._add(task, first=True)
            self._change.notify()

    def close(self, host: Host, reason: str) -> None:
        """Ask this host for nothing more."""
        with self._change:
            host.closed = host.closed or reason
            host.until = 0.0
            self._sort(host)
            self._change.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def _add(self, task: Task, *, first: bool = False) -> None:
        host = self.host_of(task)
        (host.waiting.appendleft if first else host.waiting.append)(task)
        self._sort(host)

    def _release(self, task: Task, *, silent: bool = False) -> Host:
        host = self.host_of(task)
        host.busy -= 1
        host.silent = host.silent + 1 if silent else 0
        if host.silent >= SILENT:
            host.closed = host.closed or f"not asked: the host gave no answer {SILENT} times in a row"
        self._sort(host)
        return host

    def _wake(self) -> float | None:
        """Bring in what was put off and is due; seconds until the next of it."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, host, task = heapq.heappop(self._later)
            if task is not None:
                host.waiting.appendleft(task)
            self._sort(host)
        return self._later[0][0] - now if self._later else None

    def _sort(self, host: Host) -> None:
        """Put a host where it belongs: ready, or not."""
        now = time.monotonic()
        room = host.closed or (host.busy < self._per_host and host.until <= now)
        if host.waiting and room:
            self._ready[host] = None
            self._change.notify()
            return
        self._ready.pop(host, None)
        if host.waiting and host.until > now:
            heapq.heappush(self._later, (host.until, next(self._ties), host, None))


def _name(url: str) -> str:
    try:
        # A dot at the end of a name is part of no name.
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""

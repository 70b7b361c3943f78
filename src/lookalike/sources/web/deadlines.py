"""Time that runs out: the HTTP library limits only each wait for some bytes, not all of them together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from lookalike.sources.web.lines import Line

_TICK = 0.05  # seconds; how late a deadline may end


class Deadline:
    """Cuts the connection when the time is over, for a block of code."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.when = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._line: Line | None = None

    def __enter__(self) -> Self:
        _watchdog.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watchdog.remove(self)
        with self._lock:
            self._line = None

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self.when

    def watch(self, line: Line) -> None:
        """From now on, this is the connection to cut."""
        with self._lock:
            self._line = line
        if self.over:
            self.end()

    def end(self) -> None:
        """Let the time be over now."""
        with self._lock:
            self.when = min(self.when, time.monotonic())
            if self._line:
                self._line.cut()


class _Watchdog:
    """One thread that ends every deadline; it is there while there are any.

    A timer for each would be a thread for each, which takes longer than a small download.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: set[Deadline] = set()
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._lock:
            self._deadlines.add(deadline)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()

    def remove(self, deadline: Deadline) -> None:
        with self._lock:
            self._deadlines.discard(deadline)

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK)
            with self._lock:
                if not self._deadlines:
                    self._thread = None
                    return
                due = [deadline for deadline in self._deadlines if deadline.over]
                self._deadlines.difference_update(due)
            for deadline in due:
                deadline.end()


_watchdog = _Watchdog()

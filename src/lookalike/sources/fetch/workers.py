"""The threads that fetch: ask, look whether it is a picture, keep it; try again or give up."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING

from lookalike.errors import DownloadError, ImageError
from lookalike.images import decode
from lookalike.sources.fetch.report import Failure
from lookalike.sources.web import REDIRECTS, Deadline, Downloader, Failed, read, without_secrets

if TYPE_CHECKING:
    from lookalike.sources.fetch.folder import Folder, Part
    from lookalike.sources.fetch.schedule import Host, Schedule, Task

_FIRST_DELAY = 0.5  # seconds, doubled with each attempt
_LONGEST_DELAY = 30.0
_LONGEST_WAIT = 120.0  # seconds; a server that asks for more is left alone in this run
_PATIENCE = 2.0  # seconds for threads to notice that all is over
_GLANCE = (32, 32)  # pixels: decoding for this size reads every byte, and makes little


class Crew:
    """Threads that work off a schedule.

    fetched: the name of the file for each id that came.
    failed: what did not.
    retries, bytes: how many requests were made again, and how much came.
    """

    def __init__(
        self,
        schedule: Schedule,
        folder: Folder,
        *,
        retries: int,
        timeout: float,
        max_bytes: int,
        allow_private: bool,
    ) -> None:
        self.fetched: dict[str, str] = {}
        self.failed: list[Failure] = []
        self.retries = 0
        self.bytes = 0
        self._schedule = schedule
        self._folder = folder
        self._retries = retries
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._allow_private = allow_private
        self._threads: list[threading.Thread] = []
        self._deadlines: set[Deadline] = set()
        self._lock = threading.Lock()
        self._decoding = threading.Semaphore(os.cpu_count() or 1)  # each holds a whole file
        self._stopped = False
        self._error: BaseException | None = None

    def start(self, count: int) -> None:
        """Start so many threads."""
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; whether all is done.

        Raises:
            LookalikeError: what ended the work for all, such as a full disk.
        """
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))
        if self._error is not None:
            raise self._error
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End what is under way. Afterwards nothing changes any more, even if a thread still waits."""
        self._schedule.stop()
        with self._lock:
            self._stopped = True
            deadlines = list(self._deadlines)
        for deadline in deadlines:
            deadline.end()
        end = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))

    def _work(self) -> None:
        host: Host | None = None
        downloader = Downloader(
            max_bytes=self._max_bytes, timeout=self._timeout, allow_private=self._allow_private
        )
        try:
            with downloader:
                while (task := self._schedule.take(host)) is not None:
                    host = self._schedule.host_of(task)
                    self._attempt(task, host, downloader)
        except BaseException as error:  # noqa: BLE001  # raised again by `wait`, on the caller's thread
            self._error = self._error or error
            self._schedule.stop()

    def _attempt(self, task: Task, host: Host, downloader: Downloader) -> None:
        if host.closed:
            self._give_up(task, host.closed)
            return
        try:
            with self._folder.part() as part:
                moved = self._download(task, part, downloader)
                if moved is None:
                    self._keep(task, part)
        except Failed as error:
            self._again_or_not(task, host, error)
        except (DownloadError, ImageError) as error:
            self._give_up(task, str(error))
        else:
            self._go_on(task, moved)

    def _download(self, task: Task, part: Part, downloader: Downloader) -> str | None:
        """Fetch the bytes; the address instead, if it leads on to another."""
        with Deadline(self._timeout) as deadline:
            with self._lock:
                self._deadlines.add(deadline)
                if self._stopped:
                    deadline.end()
            try:
                return downloader.get(task.url, part.write, deadline).location
            finally:
                with self._lock:
                    self._deadlines.discard(deadline)

    def _keep(self, task: Task, part: Part) -> None:
        with self._decoding:
            kind = decode(part.content(), size=_GLANCE).format
        with self._lock:
            if not self._stopped:
                name = self._folder.keep(part, task.picture.stem, kind)
                self.fetched[task.picture.id] = name
                self.bytes += part.size

    def _go_on(self, task: Task, moved: str | None) -> None:
        if moved is None:
            self._schedule.done(task)
        elif task.redirects == REDIRECTS:
            self._give_up(task, f"more than {REDIRECTS} redirects")
        else:
            self._schedule.moved(task, moved)

    def _again_or_not(self, task: Task, host: Host, error: Failed) -> None:
        wait = error.wait or 0.0
        if error.again and wait > _LONGEST_WAIT:
            reason = f"{error.reason}, and asks to wait {wait:,.0f} seconds"
            self._schedule.close(host, reason)
            self._give_up(task, reason)
        elif error.again and task.attempts < self._retries:
            backoff = min(_FIRST_DELAY * 2**task.attempts, _LONGEST_DELAY) * random.uniform(0.5, 1)  # noqa: S311  # apart, not secret
            with self._lock:
                self.retries += 1
            self._schedule.again(task, max(wait, backoff), silent=error.silent, pause=error.wait is not None)
        else:
            self._give_up(task, error.reason, silent=error.silent)

    def _give_up(self, task: Task, reason: str, *, silent: bool = False) -> None:
        if task.url != task.picture.url:
            reason = f"redirected to {without_secrets(read(task.url))}: {reason}"
        with self._lock:
            if not self._stopped:
                self.failed.append(Failure(task.picture.id, task.picture.shown, reason))
        self._schedule.done(task, silent=silent)

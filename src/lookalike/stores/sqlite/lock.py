"""The right to write: held by one process, and in it by one store."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lookalike.errors import StoreBusy, StoreUnavailable
from lookalike.system import forks, posix
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.system.directory import Directory


class WriterLock(Forked):
    """A lock on a file of a folder, which ends with the process however that ends.

    The store that holds it may take it again; its own threads wait for each other. The child of a fork
    does not hold it.
    """

    def __init__(self, directory: Directory, name: str) -> None:
        self._directory, self._name = directory, name
        self._threads = forks.reentrant_lock()
        self._depth = 0
        self._descriptor = -1
        forks.watch(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            StoreBusy: another process or store holds it.
            StoreUnavailable: the lock's file can't be written.
        """
        with self._threads:
            if self._depth == 0:
                self._descriptor = self._lock()
            self._depth += 1
            try:
                yield
            finally:
                if self._depth:  # none in a child that was forked within the block
                    self._depth -= 1
                    if self._depth == 0:
                        os.close(self._descriptor)

    def after_fork_in_child(self) -> None:
        """Let go of the file without unlocking it, which would unlock it for the parent."""
        if self._depth:
            self._depth = 0
            os.close(self._descriptor)

    def _lock(self) -> int:
        while True:
            descriptor = self._open()
            self._take(descriptor)
            if self._is_current(descriptor):
                break
            os.close(descriptor)  # of a gallery that was deleted a moment ago
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return descriptor

    def _open(self) -> int:
        try:
            return self._directory.open(self._name, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StoreUnavailable(
                f"{self._directory.path} can't be written ({error.strerror}); "
                "keep the gallery elsewhere with --gallery FOLDER"
            ) from error

    def _take(self, descriptor: int) -> None:
        try:
            posix.lock(descriptor)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder else "another process"
            raise StoreBusy(
                f"{who} is writing to the gallery in {self._directory.path}; try again when it is done"
            ) from error

    def _is_current(self, descriptor: int) -> bool:
        status = self._directory.status(self._name)
        return status is not None and os.path.samestat(status, os.fstat(descriptor))

"""What a process that was forked makes anew: locks, connections, compiled networks.

A fork copies the memory of a process but only one of its threads. A lock that another thread held stays
locked in the child for ever, a pool of threads stays empty, and a connection belongs to two processes at
once. So whoever has such things is told before a fork, to come to rest, and after it, on either side. A
fork waits for that at most `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 10.0
"""Seconds that a fork waits for what other threads are in the middle of."""


class Forked:
    """Something that is told of forks; `watch` sees to it."""

    def before_fork(self, until: float) -> None:
        """Come to rest, by a time of `time.monotonic`; whatever happens, the process is forked then."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Let go of what belongs to the parent, and make anew what a thread may hold that is not there."""


_registering = threading.Lock()
_locks: WeakSet[Any] = WeakSet()
_owners: WeakSet[Forked] = WeakSet()
_in_child: list[Callable[[], object]] = []
_told: list[Forked] = []


def lock() -> threading.Lock:
    """Return a lock that is free in the child of a fork."""
    made = threading.Lock()
    _register(made)
    return made


def reentrant_lock() -> Any:
    """Return a `threading.RLock` that is free in the child of a fork."""
    made = threading.RLock()
    _register(made)
    return made


def watch(owner: Forked) -> None:
    """Tell an object of forks as long as it is there."""
    with _registering:
        _owners.add(owner)


def call_in_child(function: Callable[[], object]) -> None:
    """Have a function called in the child of every fork."""
    _in_child.append(function)


def abandon(thing: object) -> None:
    """Never let go of an object: what ends it would wait for threads, or touch files, of the parent."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _register(held: Any) -> None:
    with _registering:
        _locks.add(held)


def _before() -> None:
    until = time.monotonic() + PATIENCE
    _registering.acquire(timeout=PATIENCE)
    _told[:] = _owners
    for owner in _told:
        with suppress(Exception):  # the fork comes, whatever happens
            owner.before_fork(until)


def _after_in_parent() -> None:
    for owner in _told:
        with suppress(Exception):
            owner.after_fork_in_parent()
    _told.clear()
    with suppress(RuntimeError):  # it was not had in time
        _registering.release()


def _after_in_child() -> None:
    for held in [_registering, *_locks]:
        held._at_fork_reinit()  # noqa: SLF001 - as the standard library does it with its own
    for owner in _told:
        with suppress(Exception):
            owner.after_fork_in_child()
    _told.clear()
    for function in _in_child:
        with suppress(Exception):
            function()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)

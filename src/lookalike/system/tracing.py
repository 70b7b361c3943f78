"""What is being done and how long it took, told to whoever listens: `--verbose` of the command line.

Nobody listens usually, and then this costs a look at an empty list.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_listeners: list[Callable[[str], object]] = []


@contextmanager
def listening(listener: Callable[[str], object]) -> Iterator[None]:
    """Tell a listener, in this process, of what is done while the block lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(message: str) -> None:
    """Tell whoever listens."""
    for listener in _listeners:
        listener(message)


def heard() -> bool:
    """Whether anybody listens, so that a message has to be made."""
    return bool(_listeners)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell, after the block, what was done in it and how long that took."""
    started = time.perf_counter()
    yield
    if _listeners:
        tell(f"{what}: {1000 * (time.perf_counter() - started):,.1f} ms")

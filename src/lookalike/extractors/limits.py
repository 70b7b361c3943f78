"""What a foreign network may cost until it has run once: time, and memory where that can be limited."""

from __future__ import annotations

from lookalike.system import posix, process

SECONDS, MEMORY = "LOOKALIKE_MODEL_SECONDS", "LOOKALIKE_MODEL_MEMORY"
"""The environment variables that change the limits."""

_SECONDS, _MEMORY = 60, 8_000_000_000


def seconds() -> int:
    """Return how long a network may be read, compiled and run for the first time.

    Raises:
        UsageError: `LOOKALIKE_MODEL_SECONDS` is no whole number above 0.
    """
    return process.positive(SECONDS, _SECONDS)


def memory() -> int:
    """Return how many bytes it may take for that.

    Raises:
        UsageError: `LOOKALIKE_MODEL_MEMORY` is no whole number above 0.
    """
    return process.positive(MEMORY, _MEMORY)


def impose() -> None:
    """Limit the memory of this process; on macOS, which does not limit it, time is the only limit."""
    posix.limit_memory(memory())


def in_words() -> str:
    """Say what the limits are, and how to raise them."""
    return (
        f"the limits are {seconds()} seconds and {memory() / 1e9:,.1f} GB; if it may take more, "
        f"raise {SECONDS} or {MEMORY} (bytes)"
    )

"""How large a picture may be, and the memory that decoding threads share."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import ImageError
from lookalike.system import forks, process
from lookalike.system.forks import Forked

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """How large a picture may be. The defaults keep two decoding threads below 700 MB in all.

    max_pixels: of a picture that has to be decoded whole.
    max_jpeg_pixels: of a JPEG that is decoded at reduced size, which takes 1/64 of the memory.
    max_bytes: of a file.
    max_memory: bytes that the pictures being decoded take at any moment, all threads together
        (a large one waits for the others), by an estimate from the header. It includes the files.
    max_seconds: that a picture may take to decode, by an estimate from the header for a slow machine; only
        kinds that take long for their size reach it.
    """

    max_pixels: int = 80_000_000
    max_jpeg_pixels: int = 1_000_000_000
    max_bytes: int = 150_000_000
    max_memory: int = 400_000_000
    max_seconds: int = 20

    @classmethod
    def from_environment(cls) -> ImageLimits:
        """The defaults, or what LOOKALIKE_MAX_PIXELS, _MAX_BYTES, _MAX_MEMORY and _MAX_SECONDS say.

        Raises:
            UsageError: a variable is not a positive whole number.
        """
        pixels = process.positive("LOOKALIKE_MAX_PIXELS", cls().max_pixels)
        return cls(
            max_pixels=pixels,
            max_jpeg_pixels=max(pixels, cls().max_jpeg_pixels),
            max_bytes=process.positive("LOOKALIKE_MAX_BYTES", cls().max_bytes),
            max_memory=process.positive("LOOKALIKE_MAX_MEMORY", cls().max_memory),
            max_seconds=process.positive("LOOKALIKE_MAX_SECONDS", cls().max_seconds),
        )


def require_bytes(size: int, limits: ImageLimits) -> None:
    """Refuse a file that is too large."""
    if size > limits.max_bytes:
        raise ImageError(
            f"{size / 1e6:,.0f} MB, the limit is {limits.max_bytes / 1e6:,.0f}; LOOKALIKE_MAX_BYTES raises it"
        )


def require_pixels(width: int, height: int, limit: int) -> None:
    """Refuse a picture of too many pixels."""
    pixels = width * height
    if pixels > limit:
        raise ImageError(
            f"{pixels / 1e6:,.0f} megapixels ({width} x {height}), the limit is {limit / 1e6:,.0f}; "
            "LOOKALIKE_MAX_PIXELS raises it"
        )


def require_memory(need: int, limits: ImageLimits) -> None:
    """Refuse a picture that takes too much memory, even alone."""
    if need > limits.max_memory:
        raise ImageError(
            f"needs {need / 1e6:,.0f} MB to open, the limit is {limits.max_memory / 1e6:,.0f}; "
            "LOOKALIKE_MAX_MEMORY raises it"
        )


class _Memory(Forked):
    """Bytes in use by all threads together. A large picture waits for room, and is not overtaken."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing in use: no thread is in the middle of a picture."""
        self._turn = threading.Lock()
        self._room = threading.Condition()
        self._used = 0

    @contextmanager
    def hold(self, need: int, limit: int) -> Iterator[None]:
        """Wait until `need` more bytes are within the limit, and hold them for the block."""
        with self._turn, self._room:
            self._room.wait_for(lambda: self._used == 0 or self._used + need <= limit)
            self._used += need
        try:
            yield
        finally:
            with self._room:
                self._used -= need
                self._room.notify_all()


MEMORY = _Memory()

"""Answers that come packed although they were asked for as they are: unpacked in bounded memory."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from lookalike.sources.web.failures import Failed, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

_PART = 1 << 16  # bytes given at once: a few that are packed may be gigabytes inside
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What zlib is to expect for each name of the web."""


def unpacked(response: httpx.Response, url: httpx.URL) -> Iterator[bytes]:
    """The bytes of an answer, part by part.

    Raises:
        Failed: they are packed in a way that nobody asked for, or are not what they are called.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in {"", "identity"}:
        yield from response.iter_raw()
        return
    if coding not in _WINDOWS:
        raise Failed(without_secrets(url), f"is packed as {coding!r:.40}, which was not asked for")
    unpacker = zlib.decompressobj(_WINDOWS[coding])
    try:
        for part in response.iter_raw():
            yield from _inside(unpacker, part)
    except zlib.error:
        raise Failed(without_secrets(url), f"is called {coding}, and is not") from None
    if not unpacker.eof:
        raise Failed(without_secrets(url), "the answer broke off", again=True)


def _inside(unpacker: zlib._Decompress, part: bytes) -> Iterator[bytes]:
    more = True
    while more and not unpacker.eof:
        found = unpacker.decompress(part, _PART)
        part = unpacker.unconsumed_tail
        if found:
            yield found
        more = bool(part) or len(found) == _PART

"""The scans of a JPEG: what of it is there when its file ends too early."""

from __future__ import annotations

import re
from hashlib import shake_128
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from lookalike.images.formats import open_header

if TYPE_CHECKING:
    from PIL.Image import Image

END = b"\xff\xd9"

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # but for those inside of a scan
_ALONE = {0x01, *range(0xD0, 0xD9)}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_GREYS = {127, 128}  # what libjpeg makes of nothing, and the same inverted
_CORNER = 8  # pixels
_JUNK, _PIECE = 2048, 64  # bytes
_ENOUGH = 512  # pixels a side, to count rows


class Layout(NamedTuple):
    """What the markers of a JPEG say.

    end: where the pixels of the last scan end, or the file is cut.
    coarse: whether it is progressive, and has all of a first, coarse picture with more behind it.
    begun: whether any scan is there.
    """

    end: int
    coarse: bool
    begun: bool


def ends_in_grey(image: Image) -> bool:
    """Whether the last pixels are as libjpeg leaves them where it finds nothing, or as few pictures have."""
    width, height = image.size
    last = image.getpixel((width - 1, height - 1))
    if not _GREYS.issuperset(last if isinstance(last, tuple) else (last,)):
        return False  # as of nearly all pictures
    corner = image.crop((max(0, width - _CORNER), height - 1, width, height))
    return set(corner.tobytes()) <= _GREYS


def layout(source: bytes) -> Layout:
    """Go through the markers of a JPEG up to its end, or to where it is cut."""
    at, planes, progressive, begun = 2, 0, False, False
    coarse: set[int] = set()  # planes of which the coarse picture is there
    last: set[int] = set()  # the same of the scan that was seen last
    end = len(source)
    while found := _MARKER.search(source, at):
        marker, at = source[found.end() - 1], found.end()
        if marker in _ALONE:
            continue
        end = found.start()
        if marker == _END_OF_IMAGE:
            break
        length = int.from_bytes(source[at : at + 2], "big")
        segment, at = source[at + 2 : at + length], at + length
        if at > len(source):
            break
        if marker in _FRAMES and len(segment) > 5:
            planes, progressive = segment[5], marker in _PROGRESSIVE
        if marker == _START_OF_SCAN and segment:
            coarse |= last
            last = _coarse_planes(segment)
            end, begun = len(source), at < len(source)
    return Layout(end, progressive and 0 < planes <= len(coarse), begun)


def _coarse_planes(segment: bytes) -> set[int]:
    """The planes whose first approximation a scan has, by the content of its marker."""
    count = segment[0]
    if len(segment) < 4 + 2 * count or segment[1 + 2 * count] or segment[3 + 2 * count] >> 4:
        return set()
    return set(segment[1 : 1 + 2 * count : 2])


def mended(source: bytes, end: int) -> bytes:
    """A JPEG that ends in order after what is there of it."""
    return source[:end].rstrip(b"\xff") + END


def share(source: bytes, end: int) -> float:
    """The share of the rows that depend on nothing behind a place: they stay whatever comes there."""
    import numpy as np

    there = source[:end].rstrip(b"\xff")
    whole, other = (np.asarray(_small(there + behind + END)) for behind in (b"", _junk()))
    differs = (whole != other).reshape(len(whole), -1).any(1)  # (h,)
    # The first that differs may do so by what its colours take from the row below.
    return float((differs.argmax() + 1) / len(whole)) if differs.any() else 1.0


def _junk() -> bytes:
    """Something to be decoded where nothing is: also where a marker to begin anew at is looked for."""
    noise = shake_128(b"").digest(_JUNK).replace(b"\xff", b"\0")
    pieces = (noise[at : at + _PIECE] for at in range(0, _JUNK, _PIECE))
    return noise + b"".join(bytes([0xFF, 0xD0 + place % 8]) + piece for place, piece in enumerate(pieces))


def _small(source: bytes) -> Image:
    image = open_header("JPEG", source, BytesIO(source))
    image.draft(None, (_ENOUGH, _ENOUGH))
    return image

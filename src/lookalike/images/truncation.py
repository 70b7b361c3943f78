"""Pictures whose file ends too early: how much of them is there, and whether that is enough.

A picture is usable if 95 % of its rows are there, or all of a progressive JPEG's first approximation.
Decoders fill what is missing with black or grey, some without a word; so the end of their work is looked at.
"""

from __future__ import annotations

import re
import struct
import zlib
from hashlib import shake_128
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import ImageError
from lookalike.images import chunks
from lookalike.images.formats import open_header

if TYPE_CHECKING:
    from PIL.Image import Image

    Size = tuple[int, int]
    Loaded = tuple[Image, str]


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


class _Scans(NamedTuple):
    """What the markers of a JPEG say.

    end: where the pixels of the last scan end, or the file is cut.
    coarse: whether it is progressive, and has all of a first, coarse picture with more behind it.
    begun: whether any scan is there.
    """

    end: int
    coarse: bool
    begun: bool


def _ends_in_grey(image: Image) -> bool:
    """Whether the last pixels are as libjpeg leaves them where it finds nothing, or as few pictures have."""
    width, height = image.size
    last = image.getpixel((width - 1, height - 1))
    if not _GREYS.issuperset(last if isinstance(last, tuple) else (last,)):
        return False  # as of nearly all pictures
    corner = image.crop((max(0, width - _CORNER), height - 1, width, height))
    return set(corner.tobytes()) <= _GREYS


def _scans(source: bytes) -> _Scans:
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
    return _Scans(end, progressive and 0 < planes <= len(coarse), begun)


def _coarse_planes(segment: bytes) -> set[int]:
    """The planes whose first approximation a scan has, by the content of its marker."""
    count = segment[0]
    if len(segment) < 4 + 2 * count or segment[1 + 2 * count] or segment[3 + 2 * count] >> 4:
        return set()
    return set(segment[1 : 1 + 2 * count : 2])


def _mended(source: bytes, end: int) -> bytes:
    """A JPEG that ends in order after what is there of it."""
    return source[:end].rstrip(b"\xff") + END


def _share_of_scans(source: bytes, end: int) -> float:
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


LEAST = 0.95
"""The share of its rows that a picture must have."""

_BLOCK = 1 << 16  # bytes
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by a PNG's type of colour
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def load(image: Image, kind: str, source: bytes, wanted: Size | None) -> Loaded:
    """Decode a picture whose header was read.

    Args:
        image: Pillow's, as `open_header` gave it.
        kind: its format.
        source: the bytes of the file.
        wanted: the size that a JPEG may be reduced to while it is decoded.

    Returns:
        The picture, and in words what is missing of it; no words where it is whole.

    Raises:
        ImageError: too much is missing.
        OSError: it is damaged in another way, or how much is missing can't be told.
    """
    if kind == "JPEG":
        return _jpeg(image, source, wanted)
    if kind == "BMP":
        return _bmp(image, source)
    if kind == "PNG":
        return _png(image, source)
    if kind == "GIF":
        return _gif(image, source)
    image.load()
    return image, ""


def _note(kind: str, share: float) -> str:
    """What to say of a picture of which a share of the rows is there. Raises `ImageError` for too few."""
    if share < LEAST:
        raise ImageError(f"truncated {kind}: {int(100 * share)} % of its rows are there")
    return f"truncated {kind}: {int(100 * share)} % of its rows are there, which was enough"


def _loads(image: Image) -> bool:
    """Decode a picture; whether nothing was found to be missing."""
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error):
            raise
        return False
    return True


def _jpeg(image: Image, source: bytes, wanted: Size | None) -> Loaded:
    try:
        if _loads(image) and not _ends_in_grey(image):
            return image, ""
    except OSError:
        pass  # what is not for want of bytes is met again below
    end, coarse, begun = _scans(source)
    share = _share_of_scans(source, end) if begun else 0.0
    if share == 1 and not image.tile:  # type: ignore[attr-defined]  # loaded: it does end in grey
        return image, ""
    note = "truncated JPEG: its details are missing" if coarse and share < LEAST else _note("JPEG", share)
    source = _mended(source, end)
    image = open_header("JPEG", source, BytesIO(source))
    image.draft(None, wanted)
    image.load()
    return image, note


def _bmp(image: Any, source: bytes) -> Loaded:
    codec, extents, offset, args = image.tile[0]
    if codec != "raw":
        image.load()
        return image, "" if image.rows_there is None else _note("BMP", image.rows_there / image.height)
    if _loads(image):
        return image, ""
    stride, height = args[1], extents[3]
    note = _note("BMP", max(0, len(source) - offset) // stride / height)
    source = source.ljust(offset + stride * height, b"\xff")
    whole = open_header("BMP", source, BytesIO(source))
    whole.load()
    return whole, note


def _png(image: Any, source: bytes) -> Loaded:
    watch = _Watch(image)
    whole = _loads(image)
    if whole and not watch.untouched and not image.info.get("interlace"):
        return image, ""
    share = share_of_png(source)
    if whole and share == 1:
        return image, ""
    note = _note("PNG", share)
    watch.give_up()
    return image, note


def share_of_png(source: bytes) -> float:
    """The share of a PNG's bytes of pixels that can be unpacked."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", source, 16)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8)
    return min(1.0, _unpacked(source, expected) / expected)


def _unpacked(source: bytes, most: int) -> int:
    """How many bytes of pixels there are, as far as there are any, up to a number."""
    stream, count = zlib.decompressobj(), 0
    try:
        for name, begin, end in chunks.chunks(source):
            packed = source[begin:end] if name == b"IDAT" else b""
            while packed and count < most:
                count += len(stream.decompress(packed, _BLOCK))
                packed = stream.unconsumed_tail
    except zlib.error:
        pass
    return count


def _gif(image: Any, source: bytes) -> Loaded:
    watch = _Watch(image)
    if _loads(image) and not watch.untouched:
        return image, ""
    if watch.interlaced:
        raise ImageError("truncated GIF: how much of it is there can't be told")
    again: Any = open_header("GIF", source, BytesIO(source))
    counter = _Watch(again, every=True)
    _loads(again)
    note = _note("GIF", counter.touched)
    watch.give_up()
    return image, note


class _Watch:
    """Looks whether a decoder came to the last row of a picture, by a pattern that it has to write over.

    Args:
        image: of a file, not loaded yet.
        every: whether every row gets the pattern, so that `touched` can tell how many were written over.
    """

    def __init__(self, image: Any, *, every: bool = False) -> None:
        self._image = image
        self._every = every
        codec, (left, top, right, bottom), _, args = image.tile[0]
        self.interlaced = codec == "gif" and bool(args[1])
        last = bottom - 1
        if self.interlaced and (last - top) % 2 == 0 and last > top:
            last -= 1  # of the last pass
        self._box = (left, top if every else last, right, last + 1)
        self._mark = b""
        self._result: list[bool] = []
        # Pillow makes the memory, and changes what is in it, in these two steps.
        self._prepare, self._end = image.load_prepare, image.load_end
        image.load_prepare, image.load_end = self._begin, self._finish

    @property
    def untouched(self) -> bool:
        """Whether the last row was not written."""
        return self._rows()[-1]

    @property
    def touched(self) -> float:
        """The share of the rows that were written, counted from the top."""
        rows = self._rows()
        written = [row for row, left in enumerate(rows, 1) if not left]
        return (written[-1] if written else 0) / len(rows)

    def give_up(self) -> None:
        """Leave the picture as it is, without the pattern."""
        if self._rows()[-1] and not self._every:
            self._image.paste(0, self._box)

    def _begin(self) -> None:
        from PIL import Image as Images

        self._prepare()
        im = self._image.im
        left, top, right, bottom = self._box
        pattern = Images.new(im.mode, (right - left, bottom - top))
        # Of one pixel another pattern than before, so that what it happens to agree with is not missing.
        noise = shake_128(bytes([self._every])).digest(len(pattern.tobytes()))
        pattern.frombytes(noise)
        self._mark = pattern.tobytes()
        im.paste(pattern.im, self._box)

    def _finish(self) -> None:
        self._result = self._compared()
        self._end()

    def _rows(self) -> list[bool]:
        """Of each row with the pattern: whether it still has it."""
        if not self._result:
            self._image.tile = []  # what could be decoded was
            self._result = self._compared()
        return self._result

    def _compared(self) -> list[bool]:
        content = self._image.crop(self._box).tobytes()
        height = self._box[3] - self._box[1]
        size = len(content) // height
        return [content[at : at + size] == self._mark[at : at + size] for at in range(0, len(content), size)]

"""Bitmaps (BMP): read by Pillow, but for what it reads wrongly, slowly or not at all.

That are pictures packed by run lengths, for which it takes time that has nothing to do with the file's
size, and those whose bits are told apart by masks, of which it knows a few. As browsers have it, alpha that
is nowhere above 0 is none.
"""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lookalike.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Pixels: TypeAlias = NDArray[np.uint8]
    Size: TypeAlias = tuple[int, int]
    Masks: TypeAlias = tuple[int, int, int, int]

_PLAIN, _RUNS, _SHORT_RUNS, _MASKED, _MASKED_ALPHA = 0, 1, 2, 3, 6  # kinds of compression
_OLDEST, _OS2 = 12, 64  # sizes of headers
_SIZES = {_OLDEST, 40, 52, 56, _OS2, 108, 124}
_WITH_ALPHA = 56  # bytes of a header that has a mask for alpha
_MASKS_AT = 54  # whether in the header or behind it
_BLUE_FIRST = (0xFF0000, 0xFF00, 0xFF, 0)
_READ_AS = {16: (0xF800, 0x7E0, 0x1F, 0), 32: _BLUE_FIRST}  # for Pillow to read the header
_BY_PILLOW = {*_READ_AS.values(), (0x7C00, 0x3E0, 0x1F, 0)}
_HEAD = 4096  # bytes: of the header with its palette
_BAND = 1 << 20  # pixels


class _Header(NamedTuple):
    """What decides who reads a bitmap."""

    size: int
    bits: int
    compression: int


def open_bmp(source: bytes, stream: BytesIO) -> Image:
    """Read the header of a bitmap.

    Raises:
        ImageError: of a kind that is not supported; the message says which.
    """
    header = _header(source)
    masks = _masks(source, header)
    if masks is None:
        return _bmp_class()(stream, source)
    return _bmp_class()(BytesIO(_simplified(source, header)), source, masks)


def _header(source: bytes) -> _Header:
    (size,) = struct.unpack_from("<I", source, 14)
    if size not in _SIZES:
        raise _unsupported(f"a header of {size} bytes")
    bits = struct.unpack_from("<H", source, 24 if size == _OLDEST else 28)[0]
    compression = _PLAIN if size == _OLDEST else struct.unpack_from("<I", source, 30)[0]
    known = {_PLAIN, _RUNS, _SHORT_RUNS} | (set() if size == _OS2 else {_MASKED, _MASKED_ALPHA})
    if compression not in known:
        raise _unsupported(f"pixels compressed by method {compression}")
    if bits not in {1, 4, 8, 16, 24, 32}:
        raise _unsupported(f"{bits} bits a pixel")
    return _Header(size, bits, compression)


def _masks(source: bytes, header: _Header) -> Masks | None:
    """Return the masks of red, green, blue and alpha, where Pillow does not read such pixels rightly."""
    alpha = header.size >= _WITH_ALPHA and header.size != _OS2
    masked = header.compression in {_MASKED, _MASKED_ALPHA}
    if not masked and not (alpha and header.bits == 32):
        return None
    red, green, blue, see_through = struct.unpack_from("<4I", source, _MASKS_AT)
    if not alpha and header.compression != _MASKED_ALPHA:
        see_through = 0
    masks = (red, green, blue, see_through) if masked else (*_BLUE_FIRST[:3], see_through)
    if not any(masks[:3]) and header.bits == 32:
        return None  # which Pillow takes for blue first
    if masks in _BY_PILLOW:
        return None
    if header.bits not in _READ_AS or not _apart(masks, header.bits):
        raise _unsupported(f"such masks for {header.bits} bits")
    return masks


def _apart(masks: Masks, bits: int) -> bool:
    """Whether masks are each one row of bits, and have none in common."""
    rows = all((mask | (mask - 1)) + 1 & mask == 0 for mask in masks if mask)
    return rows and all(masks[:3]) and sum(masks) == masks[0] | masks[1] | masks[2] | masks[3] < 1 << bits


def _simplified(source: bytes, header: _Header) -> bytes:
    """Return the beginning of a file with masks that Pillow knows."""
    head = bytearray(source[:_HEAD].ljust(_HEAD, b"\0"))
    struct.pack_into("<I", head, 30, _MASKED)
    masks = _READ_AS[header.bits][: 4 if header.size >= _WITH_ALPHA else 3]
    struct.pack_into(f"<{len(masks)}I", head, _MASKS_AT, *masks)
    return bytes(head)


@cache
def _bmp_class() -> Callable[..., Image]:
    from PIL import Image as Images
    from PIL.BmpImagePlugin import BmpImageFile

    class Bmp(BmpImageFile):
        """Takes masked and run-length pixels apart itself.

        masks: of red, green, blue and alpha, if Pillow does not read such pixels rightly.
        rows_there: how many rows its runs cover, if they do not end in order.
        """

        rows_there: int | None = None

        def __init__(self, stream: BytesIO, source: bytes, masks: Masks | None = None) -> None:
            self._source = source
            self.masks = masks
            super().__init__(stream)
            if masks and masks[3]:
                self._mode = "RGBA"

        @property
        def working_bytes(self) -> int:
            """Bytes for what runs give, and for bands of samples."""
            packed = self.tile and self.tile[0].codec_name == "bmp_rle"
            return 2 * self.width * self.height if packed else 32 * _BAND if self.masks else 0

        def load(self) -> Any:
            tile = self.tile[0] if self.tile else None
            if tile is not None and tile.codec_name == "bmp_rle":
                self._take(self._unpacked(tile.offset, tile.args))
            elif tile is not None and self.masks:
                self._take(_unmasked(self._source, tile.offset, self.size, tile.args, self.masks))
            return super().load()

        def _unpacked(self, offset: int, args: Any) -> Image:
            _, short, direction = args
            canvas = _Canvas(self.width, self.height)
            if not canvas.draw(self._source, offset, short=short):
                self.rows_there = canvas.rows
            mode = "P" if self.mode == "P" else "L"
            image = Images.frombytes(mode, self.size, canvas.indices, "raw", mode, 0, direction)
            return image.point([0] + [255] * 255) if self.mode == "1" else image

        def _take(self, image: Image) -> None:
            self._mode, self.im, self.tile = image.mode, image.im, []

    return Bmp


def _unmasked(source: bytes, offset: int, size: Size, args: Any, masks: Masks) -> Image:
    """Return the picture of pixels whose bits masks tell apart. Raises `OSError` if its file is too short."""
    import numpy as np
    from PIL import Image as Images

    (width, height), (_, stride, direction) = size, args
    if len(source) < offset + stride * height:
        raise OSError("image file is truncated")
    stored = np.frombuffer(source, np.uint8, stride * height, offset).reshape(height, stride)[::direction]
    kind = np.dtype("<u2" if stride < 4 * width else "<u4")
    out, rows = Images.new("RGBA" if masks[3] else "RGB", size), max(1, _BAND // width)
    for top in range(0, height, rows):
        band: NDArray[Any] = np.ascontiguousarray(stored[top : top + rows]).view(kind)  # (rows, stride)
        band = band[:, :width]  # (rows, w)
        samples = np.stack([_sample(band, mask) for mask in masks if mask], axis=-1)  # (rows, w, n)
        out.paste(Images.fromarray(samples), (0, top))
    if masks[3] and out.getchannel("A").getextrema() == (0, 0):
        return out.convert("RGB")
    return out


def _sample(band: NDArray[np.unsignedinteger[Any]], mask: int) -> Pixels:
    """Return the numbers under a mask as 0 to 255."""
    import numpy as np

    shift = (mask & -mask).bit_length() - 1
    levels = (band & band.dtype.type(mask)) >> band.dtype.type(shift)
    eight: Pixels = (levels * (255 / (mask >> shift)) + 0.5).astype(np.uint8)
    return eight


class _Canvas:
    """Where runs of indices are drawn, the first row first; what no run covers is index 0."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._x, self._y = 0, 0
        self.indices = bytearray(width * height)

    @property
    def rows(self) -> int:
        """How many rows are complete."""
        return min(self._height, self._y + (self._x >= self._width))

    def draw(self, source: bytes, at: int, *, short: bool) -> bool:
        """Draw the runs of a file from a place on; whether they came to an end before the file did.

        Args:
            source: the bytes of the file.
            at: where the runs begin.
            short: whether an index has four bits.
        """
        per_byte = 2 if short else 1
        while at + 1 < len(source) and self._y < self._height:
            count, value = source[at], source[at + 1]
            at += 2
            if count and self._x < self._width:
                pair = bytes((value >> 4, value & 15)) if short else bytes((value, value))
                self._put((pair * 128)[:count])
            elif count:
                continue  # beyond the row
            elif value == 0:
                self._x, self._y = 0, self._y + 1
            elif value == 1:
                return True
            elif value == 2:
                right, up = source[at : at + 2].ljust(2, b"\0")
                self._x, self._y, at = self._x + right, self._y + up, at + 2
            else:
                content = source[at : at - (-value // per_byte)]
                self._put(_nibbles(content)[:value] if short else content)
                at += (-(-value // per_byte) + 1) // 2 * 2
        return self._y >= self._height

    def _put(self, run: bytes) -> None:
        """Draw a run where the last one ended; what is beyond the row is left out."""
        run = run[: max(0, self._width - self._x)]
        begin = self._y * self._width + self._x
        self.indices[begin : begin + len(run)] = run
        self._x += len(run)


def _nibbles(content: bytes) -> bytes:
    return bytes(half for byte in content for half in (byte >> 4, byte & 15))


def _unsupported(what: str) -> ImageError:
    return ImageError(f"BMP with {what}, which is not supported")

"""Which pictures an older decoder has shown otherwise: told from their headers, no pixel is decoded.

Before version 1 of the decoder colour profiles did not count (nor PNG's gamma, primaries and code points,
nor those of AVIF and HEIC), a PNG's transparent colour of 2, 4 or 16 bits stayed opaque, around the first
frame of a GIF was a colour, alpha of many bitmaps did not count, and many kinds of TIFF were scrambled,
negative, black or refused as damaged.
An orientation that was no short number was lost in big-endian EXIF, and one behind a PNG's pixels; of raw
files a small picture was looked at, and a PNG that ends early was black from there on.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from lookalike.images import chunks
from lookalike.images.embedded import profiles_of_file
from lookalike.images.exif import read_exif
from lookalike.images.formats import open_header
from lookalike.images.profiles import conversion
from lookalike.images.recognition import RAW, recognise
from lookalike.images.tiff_layout import YCBCR
from lookalike.images.truncation import share_of_png

_PNG_END = b"IEND\xaeB`\x82"


def looked_otherwise(source: bytes) -> bool:
    """Whether a picture's file may have looked otherwise to the decoder before version 1.

    Args:
        source: the bytes of the file, or as many of its first ones as hold its header.

    Raises:
        ImageError: it is no picture, or of a kind that is not supported.
        Exception: whatever Pillow runs into in a damaged header.
    """
    kind = recognise(source)
    if kind == RAW:
        return True  # what was looked at was the small picture in its first directory
    image: Any = open_header(kind, source, BytesIO(source))
    if conversion(profiles_of_file(kind, source, image.info), image.mode) is not None:
        return True
    if _turned_otherwise(kind, image, source):
        return True
    if kind == "PNG":
        return _png_otherwise(image, source)
    if kind == "TIFF":
        return not image.layout.by_pillow or image.layout.colours == YCBCR
    partial = kind == "GIF" and image.working_bytes > 0
    return partial or (kind == "BMP" and image.masks is not None)


def _png_otherwise(image: Any, source: bytes) -> bool:
    bits, has_palette = source[24], source[25] == 3
    transparent = "transparency" in image.info and bits in {2, 4, 16} and not has_palette
    return transparent or (source.endswith(_PNG_END) and share_of_png(source) < 1)


def _turned_otherwise(kind: str, image: Any, source: bytes) -> bool:
    """Whether the EXIF asks for a turn that was not made."""
    if kind in {"TIFF", "HEIC"}:
        return False
    block = image.info.get("exif") or b""
    if kind == "PNG" and not block:
        return chunks.read_exif(source).orientation != 1
    orientation = read_exif(block).orientation
    short = struct.pack(">HHIH", 0x0112, 3, 1, orientation)
    return orientation != 1 and block.removeprefix(b"Exif\0\0").startswith(b"MM") and short not in block

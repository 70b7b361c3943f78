"""Which pictures an older decoder has shown otherwise: told from their headers, no pixel is decoded.

Before version 1 of the decoder colour profiles did not count (nor PNG's gamma, primaries and code points,
nor those of AVIF and HEIC), a PNG's transparent colour of 2, 4 or 16 bits stayed opaque, around the first
frame of a GIF was a colour, and many kinds of TIFF were scrambled, negative, black or refused as damaged.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from lookalike.images.embedded import profiles_of_file
from lookalike.images.formats import open_header
from lookalike.images.profiles import conversion
from lookalike.images.recognition import recognise
from lookalike.images.tiff_layout import YCBCR


def looked_otherwise(source: bytes) -> bool:
    """Whether a picture's file may have looked otherwise to the decoder before version 1.

    Args:
        source: the bytes of the file, or as many of its first ones as hold its header.

    Raises:
        ImageError: it is no picture, or of a kind that is not supported.
        Exception: whatever Pillow runs into in a damaged header.
    """
    kind = recognise(source)
    image: Any = open_header(kind, source, BytesIO(source))
    if conversion(profiles_of_file(kind, source, image.info), image.mode) is not None:
        return True
    if kind == "PNG" and "transparency" in image.info:
        return source[24] in {2, 4, 16} and source[25] != 3  # bits, and the colour type: no palette
    if kind == "TIFF":
        return not image.layout.by_pillow or image.layout.colours == YCBCR
    return kind == "GIF" and image.working_bytes > 0

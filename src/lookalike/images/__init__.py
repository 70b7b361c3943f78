"""Pictures in: from the bytes of a file to one upright RGB picture on white, in bounded memory.

Importing this costs nothing; Pillow is loaded with the first picture.

Pillow guards against decompression bombs by one limit for the whole process
(`PIL.Image.MAX_IMAGE_PIXELS`), checked in `PIL.Image.open`. That limit belongs to the program
we run in, so it is neither changed nor relied upon: the format is recognised here, the format's
own class reads the header, and `ImageLimits` are checked before a pixel is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.system.imports import attributes

if TYPE_CHECKING:
    from lookalike.images.decoding import DECODER, THUMBNAIL_SIDE, Decoded, decode, from_array, thumbnail
    from lookalike.images.files import digest, read_file, read_head
    from lookalike.images.given import encoded, is_picture
    from lookalike.images.limits import ImageLimits
    from lookalike.images.recognition import recognise
    from lookalike.images.regions import Box

__all__ = [
    "DECODER",
    "THUMBNAIL_SIDE",
    "Box",
    "Decoded",
    "ImageLimits",
    "decode",
    "digest",
    "encoded",
    "from_array",
    "is_picture",
    "read_file",
    "read_head",
    "recognise",
    "thumbnail",
]

# A search by an id reads no picture, and one by a picture reads one format.
_LATER = {
    "Box": "regions",
    "DECODER": "decoding",
    "Decoded": "decoding",
    "ImageLimits": "limits",
    "THUMBNAIL_SIDE": "decoding",
    "decode": "decoding",
    "digest": "files",
    "encoded": "given",
    "from_array": "decoding",
    "is_picture": "given",
    "read_file": "files",
    "read_head": "files",
    "recognise": "recognition",
    "thumbnail": "decoding",
}


__getattr__ = attributes(__name__, _LATER)

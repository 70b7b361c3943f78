"""What a user may hand over as a picture, as the encoded bytes that the rest works with."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, TypeAlias, cast

from lookalike.errors import ImageError
from lookalike.images.decoding import from_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Picture: TypeAlias = bytes | bytearray | memoryview | IO[bytes] | Image | NDArray[np.uint8]

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def is_picture(given: object) -> bool:
    """Whether this is bytes, a file object, a PIL image or an array: a picture and not its address."""
    return isinstance(given, bytes | bytearray | memoryview) or any(
        hasattr(given, name) for name in ("read", "getexif", "__array_interface__")
    )


def encoded(picture: Picture) -> bytes:
    """Give the bytes of an encoded picture.

    An array or a PIL image is written as an uncompressed PNG: the same pixels give the same bytes,
    and everything after this takes one path.

    Args:
        picture: bytes of an encoded picture, a binary file object, a PIL image, or an array of
            shape (h, w, 3), (h, w, 4) or (h, w), uint8.

    Raises:
        ImageError: it is none of these, or an array of another shape or type.
    """
    if not is_picture(picture):
        raise ImageError(
            f"{type(picture).__name__} is no picture; expected bytes, a file object, a PIL image or an array"
        )
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if hasattr(picture, "read"):
        return _read(cast("IO[bytes]", picture))
    if hasattr(picture, "getexif"):
        return _png(cast("Image", picture))
    return _png(from_array(picture))


def _read(file: IO[bytes]) -> bytes:
    try:
        content = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"the file object can't be read: {error}") from error
    if not isinstance(content, bytes):
        raise ImageError("the file object gives text; expected one opened in binary mode ('rb')")
    return content


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    try:
        fitting = image if image.mode in _PNG_MODES else image.convert("RGB")
        fitting.save(buffer, "PNG", compress_level=0, exif=image.getexif())
    except (OSError, ValueError) as error:
        raise ImageError(f"the image can't be read: {error}") from error
    return buffer.getvalue()

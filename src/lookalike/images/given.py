"""What a user may hand over as a picture, as the encoded bytes that the rest works with."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

from lookalike.errors import ImageError
from lookalike.images.colours import to_rgb
from lookalike.images.decoding import from_array
from lookalike.images.embedded import profiles_of_image
from lookalike.images.recognition import recognise
from lookalike.images.transparency import settle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Picture: TypeAlias = bytes | bytearray | memoryview | IO[bytes] | Image | NDArray[np.uint8]


def is_picture(given: object) -> bool:
    """Whether this is bytes, a file object, a PIL image or an array: a picture and not its address."""
    return isinstance(given, bytes | bytearray | memoryview) or any(
        hasattr(given, name) for name in ("read", "getexif", "__array_interface__")
    )


def encoded(picture: Picture) -> bytes:
    """Give the bytes of an encoded picture.

    An array or a PIL image is written as an uncompressed PNG, in RGB on white: the same pixels give the
    same bytes, and everything after this takes one path. A PIL image that was opened and not loaded yet is
    its file. Any other, of every mode, is converted as the pixels of its file would be, by the profile it
    carries. Of one of mode I or F the numbers tell what white is: 1 (F), 255 or 65535, whichever is the
    first that none exceeds, else the largest of them.

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
        image = cast("Image", picture)
        return _file_of(image) or _encoded_image(image)
    return _png(from_array(picture))


def _read(file: IO[bytes]) -> bytes:
    try:
        content = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"the file object can't be read: {error}") from error
    if not isinstance(content, bytes):
        raise ImageError("the file object gives text; expected one opened in binary mode ('rb')")
    return content


def _file_of(image: Any) -> bytes | None:
    """Return the file that Pillow has opened, if nothing was done to the image yet."""
    if not getattr(image, "tile", None) or image.tell() or getattr(image, "_exif", None):
        return None  # loaded, another frame, or with other notes than the file's
    try:
        place = image.fp.tell()
        image.fp.seek(0)
        content: bytes = image.fp.read()
        image.fp.seek(place)
        with suppress(Exception):
            image.load()  # by which Pillow closes the file
        recognise(content)
    except (AttributeError, OSError, ValueError, ImageError):  # closed, or of a format that we do not read
        return None
    return content


def _encoded_image(image: Image) -> bytes:
    """Encode a PIL image as what its file would be decoded to, but for the orientation."""
    try:
        settle(image)
        return _png(to_rgb(image, (1, 1), profiles_of_image(image.info)), exif=image.getexif())
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever their parsers run into
        raise ImageError(f"the image can't be read: {error}") from error


def _png(image: Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0, **options)
    return buffer.getvalue()

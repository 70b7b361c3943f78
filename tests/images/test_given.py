"""What may be handed over as a picture."""

import io

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import ImageError
from lookalike.images import encoded, is_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)  # (h, w, 3)


def pixels_of(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_bytes_are_taken_as_they_are():
    """Bytes, and a file object that gives them, are not touched."""
    assert encoded(b"abc") == encoded(bytearray(b"abc")) == encoded(io.BytesIO(b"abc")) == b"abc"


def test_arrays_keep_every_pixel():
    """Colours come back exactly, grey as a colour."""
    np.testing.assert_array_equal(pixels_of(encoded(PIXELS)), PIXELS)
    np.testing.assert_array_equal(pixels_of(encoded(PIXELS[..., 0]))[..., 2], PIXELS[..., 0])


def test_the_same_pixels_give_the_same_bytes():
    """An array, its copy in another memory order and its PIL image are one picture."""
    assert encoded(PIXELS) == encoded(np.asfortranarray(PIXELS)) == encoded(Image.fromarray(PIXELS))


def test_orientation_of_a_pil_image_is_kept():
    """The EXIF orientation goes along with the pixels."""
    image = Image.fromarray(PIXELS)
    image.getexif()[0x0112] = 6
    assert Image.open(io.BytesIO(encoded(image))).getexif()[0x0112] == 6


def test_modes_png_does_not_have():
    """A CMYK image is handed on in colours."""
    assert pixels_of(encoded(Image.fromarray(PIXELS).convert("CMYK"))).shape == (7, 5, 3)


@pytest.mark.parametrize(
    "array",
    [PIXELS / 255.0, PIXELS.astype(np.int64), PIXELS[..., :2], PIXELS[None], np.zeros((0, 5, 3), np.uint8)],
)
def test_arrays_that_are_no_picture(array):
    """The message names what was found, and what was expected."""
    with pytest.raises(ImageError, match="expected"):
        encoded(array)


def test_a_text_file_object():
    """A file opened as text is told so."""
    with pytest.raises(ImageError, match="binary"):
        encoded(io.StringIO("abc"))


def test_what_is_a_picture():
    """Bytes, files, images and arrays are; a path and a number are not."""
    assert all(map(is_picture, [b"", io.BytesIO(), Image.new("RGB", (1, 1)), PIXELS]))
    assert not any(map(is_picture, ["a.jpg", 3, None]))

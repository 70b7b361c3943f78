"""Which pictures an older decoder has shown otherwise."""

import struct

import numpy as np
import pytest
from PIL import Image

from lookalike.images.corrections import looked_otherwise


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP"])
def test_usual_pictures_need_not_be_read_again(known, profiles, form):
    """A picture of sRGB colours, with a profile or without, looked the same before."""
    options = {"icc_profile": profiles["srgb"]} if form in {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"} else {}
    assert not looked_otherwise(known.saved(known.quarters(), form))
    assert not looked_otherwise(known.saved(known.quarters(), form, **options))


def test_pictures_of_other_colours(known, profiles):
    """A picture with a profile of other colours, inks among them, is to be read again."""
    assert looked_otherwise(known.saved(known.quarters(), "JPEG", icc_profile=profiles["p3"]))
    inks = known.quarters().convert("CMYK")
    assert looked_otherwise(known.saved(inks, "TIFF", icc_profile=profiles["cmyk"]))
    assert not looked_otherwise(known.saved(inks, "TIFF"))
    bright = b"gAMA", struct.pack(">I", 100_000)
    assert looked_otherwise(known.with_chunks(known.saved(known.quarters(), "PNG"), bright))


@pytest.mark.parametrize(("bits", "changed"), [(1, False), (2, True), (4, True), (8, False), (16, True)])
def test_a_transparent_grey(known, bits, changed):
    """One transparent grey was opaque at 2, 4 and 16 bits."""
    source = known.png(np.zeros((4, 4, 1), int), bits, 0, (b"tRNS", b"\0\0"))
    assert looked_otherwise(source) is changed


def test_kinds_of_tiff(known, tiff_files):
    """Kinds of TIFF that Pillow reads looked the same, others did not."""
    for kind, changed in ((tiff_files.Kind(1, 16), False), (tiff_files.Kind(0, 16), True)):
        source = tiff_files.write(tiff_files.made(kind), kind, tiff_files.Storage())
        assert looked_otherwise(source) is changed


def test_a_gif_that_is_not_covered(known):
    """A GIF whose first frame is smaller than its screen had a colour around it."""
    source = bytearray(known.saved(Image.new("P", (9, 9), 3), "GIF"))
    assert not looked_otherwise(bytes(source))
    source[6] = 20
    assert looked_otherwise(bytes(source))


@pytest.mark.parametrize(
    ("bits", "compression", "alpha"), [(32, 0, 255 << 24), (32, 3, 255 << 24), (16, 3, 1 << 15)]
)
def test_alpha_of_bitmaps(bits, compression, alpha):
    """Bitmaps with alpha looked otherwise."""
    masks = (0xFF0000, 0xFF00, 0xFF) if bits == 32 else (0x7C00, 0x3E0, 0x1F)
    for see_through, changed in ((0, False), (alpha, True)):
        head = struct.pack("<IiiHHIIiiII", 124, 2, 2, 1, bits, compression, 16, 0, 0, 0, 0)
        head = (head + struct.pack("<4I", *masks, see_through)).ljust(124, b"\0")
        source = b"BM" + struct.pack("<IHHI", 154, 0, 0, 138) + head + bytes(16)
        assert looked_otherwise(source) is changed

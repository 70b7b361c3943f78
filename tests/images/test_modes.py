"""Pillow's images of every mode, and what of a file is not covered: they look as their files do."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import ImageError
from lookalike.images import decode, encoded

WHITE = (255, 255, 255)


def shown(image):
    """What an image that is handed over looks like."""
    return decode(encoded(image)).image


@pytest.mark.parametrize("mode", ["RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"])
def test_modes_in_colours(known, mode):
    """An image of every mode that has colours shows them."""
    image = known.quarters().convert("RGBA" if mode == "RGBa" else "RGB").convert(mode)
    tolerance = 8 if mode == "LAB" else 3  # whose steps are wider
    assert known.distance(known.corners(shown(image)), known.CORNERS) <= tolerance


@pytest.mark.parametrize("mode", ["L", "LA", "La", "I;16", "I;16L", "I;16B", "I", "F"])
def test_modes_of_grey(known, mode):
    """An image of every mode that has greys shows them, whatever the width of its numbers."""
    grey = known.quarters().convert("L")
    numbers = np.asarray(grey)
    wide = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I": "<i4"}
    if mode in wide:
        image = Image.frombytes(mode, grey.size, (numbers * 257.0).astype(wide[mode]).tobytes())
    elif mode == "F":
        image = Image.fromarray(numbers.astype(np.float32) / 255)
    else:
        image = grey if mode == "L" else grey.convert("LA").convert(mode)
    assert known.distance(known.corners(shown(image)), known.GREYS) <= 1


def test_black_and_white_and_palettes(known):
    """Images of one bit and of palettes show what they are."""
    white = known.quarters().convert("L").point(lambda level: 255 * (level > 100)).convert("1")
    assert known.corners(shown(white)) == [(0, 0, 0), WHITE, (0, 0, 0), WHITE]
    for mode in ("P", "PA"):
        palette = known.quarters().quantize(8).convert(mode)
        assert known.distance(known.corners(shown(palette)), known.CORNERS) <= 3


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa", "PA"])
def test_alpha_is_mixed_with_white(known, mode):
    """What is transparent is white, what is half transparent half white, in every mode that has alpha."""
    image = known.quarters().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 128))
    image.paste((9, 9, 9, 0), (0, 0, 32, 24))
    given = image.convert("LA").convert(mode) if mode in {"LA", "La"} else image.convert(mode)
    if mode == "PA":
        given = known.quarters().quantize(8).convert("PA")
        given.putalpha(image.getchannel("A"))
    colours = known.GREYS if mode in {"LA", "La"} else known.CORNERS
    expected = [
        WHITE,
        *(np.array([colour] * 3 if isinstance(colour, int) else colour) / 2 + 127 for colour in colours[1:]),
    ]
    assert known.distance(known.corners(shown(given)), expected) <= 3


def one_transparent(known, mode):
    """An image in which the colour of the first quarter is transparent by a note beside the pixels."""
    if mode == "I;16":
        image = Image.fromarray((np.asarray(known.quarters().convert("L")) * 257.0).astype(np.uint16))
    elif mode == "1":
        image = known.quarters().convert("L").point(lambda level: 255 * (level > 100)).convert("1")
    else:
        image = known.quarters().convert(mode) if mode != "P" else known.quarters().quantize(8)
    image.info["transparency"] = image.getpixel((9, 9))
    return image


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_transparent_colour_is_white(known, mode):
    """The one colour that is noted as transparent is white, and no other becomes it."""
    found = known.corners(shown(one_transparent(known, mode)))
    plain = one_transparent(known, mode)
    del plain.info["transparency"]
    expected = known.corners(shown(plain))
    assert expected[0] != WHITE
    assert found == [WHITE if colour == expected[0] else colour for colour in expected]


def test_a_palette_with_alpha(known):
    """Alpha for each colour of a palette, and a palette of colours with alpha, are done."""
    image = known.quarters().quantize(8)
    image.info["transparency"] = bytes(8)
    assert set(known.corners(shown(image))) == {WHITE}
    own = Image.new("P", (8, 8), 1)
    own.putpalette([0, 0, 0, 255, 200, 10, 10, 0], "RGBA")
    assert shown(own).getpixel((1, 1)) == WHITE


def test_notes_that_other_modes_cannot_have(known):
    """A note of transparency that was left on an image of another mode does not count."""
    for mode in ("CMYK", "YCbCr", "HSV", "LAB", "F"):
        image = known.quarters().convert(mode)
        image.info["transparency"] = 0
        assert known.distance(known.corners(shown(image)), known.CORNERS if mode != "F" else known.GREYS) <= 8


@pytest.mark.parametrize("bits", [2, 4, 16])
def test_a_png_with_a_transparent_grey_that_pillow_has_opened(known, bits):
    """An image that Pillow opened from a PNG of few or many bits is transparent where its file is."""
    samples = np.arange(4).reshape(1, 4, 1) << (bits - 2)
    source = known.png(samples, bits, 0, (b"tRNS", struct.pack(">H", 1 << (bits - 2))))
    found = np.asarray(shown(Image.open(BytesIO(source))))
    assert found[0, 1, 0] == 255
    assert (found == np.asarray(decode(source).image)).all()


def test_numbers_that_are_none():
    """Of an image of floats what is no number is black, and what is infinite is black or white."""
    numbers = np.array([[np.nan, 0, 0.5, 1, np.inf, -np.inf]], np.float32)
    assert np.asarray(shown(Image.fromarray(numbers)))[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    assert np.asarray(shown(Image.fromarray(numbers[:, :1]))).max() == 0


def test_a_broken_image_is_told():
    """An image whose file ends too early, or whose notes make no sense, is an error in words."""
    noise = BytesIO()
    Image.effect_noise((99, 99), 80).save(noise, "PNG")
    cut = Image.open(BytesIO(noise.getvalue()[:4000]))
    odd = Image.new("P", (4, 4))
    odd.info["transparency"] = "none"
    with pytest.raises(ImageError, match="the image can't be read: "):
        encoded(odd)
    with pytest.raises(ImageError, match="PNG"):
        shown(cut)


def test_an_opened_file_is_that_file(known, tiff_files):
    """An image that Pillow has opened and not loaded is its file, also where Pillow would read it wrongly."""
    kind = tiff_files.Kind(0, 16)
    negative = tiff_files.write(tiff_files.made(kind), kind, tiff_files.Storage())
    for source in (negative, gif((20, 16), (6, 5), (4, 3)), known.saved(known.quarters(), "JPEG")):
        opened = Image.open(BytesIO(source))
        assert encoded(opened) == source
        assert opened.size == opened.copy().size  # it can still be used
    turned = Image.open(BytesIO(known.saved(known.quarters(), "JPEG")))
    turned.getexif()[0x0112] = 6
    assert shown(turned).size == (48, 64)


def test_another_frame_is_not_the_file(known):
    """An image that was moved to another frame shows that one."""
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    moved = Image.open(BytesIO(known.saved(red, "PNG", save_all=True, append_images=[blue])))
    moved.seek(1)
    assert shown(moved).getpixel((1, 1)) == (0, 0, 255)


def gif(screen, frame, at, *, transparent=None, background=1):
    """A GIF file: a frame of one colour, index 2, on a larger screen."""
    colours = bytes([0, 0, 0, 0, 0, 255, 200, 10, 10, 9, 9, 9])
    source = b"GIF89a" + struct.pack("<HHBBB", *screen, 0xF1, background, 0) + colours
    if transparent is not None:
        source += b"!\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    source += b"," + struct.pack("<HHHHB", *at, *frame, 0) + b"\x02"
    codes, number, length = [], 0, 0
    for _ in range(frame[0] * frame[1]):
        codes += [4, 2]  # cleared each time, so that all codes have three bits
    for code in [*codes, 5]:
        number |= code << length
        length += 3
    content = number.to_bytes(-(-length // 8), "little")
    blocks = [content[first : first + 255] for first in range(0, len(content), 255)]
    return source + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0;"


def test_what_the_first_frame_of_a_gif_does_not_cover_is_white():
    """Around a frame that is smaller than its screen the picture is transparent, whatever the background."""
    for background in (0, 1, 3):
        image = decode(gif((20, 16), (6, 5), (4, 3), background=background)).image
        assert image.size == (20, 16)
        expected = np.full((16, 20, 3), 255)
        expected[3:8, 4:10] = (200, 10, 10)
        assert (np.asarray(image) == expected).all()


def test_a_transparent_frame_of_a_gif_is_white():
    """A frame all transparent is white, as is what it does not cover; one that covers all is itself."""
    assert decode(gif((20, 16), (6, 5), (4, 3), transparent=2)).image.getextrema() == ((255, 255),) * 3
    assert decode(gif((6, 5), (6, 5), (0, 0))).image.getextrema() == ((200, 200), (10, 10), (10, 10))


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_code_points_of_avif_and_heic(known, form):
    """The code points in an AVIF or HEIC file, which has no profile, are done."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    options = {"quality": 97, "subsampling": "4:4:4"} if form == "AVIF" else {"quality": 97, "chroma": 444}
    source = known.saved(Image.new("RGB", (64, 64), (55, 55, 55)), form, **options)
    at = source.index(b"colrnclx") + 8
    plain = source[:at] + struct.pack(">HH", 1, 13) + source[at + 4 :]
    assert known.distance([decode(plain).image.getpixel((9, 9))], [55]) <= 2
    linear = source[:at] + struct.pack(">HH", 1, 8) + source[at + 4 :]
    assert known.distance([decode(linear).image.getpixel((9, 9))], [128]) <= 3

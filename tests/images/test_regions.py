"""Regions of pictures: boxes as they are written, and what is cut out of files."""

import io

import numpy as np
import pytest
from PIL import Image

from lookalike import images
from lookalike.errors import ImageError, UsageError
from lookalike.images import Box


def encoded(array, kind="PNG", **options):
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def pixels():
    """A picture of 60 × 40 pixels, each of another colour."""
    rows, columns = np.mgrid[0:40, 0:60]
    return np.stack([rows * 6, columns * 4, rows + columns], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10,5,20,30", (10, 5, 20, 30)),
        (" 10 , 5 , 20 , 30 ", (10, 5, 20, 30)),
        ("10%,20%,50%,60%", (6, 8, 30, 24)),
        ("0%,0%,100%,100%", (0, 0, 60, 40)),
        ("33.3%,33.3%,33.4%,33.4%", (19, 13, 22, 14)),
        ("0%,0%,0.1%,0.1%", (0, 0, 1, 1)),
    ],
)
def test_boxes_are_read(text, expected):
    """Whole pixels, or percent: a pixel that is begun belongs to the box."""
    assert Box.parse(text).pixels(60, 40) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "1,2,3,x",
        "10%,5,20,30",
        "1.5,2,3,4",
        "0,0,0,5",
        "-1,0,5,5",
        "60%,0%,50%,10%",
        "nan,0,1,1",
    ],
)
def test_odd_boxes_are_refused_in_words(text):
    """What is no box, has no area, or is more than the picture, is refused."""
    with pytest.raises(UsageError, match="box"):
        Box.parse(text)


@pytest.mark.parametrize("box", [(50, 0, 11, 5), (0, 30, 5, 11), (1000, 0, 1, 1)])
def test_a_box_outside_is_refused(pixels, box):
    """A box that is not wholly in the picture is refused, and its size is told."""
    with pytest.raises(ImageError, match="outside of the picture, which has 60 × 40"):
        images.decode(encoded(pixels), box=Box(*box))


def test_a_region_is_cut(pixels):
    """Its pixels are those of the picture, and width and height are its own."""
    cut = images.decode(encoded(pixels), box=Box(10, 5, 20, 30))
    assert (cut.width, cut.height) == cut.image.size == (20, 30)
    assert np.array_equal(np.asarray(cut.image), pixels[5:35, 10:30])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_of_the_upright_picture(pixels, orientation):
    """What is cut out of a turned picture is what is cut out of it once it is upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = encoded(pixels, exif=exif)
    whole = np.asarray(images.decode(source).image)
    cut = np.asarray(images.decode(source, box=Box(3, 7, 20, 25)).image)
    assert np.array_equal(cut, whole[7:32, 3:23])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_region_is_not_reduced_below_its_size(kind):
    """A region may come reduced, but has at least as many pixels as are looked at, or all of its own."""
    source = encoded(np.zeros((1600, 2400, 3), np.uint8), kind)
    small = images.decode(source, size=(100, 100), box=Box(1000, 800, 800, 400))
    assert small.image.width >= 100
    assert small.image.height >= 100
    assert (small.width, small.height) == (800, 400)
    assert small.image.size < (800, 400)
    tiny = images.decode(source, size=(100, 100), box=Box(1000, 800, 60, 30))
    assert tiny.image.size == (60, 30)


def test_a_reduced_region_shows_the_same():
    """Cut out of a reduced JPEG it is what the reduced cut is, but for the edges."""
    rows, columns = np.mgrid[0:800, 0:1200]
    pixels = np.stack([rows / 4, columns / 5, (rows + columns) / 8], axis=-1).astype(np.uint8)
    source = encoded(pixels, "JPEG", quality=95)
    box = Box(300, 200, 600, 400)
    reduced = images.decode(source, size=(75, 50), box=box).image.resize((75, 50))
    exact = images.decode(source, box=box).image.resize((75, 50))
    assert np.abs(np.asarray(reduced).astype(int) - np.asarray(exact)).max() <= 6

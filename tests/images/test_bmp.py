"""Bitmaps of every kind: masks, alpha and run lengths, as browsers show them."""

import struct
import sys

import numpy as np
import pytest

from lookalike.errors import ImageError
from lookalike.images import decode

COLOURS = np.array([[(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)], [(99, 150, 201, 0)] * 3])
MASKS = {
    "565": (16, (0xF800, 0x7E0, 0x1F, 0)),
    "blue first 565": (16, (0x1F, 0x7E0, 0xF800, 0)),
    "1555": (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    "4444": (16, (0xF00, 0xF0, 0xF, 0xF000)),
    "444": (16, (0xF00, 0xF0, 0xF, 0)),
    "8888": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "888": (32, (0xFF0000, 0xFF00, 0xFF, 0)),
    "alpha last": (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
    "ten bits": (32, (0x3FF, 0xFFC00, 0x3FF00000, 0xC0000000)),
    "332": (32, (0xE0, 0x1C, 0x3, 0)),
}


def bitmap(pixels, size, bits, compression=0, masks=(0, 0, 0, 0), header=40, palette=b""):
    """A bitmap's file; with a header of 40 bytes masks stand behind it."""
    width, height = size
    behind = {3: 12, 6: 16}.get(compression, 0) if header == 40 else 0
    begin = 14 + header + behind + len(palette)
    fields = (header, width, height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    head = struct.pack("<IiiHHIIiiII", *fields)
    head += struct.pack("<4I", *masks)[: behind or 16] if compression in {3, 6} or header > 40 else b""
    head = head.ljust(header, b"\0")
    return b"BM" + struct.pack("<IHHI", begin + len(pixels), 0, 0, begin) + head + palette + pixels


def masked(colours, bits, masks):
    """Rows, the last one first, of colours (h, w, 4) as numbers of so many bits."""
    numbers = np.zeros(colours.shape[:2], np.uint64)
    for channel, mask in enumerate(masks):
        if mask:
            shift = (mask & -mask).bit_length() - 1
            levels = np.round(colours[..., channel] * (mask >> shift) / 255).astype(np.uint64)
            numbers |= levels << np.uint64(shift)
    rows = numbers[::-1].astype(f"<u{bits // 8}")
    return b"".join(row.tobytes() + bytes(-row.nbytes % 4) for row in rows)


@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize("name", MASKS)
def test_masks(name, header):
    """The bits of a pixel are told apart by any masks, alpha among them, wherever the masks stand."""
    bits, masks = MASKS[name]
    compression = 6 if header == 40 and masks[3] else 3
    source = bitmap(masked(COLOURS, bits, masks), (3, 2), bits, compression, masks, header)
    found = np.asarray(decode(source).image).astype(int)
    assert (found[0] == COLOURS[0, :, :3]).all()
    widths = np.array([mask.bit_count() for mask in masks[:3]])
    expected = 255 if masks[3] else COLOURS[1, :, :3]
    assert (np.abs(found[1] - expected) <= 128 / ((1 << widths) - 1) + 1).all()


def test_alpha_that_is_nowhere_is_none():
    """A bitmap whose alpha is 0 everywhere is opaque; alpha counts also where it is not said to be masked."""
    bits, masks = MASKS["8888"]
    clear = COLOURS.copy()
    clear[..., 3] = 0
    for compression in (3, 0):
        source = bitmap(masked(clear, bits, masks), (3, 2), bits, compression, masks, 124)
        assert (np.asarray(decode(source).image) == COLOURS[..., :3]).all()
        source = bitmap(masked(COLOURS, bits, masks), (3, 2), bits, compression, masks, 124)
        assert (np.asarray(decode(source).image)[1] == 255).all()
    plain = bitmap(masked(COLOURS, bits, masks), (3, 2), bits)
    assert (np.asarray(decode(plain).image) == COLOURS[..., :3]).all()


def test_a_masked_bitmap_that_is_cut():
    """A bitmap with masks that lacks a few rows is used, one that lacks many is not."""
    bits, masks = MASKS["4444"]
    colours = np.full((100, 4, 4), 255)
    colours[..., 0] = 0
    source = bitmap(masked(colours, bits, masks), (4, 100), bits, 3, masks, 124)
    cut = decode(source[:-17])
    assert cut.note == "truncated BMP: 97 % of its rows are there, which was enough"
    assert cut.image.getpixel((0, 50)) == (0, 255, 255)
    with pytest.raises(ImageError, match="truncated BMP: 50 % of its rows are there"):
        decode(source[:-400])


PALETTE = bytes(value for index in range(16) for value in (index, 16 * index, 255 - index, 0))


def runs(content, bits=8, size=(6, 4)):
    """The indices (h, w) that a bitmap of runs shows."""
    source = bitmap(content, size, bits, 1 if bits == 8 else 2, palette=PALETTE)
    image = np.asarray(decode(source).image)
    assert (image[..., 0] == 255 - image[..., 2]).all()
    return image[..., 2].tolist()


def test_run_lengths():
    """Runs, indices one by one, jumps and early ends are followed; what no run covers is the first colour."""
    row, empty = [7] * 6, [0] * 6
    whole = b"\6\7\0\0" * 4 + b"\0\1"
    assert runs(whole) == [row] * 4
    assert runs(b"\6\7\0\0\0\1") == [empty, empty, empty, row]
    assert runs(b"\2\7\0\2\1\1\2\5\0\1") == [empty, empty, [0, 0, 0, 5, 5, 0], [7, 7, 0, 0, 0, 0]]
    assert runs(b"\0\3\1\2\3\0\3\4\0\1") == [empty, empty, empty, [1, 2, 3, 4, 4, 4]]
    assert runs(b"\xff\7\0\0" * 4) == [row] * 4


def test_run_lengths_of_four_bits():
    """Indices of four bits take turns in a run, and stand two in a byte one by one."""
    empty = [0] * 6
    assert runs(b"\5\x12\0\1", 4) == [empty, empty, empty, [1, 2, 1, 2, 1, 0]]
    assert runs(b"\0\3\x12\x30\1\4\0\1", 4) == [empty, empty, empty, [1, 2, 3, 4 >> 4, 0, 0]]
    assert runs(b"\0\5\x12\x34\x50\0\1\x60\0\1", 4) == [empty, empty, empty, [1, 2, 3, 4, 5, 6]]


def test_runs_that_are_cut():
    """Runs that break off are used if nearly all rows are there."""
    whole = bitmap(b"\6\7\0\0" * 100, (6, 100), 8, 1, palette=PALETTE)
    assert decode(whole).note == ""
    assert decode(whole[:-8]).note == "truncated BMP: 98 % of its rows are there, which was enough"
    with pytest.raises(ImageError, match="truncated BMP: 50 % of its rows are there"):
        decode(whole[:-200])


def test_runs_take_the_time_of_their_bytes():
    """A kilobyte of runs in rows of a million pixels takes few steps, not one for each pixel left out."""
    steps = []
    source = bitmap(b"\1\1\0\0" * 8, (1_000_000, 8), 8, 1, palette=PALETTE)
    decode(source)  # first, so that what is imported does not count
    sys.setprofile(lambda _frame, event, _called: steps.append(event))
    try:
        decode(source)
    finally:
        sys.setprofile(None)
    assert len(steps) < 10_000


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (bitmap(bytes(99), (4, 4), 16, 3, (0, 0, 0, 0)), "such masks for 16 bits"),
        (bitmap(bytes(99), (4, 4), 16, 3, (0xF800, 0xFE0, 0x1F, 0)), "such masks for 16 bits"),
        (bitmap(bytes(99), (4, 4), 32, 3, (0xF0F, 0xF000, 0xF0, 0)), "such masks for 32 bits"),
        (bitmap(bytes(99), (4, 4), 24, 3, (1, 2, 4, 0)), "such masks for 24 bits"),
        (bitmap(bytes(99), (4, 4), 24, 4), "pixels compressed by method 4"),
        (bitmap(bytes(99), (4, 4), 2), "2 bits a pixel"),
        (bitmap(bytes(99), (4, 4), 8, header=16), "a header of 16 bytes"),
    ],
)
def test_what_is_not_read(source, words):
    """Other kinds of bitmap are refused, and the message says what they are."""
    with pytest.raises(ImageError, match=f"^BMP with {words}, which is not supported$"):
        decode(source)

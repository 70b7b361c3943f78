"""TIFF files that claim much more than they are: none fills memory, each is told in words."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from lookalike.errors import ImageError
from lookalike.images import ImageLimits, decode, recognise


def peak(source):
    """The bytes that decoding a file takes at most, and what came of it."""
    tracemalloc.start()
    try:
        return decode(source, limits=ImageLimits()).image.size, tracemalloc.get_traced_memory()[1]
    except ImageError as error:
        return str(error), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_values_that_lie_over_one_another(tiff_files, order, big):
    """Many tags that claim the same bytes of the file are refused before they are read."""
    kind = tiff_files.Kind(1, 8)
    own = dict.fromkeys(range(1000, 1040), (1,) * 50000)
    source = tiff_files.write(
        np.zeros((8, 8, 1)), tiff_files.Kind(1, 8, tags=own), tiff_files.Storage(order, big)
    )
    assert decode(source).image.size == (8, 8)  # each has its own
    place = struct.Struct(order + ("HHQQ" if big else "HHII"))
    entries = [place.pack(tag, 3, 50_000, 16 if big else 8) for tag in own]
    head = tiff_files.write(np.zeros((8, 8, 1)), kind, tiff_files.Storage(order, big))
    shared = with_entries(head, order, big, entries) + bytes(100_000)
    found, most = peak(shared)
    assert found == "damaged TIFF: its directory claims more than the file has room for"
    assert most < 2_000_000


def with_entries(source, order, big, more):
    """A file whose directory, at its end, has more entries."""
    first, counted = (8, "Q") if big else (4, "H")
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), source, first)
    (count,) = struct.unpack_from(order + counted, source, at)
    begin = at + struct.calcsize(order + counted)
    lines = source[begin : begin + count * (20 if big else 12)]
    return source[:at] + struct.pack(order + counted, count + len(more)) + lines + b"".join(more) + bytes(8)


@pytest.mark.parametrize("tag", [258, 273, 282, 339])
def test_too_many_numbers(tiff_files, tag):
    """A tag of millions of numbers, of which Python would make objects, is refused."""
    kind = tiff_files.Kind(1, 8)
    source = tiff_files.write(np.zeros((8, 8, 1)), kind, tiff_files.Storage())
    entry = struct.pack("<HHII", tag, 3, 2_000_001, 8)
    found, most = peak(with_entries(source, "<", False, [entry]) + bytes(4_000_100))
    assert found == "damaged TIFF: its directory claims more than the file has room for"
    assert most < 10_000_000


def test_a_directory_without_end(tiff_files):
    """A directory of more entries than there are tags is refused."""
    source = tiff_files.write(np.zeros((8, 8, 1)), tiff_files.Kind(1, 8), tiff_files.Storage("<", True))
    (at,) = struct.unpack_from("<Q", source, 8)
    endless = source[:at] + struct.pack("<Q", 1 << 60) + source[at + 8 :]
    assert peak(endless)[0] == f"damaged TIFF: a directory of {1 << 60} entries"


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("bits", [8, 12])
def test_a_tile_that_is_larger_than_memory(tiff_files, bits, compression):
    """A tile far larger than its picture is refused before memory is taken for it."""
    tags = {256: (64,), 257: (64,), 258: (bits,), 259: (compression,), 262: (1,), 277: (1,)}
    tags |= {322: (20_000,), 323: (40_000,)}
    source = tiff_files.assemble(tags, [zlib.compress(bytes(99))], tiff_files.Storage(tile=(16, 16)))
    found, most = peak(source)
    assert "truncated TIFF" in found or "MB to open, the limit is 400" in found
    assert most < 2_000_000


def test_tiles_that_lie_over_one_another(tiff_files):
    """Tiles with hundreds of samples, each the same bytes, are counted for all that they would become."""
    tags = {256: (800,), 257: (3_000,), 258: (8,), 259: (1,), 262: (1,), 277: (200,), 338: (0,) * 199}
    tags |= {322: (1,), 323: (3_000,)}
    one = tiff_files.assemble(tags, [bytes(600_000)], tiff_files.Storage(tile=(16, 16)))
    (at,) = struct.unpack_from("<I", one, 4)
    entries = {324: 800, 325: 800}
    source = bytearray(one)
    for place in range(at + 2, len(one) - 8, 12):
        tag = struct.unpack_from("<H", one, place)[0]
        if tag in entries:
            value = struct.pack("<I", 16 if tag == 324 else 600_000) * 800
            struct.pack_into("<II", source, place + 4, 800, len(source))
            source += value
    found, most = peak(bytes(source))
    assert "needs 1,5" in found
    assert "the limit is 400" in found
    assert most < 4_000_000


def test_planes_that_nobody_looks_at_are_not_read(tiff_files):
    """Of many planes only those of the colours are read."""
    kind = tiff_files.Kind(1, 8, "u", (0,) * 199)
    samples = np.zeros((300, 300, 200), np.uint64)
    samples[..., 0] = 77
    source = tiff_files.write(samples, kind, tiff_files.Storage(planar=True, rows=300))
    found, most = peak(source)
    assert found == (300, 300)
    assert most < 8_000_000
    assert decode(source).image.getpixel((9, 9)) == (77, 77, 77)


def test_compressed_strips_that_lie_over_one_another(tiff_files):
    """Strips that are each said to be all of the file are refused: unpacking would copy it for each."""
    kind = tiff_files.Kind(1, 12)
    source = tiff_files.write(np.zeros((2_000, 16, 1), int), kind, tiff_files.Storage(compression=8, rows=1))
    length = len(source)
    (at,) = struct.unpack_from("<I", source, 4)
    grown = bytearray(source)
    for place in range(at + 2, length - 8, 12):
        tag, _, count, where = struct.unpack_from("<HHII", source, place)
        if tag == 279:
            struct.pack_into("<HHII", grown, place, tag, 3, count, where)
            grown[where : where + 2 * count] = struct.pack("<H", 20_000) * count
    found, most = peak(bytes(grown))
    assert found == "damaged TIFF: its strips or tiles claim more bytes than the file has"
    assert most < 4_000_000


def test_a_directory_is_read_where_it_is(tiff_files):
    """To tell what a file is takes no copy of it, wherever its directory stands."""
    source = tiff_files.write(np.zeros((8, 8, 1)), tiff_files.Kind(1, 8), tiff_files.Storage()) + bytes(
        20_000_000
    )
    tracemalloc.start()
    assert recognise(source) == "TIFF"
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100_000

"""TIFF files of odd kinds: orders of bits, compressions, turned, cut, damaged, and those that are refused."""

from io import BytesIO

import numpy as np
import pytest
import pyvips
from PIL import Image

from lookalike.errors import ImageError
from lookalike.images import ImageLimits, decode

RANDOM = np.random.default_rng(7)


def worst(found, expected):
    """The largest difference."""
    return float(np.abs(np.asarray(found, float) - expected).max())


def test_bits_in_the_other_order(tiff_files):
    """Where each byte begins with its last bit, samples are the same, compressed or not."""
    for kind in (
        tiff_files.Kind(1, 1),
        tiff_files.Kind(1, 4),
        tiff_files.Kind(1, 12),
        tiff_files.Kind(2, 16),
    ):
        samples = tiff_files.made(kind)
        for compression in (1, 5, 8):
            storage = tiff_files.Storage(compression=compression, reversed_bits=True)
            image = decode(tiff_files.write(samples, kind, storage)).image
            assert worst(image, tiff_files.look(samples, kind)) <= 1.1, (str(kind), compression)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "lzma", "zstd"])
def test_other_compressions_that_lose_nothing(known, compression):
    """Compressions of fax machines, LZMA and Zstandard give back the picture."""
    image = known.quarters()
    image = image if compression in {"lzma", "zstd"} else image.convert("1")
    source = known.saved(image, "TIFF", compression=compression)
    assert decode(source).image.tobytes() == image.convert("RGB").tobytes()


def test_fax_with_bits_in_the_other_order(tiff_files, known):
    """Fax machines often write the last bit first."""
    image = known.quarters().convert("1")
    with Image.open(BytesIO(known.saved(image, "TIFF", compression="group4"))) as file:
        tags = {tag: file.tag_v2[tag] for tag in (256, 257, 258, 259, 262, 278)}
        offset, count = file.tag_v2[273][0], file.tag_v2[279][0]
        file.fp.seek(offset)
        strip = bytes(int(f"{byte:08b}"[::-1], 2) for byte in file.fp.read(count))
    tags = {tag: value if isinstance(value, tuple) else (value,) for tag, value in tags.items()}
    source = tiff_files.assemble(tags | {266: (2,)}, [strip], tiff_files.Storage())
    assert decode(source).image.tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
def test_jpeg_in_tiff(known, mode):
    """Samples compressed by JPEG are those that libvips reads, in every kind of colours."""
    source = known.saved(known.quarters((64, 64)).convert(mode), "TIFF", compression="jpeg", quality=97)
    second = pyvips.Image.new_from_buffer(source, "").numpy().reshape(64, 64, -1).astype(float)
    if mode == "CMYK":
        second = (255 - second[..., :3]) * (255 - second[..., 3:]) / 255
    assert worst(decode(source).image, second) <= 3


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("compression", [1, 8])
def test_ycbcr(tiff_files, known, compression, subsampling):
    """YCbCr colours that are not compressed by JPEG are read with their subsampling, by libtiff."""
    across, down = subsampling
    luma = RANDOM.integers(60, 200, (16, 32), np.uint8)
    units = [
        luma[y : y + down, x : x + across].tobytes() + bytes([110, 150])
        for y in range(0, 16, down)
        for x in range(0, 32, across)
    ]
    storage = tiff_files.Storage(compression=compression, rows=16)
    packed = tiff_files._packed([b"".join(units)], storage)
    tags = {256: (32,), 257: (16,), 258: (8, 8, 8), 259: (compression,), 262: (6,), 277: (3,), 278: (16,)}
    source = tiff_files.assemble(tags | {530: subsampling}, [packed], storage)
    planes = np.stack([luma, np.full_like(luma, 110), np.full_like(luma, 150)], -1)
    expected = Image.fromarray(planes, "YCbCr").convert("RGB")
    assert worst(decode(source).image, np.asarray(expected)) <= 2


def test_what_is_refused_is_told(tiff_files):
    """A kind that can't be read rightly is refused, and the message says what it is."""
    kind, storage = tiff_files.Kind, tiff_files.Storage()
    refused = [
        (kind(4, 1), {}, "a transparency mask"),
        (kind(32845, 16), {}, "LogLuv samples"),
        (kind(10, 8), {}, "ITU Lab colours"),
        (kind(99, 8), {}, "colours of kind 99"),
        (kind(1, 8, "u", (0, 0)), {}, "2 samples beside the colours"),
        (kind(1, 16), {339: (5,)}, "complex numbers"),
        (kind(2, 8), {258: (5, 6, 5)}, "samples of different bits"),
        (kind(2, 8), {339: (1, 2, 1)}, "samples of different types"),
        (kind(5, 8), {332: (2,)}, "inks other than CMYK"),
        (kind(1, 8), {339: (3,)}, "floating-point numbers of 8 bits"),
        (kind(1, 24), {339: (3,)}, "floating-point numbers of 24 bits"),
        (kind(1, 12), {339: (2,)}, "signed numbers of 12 bits"),
        (kind(1, 24), {}, "little-endian numbers of 24 bits"),
        (kind(1, 48), {}, "samples of 48 bits"),
        (kind(1, 12), {259: (8,), 317: (2,)}, "differences of 12 bits"),
        (kind(1, 16), {259: (8,), 317: (3,)}, "predictor 3"),
        (kind(8, 32), {}, "Lab colours of 32 bits"),
        (kind(6, 16), {}, "YCbCr colours"),
        (kind(1, 8), {259: (34712,)}, "compressed by JPEG 2000"),
        (kind(1, 8), {259: (34887,)}, "compressed by LERC"),
        (kind(1, 8), {259: (61234,)}, "compressed by method 61234"),
        (kind(1, 16), {259: (7,)}, "compressed by JPEG"),
    ]
    for what, tags, words in refused:
        samples = np.zeros((4, 4, what.samples), np.uint64)
        source = tiff_files.write(samples, kind(what.colours, what.bits, tags=tags), storage)
        with pytest.raises(ImageError, match=f"^TIFF with .*{words}.*, which is not supported$"):
            decode(source)


def test_what_is_left_out(tiff_files):
    """Where a photometric interpretation is missing, the usual one is assumed; where a size is, nothing."""
    kind = tiff_files.Kind(1, 16, tags={262: (1,)})
    samples = tiff_files.made(kind)
    source = tiff_files.write(samples, kind, tiff_files.Storage())
    for tag in (262, 284, 277, 339):
        without = source.replace(bytes([tag & 255, tag >> 8, 3, 0, 1, 0, 0, 0]), b"\xf0\xff\3\0\1\0\0\0")
        assert without != source
        assert worst(decode(without).image, tiff_files.look(samples, kind)) <= 1.1
    with pytest.raises(ImageError, match="damaged TIFF: it has no size"):
        decode(source.replace(b"\0\1\3\0\1\0\0\0", b"\xf0\xff\3\0\1\0\0\0"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_what_pillow_does_not_read(tiff_files, orientation):
    """All eight orientations are applied to kinds read sample by sample as to those that Pillow reads."""
    samples = tiff_files.made(tiff_files.Kind(1, 8))
    found = [
        decode(
            tiff_files.write(
                samples * scale, tiff_files.Kind(1, bits, tags={274: (orientation,)}), tiff_files.Storage()
            )
        )
        for bits, scale in ((8, np.uint64(1)), (12, np.uint64(16)))
    ]
    assert found[0].image.size == found[1].image.size == (found[1].width, found[1].height)
    assert worst(*(np.asarray(one.image, float) for one in found)) <= 1.5


def test_floats_of_whole_numbers(tiff_files):
    """Floats that are whole numbers above 1 hold 8 or 16 bits; others reach from 0 to 1."""
    kind = tiff_files.Kind(1, 32, "f")
    for row, expected in (
        ([0, 51, 255], [0, 51, 255]),
        ([0, 13107, 65535], [0, 51, 255]),
        ([0, 0.5, 255], [0, 128, 255]),
        ([-3, 0.2, 9], [0, 51, 255]),
        ([np.nan, np.inf, -np.inf], [0, 255, 0]),
        ([0, 1, 1], [0, 255, 255]),
    ):
        source = tiff_files.write(np.array(row, "f4").reshape(1, 3, 1), kind, tiff_files.Storage())
        assert np.asarray(decode(source).image)[0, :, 0].tolist() == expected


def test_a_profile_counts_whoever_reads_the_samples(tiff_files, known):
    """The profile of a TIFF file is applied to samples that Pillow does not read."""
    kind = tiff_files.Kind(1, 12)
    source = tiff_files.write(np.full((4, 4, 1), 883), kind, tiff_files.Storage())
    profile, at = known.grey_profile(1.0), len(source)
    count = int.from_bytes(source[4:8], "little")
    entries = int.from_bytes(source[count : count + 2], "little")
    directory = source[count + 2 : count + 2 + 12 * entries]
    entry = (34675).to_bytes(2, "little") + (7).to_bytes(2, "little")
    entry += len(profile).to_bytes(4, "little") + at.to_bytes(4, "little")
    where = (at + len(profile)).to_bytes(4, "little")
    whole = (
        source[:4]
        + where
        + source[8:]
        + profile
        + (entries + 1).to_bytes(2, "little")
        + directory
        + entry
        + bytes(4)
    )
    assert abs(decode(whole).image.getpixel((1, 1))[0] - 128) <= 1


def test_cut_files_are_truncated(tiff_files):
    """A file that ends before its samples is told to be truncated, compressed or not."""
    for kind, compression in (
        (tiff_files.Kind(1, 12), 1),
        (tiff_files.Kind(1, 12), 8),
        (tiff_files.Kind(2, 32, "f"), 5),
    ):
        source = tiff_files.write(tiff_files.made(kind), kind, tiff_files.Storage(compression=compression))
        at = int.from_bytes(source[4:8], "little")
        moved = source[:4] + (16).to_bytes(4, "little") + bytes(8) + source[at:] + source[16:at]
        assert len(moved) == len(source)
        with pytest.raises(ImageError, match="TIFF"):
            decode(moved[: len(moved) // 2])


def test_damaged_files_raise_only_image_errors(tiff_files):
    """However a file of odd samples is changed, it is decoded or is an `ImageError`."""
    outcomes = []
    for kind in (
        tiff_files.Kind(1, 12),
        tiff_files.Kind(2, 16, "f"),
        tiff_files.Kind(3, 4, tags={320: tiff_files.palette(4, 257)}),
    ):
        for storage in tiff_files.storages(kind)[::3]:
            source = tiff_files.write(tiff_files.made(kind), kind, storage)
            at = len(source) - 320
            for _ in range(12):
                broken = bytearray(source)
                for _ in range(3):
                    broken[RANDOM.integers(max(at, 0), len(source))] = RANDOM.integers(256)
                try:
                    outcomes.append(decode(bytes(broken)).image.mode)
                except ImageError as error:
                    outcomes.append(str(error))
    assert 0 < outcomes.count("RGB") < len(outcomes)


def test_memory_is_held_to_the_limit(tiff_files):
    """A picture that takes more memory than is allowed is refused before it is read, whoever reads it."""
    kind = tiff_files.Kind(1, 64, "f")
    source = tiff_files.write(np.zeros((16, 16, 1)), kind, tiff_files.Storage(compression=8, rows=16))
    grown = bytearray(source)
    for tag, value in ((256, 40_000), (257, 1_900), (278, 1_900)):
        at = source.index(bytes([tag & 255, tag >> 8, 3, 0, 1, 0, 0, 0]))
        grown[at + 8 : at + 10] = value.to_bytes(2, "little")
    with pytest.raises(ImageError, match=r"needs [\d,]+ MB to open, the limit is 400"):
        decode(bytes(grown), limits=ImageLimits())


def test_nothing_is_said_aside(tiff_files):
    """Numbers that are none, and damaged tags, raise no warning of numpy's or Pillow's."""
    kind = tiff_files.Kind(1, 32, "f")
    for numbers in (np.array([0x7FA00000, 0xFFA00001, 0x7F7FFFFF, 1], "<u4"), np.array([3, 7, 9, 2], "<u4")):
        samples = numbers.view("<f4").reshape(1, 4, 1)
        assert decode(tiff_files.write(samples, kind, tiff_files.Storage())).image.size == (4, 1)
    kind = tiff_files.Kind(1, 8, tags={34665: (1,) * 9, 40_000: (1,) * 9})
    source = tiff_files.write(tiff_files.made(kind), kind, tiff_files.Storage())
    far = source.replace(bytes([0x40, 0x9C, 3, 0, 9]), bytes([0x40, 0x9C, 3, 0, 255]))
    assert far != source
    assert decode(far).image.size == (37, 21)

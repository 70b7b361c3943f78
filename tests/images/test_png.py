"""PNG files of every kind, written by hand: pixels, transparency and what they say of their colours."""

import struct
import zlib

import numpy as np
import pytest
import pyvips

from lookalike.errors import ImageError
from lookalike.images import decode

RANDOM = np.random.default_rng(11)
KINDS = [
    *((0, bits) for bits in (1, 2, 4, 8, 16)),
    *((3, bits) for bits in (1, 2, 4, 8)),
    *((colour, bits) for colour in (2, 4, 6) for bits in (8, 16)),
]
"""Every colour type with its bit depths."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def made(colour, bits):
    """Samples (13, 17, n), in which some equal the transparent one and some only their upper half of bits."""
    samples = RANDOM.integers(0, 1 << bits, (13, 17, CHANNELS[colour]))
    samples[:4, :5] = samples[0, 0]
    if bits == 16:
        samples[5:7, :5] = samples[0, 0] ^ 1
    return samples


def look(samples, colour, bits, palette, transparent):
    """The colours (h, w, 3) that a PNG with such samples shows on white."""
    top = (1 << bits) - 1
    alpha = np.ones(samples.shape[:2])
    if colour == 3:
        shown = palette[samples[..., 0], :3] / 255
        alpha = palette[samples[..., 0], 3] / 255 if transparent else alpha
    else:
        shown = samples[..., :-1] / top if colour in {4, 6} else samples / top
        if colour in {4, 6}:
            alpha = samples[..., -1] / top
        elif transparent:
            alpha = (samples != samples[0, 0]).any(-1).astype(float)
    shown = np.broadcast_to(shown, (*samples.shape[:2], 3))
    return (shown * alpha[..., None] + 1 - alpha[..., None]) * 255


def written(known, samples, colour, bits, palette, transparent, interlaced):
    chunks = [(b"PLTE", palette[:, :3].tobytes())] if colour == 3 else []
    if transparent:
        named = palette[:, 3].tobytes() if colour == 3 else samples[0, 0].astype(">u2").tobytes()
        chunks.append((b"tRNS", named))
    return known.png(samples, bits, colour, *chunks, interlaced=interlaced)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("colour", "bits", "transparent"),
    [(*kind, False) for kind in KINDS] + [(*kind, True) for kind in KINDS if kind[0] in {0, 2, 3}],
)
def test_every_kind_of_png(known, colour, bits, transparent, interlaced):
    """Each bit depth, colour type and transparency is seen as it was written, and as libvips sees it."""
    samples = made(colour, bits)
    palette = RANDOM.integers(0, 256, (1 << bits if colour == 3 else 1, 4), dtype=np.uint8)
    source = written(known, samples, colour, bits, palette, transparent, interlaced)
    found = np.asarray(decode(source).image).astype(float)
    tolerance = 2 if bits == 16 and colour in {4, 6} else 1.1  # colour and alpha are rounded both
    assert np.abs(found - look(samples, colour, bits, palette, transparent)).max() <= tolerance
    second = pyvips.Image.new_from_buffer(source, "")
    if second.format == "ushort":
        second = (second / 257).copy(interpretation="multiband")
    if second.hasalpha() or second.bands in {2, 4}:
        second = second.copy(interpretation="b-w" if second.bands == 2 else "srgb").flatten(background=255)
    assert np.abs(found - second.numpy().reshape(13, 17, -1)).max() <= tolerance


def shows(known, *chunks, level=128, channels=3):
    """What a PNG of one grey, in three channels or one, with chunks that say what it is, shows."""
    source = known.png(np.full((4, 4, channels), level), 8, 2 if channels == 3 else 0, *chunks)
    return decode(source).image.getpixel((1, 1))[1]


def gamma(value):
    return b"gAMA", struct.pack(">I", round(value * 100_000))


P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


def primaries(values):
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values))


def test_gamma(known):
    """The gamma of a file brightens or darkens it; one that is a screen's or makes no sense does not."""
    assert shows(known) == shows(known, gamma(0.45455)) == shows(known, gamma(0.45)) == 128
    assert shows(known, gamma(1.0)) == 188
    assert abs(shows(known, gamma(1 / 1.8)) - 146) <= 1
    assert shows(known, gamma(0)) == shows(known, (b"gAMA", b"\0")) == 128


def test_gamma_of_grey(known):
    """Grey of eight and of sixteen bits, and a palette, are brightened as colours are."""
    for bits, colour in ((8, 0), (16, 0), (16, 2), (8, 3)):
        level = 0 if colour == 3 else 128 << (bits - 8)
        samples = np.full((4, 4, CHANNELS[colour]), level)
        chunks = [gamma(1.0), *([(b"PLTE", bytes([128] * 3))] if colour == 3 else [])]
        assert abs(decode(known.png(samples, bits, colour, *chunks)).image.getpixel((1, 1))[0] - 188) <= 1


def test_primaries(known, profiles):
    """The primaries of a file are converted, as those of a profile with the same numbers are."""
    samples = np.full((4, 4, 3), (187, 69, 51))
    by_number = decode(known.png(samples, 8, 2, primaries(P3), gamma(0.45455))).image.getpixel((1, 1))
    by_point = decode(known.png(samples, 8, 2, (b"cICP", bytes([12, 13, 0, 1])))).image.getpixel((1, 1))
    profile = b"iCCP", b"x\0\0" + zlib.compress(profiles["p3"])
    by_profile = decode(known.png(samples, 8, 2, profile)).image.getpixel((1, 1))
    assert by_number == by_point != (187, 69, 51)
    assert known.distance([by_number], [by_profile]) <= 3
    plain = known.png(np.full((4, 4, 3), (187, 69, 51)), 8, 2, primaries(SRGB), gamma(0.45455))
    assert decode(plain).image.getpixel((1, 1)) == (187, 69, 51)


def test_primaries_that_make_no_sense(known):
    """Primaries on one line, or of zeros, are passed over."""
    for values in ((0,) * 8, (0.3, 0.3) * 4, (0.3127, 0, *SRGB[2:])):
        assert shows(known, primaries(values)) == 128


def test_precedence(known, profiles):
    """Code points count more than a profile, that more than sRGB, and that more than gamma, as specified."""
    linear, srgb = (b"cICP", bytes([1, 8, 0, 1])), (b"sRGB", b"\0")
    profile = b"iCCP", b"x\0\0" + zlib.compress(known.grey_profile(1.5))
    by_profile = shows(known, profile, channels=1)
    assert by_profile not in {128, 188}
    assert shows(known, linear, profile, srgb, gamma(0.6), channels=1) == 188
    assert shows(known, profile, srgb, gamma(0.6), channels=1) == by_profile
    assert shows(known, profile, gamma(1.0)) == 188  # in colours, where one for greys does not count
    assert shows(known, srgb, gamma(0.6)) == 128
    assert shows(known, gamma(0.6)) not in {128, 188, by_profile}


def test_what_is_broken_gives_way_to_the_next(known):
    """A profile that can't be unpacked, an unknown code point and a damaged chunk leave it to the next."""
    for broken in (
        (b"iCCP", b"x\0\0nonsense"),
        (b"cICP", bytes([2, 2, 0, 1])),
        (b"cICP", bytes([1, 8, 1, 1])),
    ):
        assert shows(known, broken, gamma(1.0)) == 188
    source = known.png(np.full((4, 4, 3), 128), 8, 2, (b"cICP", bytes([1, 8, 0, 1])))
    damaged = source.replace(bytes([1, 8, 0, 1]), bytes([1, 4, 0, 1]), 1)
    assert decode(damaged).image.getpixel((1, 1)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("points", "level", "expected"),
    [
        ((1, 13, 0, 1), 128, 128),
        ((1, 1, 0, 1), 128, 128),
        ((1, 4, 0, 1), 128, 129),
        ((1, 8, 0, 1), 55, 128),
        ((9, 13, 0, 1), 128, 128),
        ((1, 13, 0, 0), 16, 0),
        ((1, 13, 0, 0), 235, 255),
        ((9, 16, 0, 1), 148, 255),
        ((9, 18, 0, 1), 191, 254),
        ((9, 16, 0, 1), 0, 0),
    ],
)
def test_code_points(known, points, level, expected):
    """Code points of ITU-T H.273 are done: curves, narrow range, and the white of PQ and HLG at 203 cd/m²."""
    assert abs(shows(known, (b"cICP", bytes(points)), level=level) - expected) <= 1


def test_a_large_profile(known, profiles):
    """A profile of more than a megabyte does not refuse the picture."""
    profile = bytearray(known.grey_profile(1.0) + bytes(3_000_000))
    profile[:4] = struct.pack(">I", len(profile))
    assert shows(known, (b"iCCP", b"x\0\0" + zlib.compress(bytes(profile))), channels=1) == 188


def test_a_png_without_pixels(known):
    """A file without pixels is damaged; what Python says where it looks for them is no reason for people."""
    head = known.png(np.zeros((4, 4, 1), int), 8, 0)[:33]
    with pytest.raises(ImageError, match=r"^damaged PNG$"):
        decode(head + known.chunk(b"IEND", b""))

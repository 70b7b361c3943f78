"""Pictures that would keep a decoder busy: refused by an estimate, before a pixel is decoded."""

from __future__ import annotations

import struct
import time
import zlib
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from lookalike.errors import ImageError, UsageError
from lookalike.images import ImageLimits, decode, durations

LIMITS = ImageLimits()


def encoded(image, form, **options):
    """A picture as bytes."""
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def run_lengths(width, height, body, bits=8):
    """A bitmap of run lengths."""
    palette = bytes(4 << bits)
    place = 54 + len(palette)
    head = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, 1 if bits == 8 else 2, len(body), 0, 0, 0, 0
    )
    return b"BM" + struct.pack("<IHHI", place + len(body), 0, 0, place) + head + palette + body


def seconds(source, limits=LIMITS, **options):
    """How much of the processor's time it takes to refuse or to decode something; and the reason, if any."""
    started = time.process_time()
    try:
        decode(source, limits=limits, **options)
    except ImageError as error:
        return time.process_time() - started, str(error)
    return time.process_time() - started, ""


@pytest.mark.parametrize("bits", [4, 8])
def test_a_bitmap_of_run_lengths(bits):
    """A small bitmap is decoded, however many pixels it claims; one of too many runs is refused."""
    line = b"\0\2\1\0\0\0"  # a step to the right, and the rest of the line is filled up, byte by byte
    for width, height in ((8000, 9000), (1_000_000, 72), (80, 900_000)):
        source = run_lengths(width, height, line * 40 + b"\0\1", bits)
        assert len(source) < 2_500
        assert seconds(source, size=(224, 224))[1] == ""
    good = run_lengths(600, 400, (b"\xff\1" * 2 + b"\x5a\1" + b"\0\0") * 400 + b"\0\1", bits)
    assert seconds(good)[1] == ""
    _, reason = seconds(run_lengths(600, 400, b"\xff\1" * 12_000_000))
    assert reason.startswith("could take 24 seconds to decode, the limit is 20; LOOKALIKE_MAX_SECONDS")


def test_a_jpeg_of_many_scans():
    """A small JPEG that goes over its pixels thousands of times is refused, at reduced size, too."""
    source = encoded(Image.new("RGB", (4000, 4000)), "JPEG", progressive=True)
    last = source[source.rindex(b"\xff\xda") : -2]
    for size in (None, (224, 224)):
        assert seconds(source, size=size)[1] == ""
        assert "could take" in seconds(source[:-2] + last * 1000 + b"\xff\xd9", size=size)[1]
    assert "could take" not in seconds(source[:-2] + last * 40 + b"\xff\xd9")[1]


@pytest.mark.parametrize(("samples", "bits", "refused"), [(200, 8, True), (4, 16, False), (60, 12, True)])
def test_a_tiff_of_many_samples(tiff_files, samples, bits, refused):
    """A small TIFF with hundreds of samples a pixel, all of which have to be unpacked, is refused."""
    width, height, rows = 4000, 2000, 4
    strip = zlib.compress(bytes(rows * width * samples * bits // 8), 9)
    tags = {256: (width,), 257: (height,), 258: (bits,), 259: (8,), 262: (1,), 277: (samples,), 278: (rows,)}
    tags[338] = (0,) * (samples - 1)
    source = tiff_files.assemble(tags, [strip] * (height // rows if not refused else 1), tiff_files.Storage())
    assert seconds(source, size=(224, 224))[1].partition(" ")[0] == ("could" if refused else "")


def test_the_limit_can_be_raised(monkeypatch):
    """LOOKALIKE_MAX_SECONDS raises the limit; it has to be a whole number."""
    source = run_lengths(50, 40, b"\0\1" * 15_000_000)
    assert "could take 30 seconds" in seconds(source)[1]
    assert "could take" not in seconds(source, replace(LIMITS, max_seconds=40))[1]
    monkeypatch.setenv("LOOKALIKE_MAX_SECONDS", "40")
    assert ImageLimits.from_environment().max_seconds == 40
    monkeypatch.setenv("LOOKALIKE_MAX_SECONDS", "soon")
    with pytest.raises(UsageError, match="LOOKALIKE_MAX_SECONDS is 'soon'"):
        ImageLimits.from_environment()


def test_the_largest_pictures_of_usual_kinds_are_not_refused():
    """A usual picture of as many pixels as are allowed is within the limit of time."""
    for kind, nanoseconds in durations._PIXEL.items():
        pixels = LIMITS.max_jpeg_pixels if kind == "JPEG" else LIMITS.max_pixels
        assert pixels * nanoseconds / 1e9 <= LIMITS.max_seconds


def part(name, content=b""):
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_files_of_very_many_parts():
    """A file of a million empty parts, or a JPEG that begins with endless EXIF, is refused soon."""
    png = encoded(Image.new("RGB", (9, 9)), "PNG")
    jpeg = encoded(Image.new("RGB", (9, 9)), "JPEG")
    gif = encoded(Image.new("1", (9, 9)), "GIF")
    exif = b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)
    refused = {
        "chunks": [png[:33] + part(name) * 1_000_000 + png[33:] for name in (b"teSt", b"IDAT")],
        "segments": [jpeg[:2] + segment * 1_000_000 + jpeg[2:] for segment in (b"\xff\xe5\0\2", b"\xff\xd0")],
        "blocks": [
            gif[:781] + b"!\xfe" + b"\1a" * count + b"\0" + gif[781:] for count in (1_000_000, 600_000)
        ]
        + [gif[:781] + b"!\xfe\1a\0" * 400_000 + gif[781:]],
        "first 16 MB": [jpeg[:2] + exif * 600 + jpeg[2:]],
    }
    for words, sources in refused.items():
        for source in sources:
            _, reason = seconds(source)
            assert words in reason
    assert seconds(jpeg[:2] + exif * 60 + jpeg[2:])[1] == ""


@pytest.mark.parametrize("form", ["GIF", "PNG", "WebP", "TIFF"])
def test_of_many_frames_one_is_read(form):
    """Of an animation, or a file of many pages, only the first picture is decoded, whatever follows it."""
    frames = [Image.new("RGB", (40, 30), (n % 256, 0, 0)) for n in range(300)]
    source = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    decoded = decode(source)
    assert (decoded.width, decoded.height) == (40, 30)
    # What follows may be cut, or nonsense.
    if form in {"GIF", "PNG"}:
        assert decode(source[: len(source) // 2]).width == 40

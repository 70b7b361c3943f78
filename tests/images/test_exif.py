"""What photographs say of themselves: which side is up, when, by what and where they were taken."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lookalike.images import chunks, decode
from lookalike.images.exif import Exif, read_exif

COLOURS = ((200, 40, 40), (40, 180, 60), (50, 60, 200), (230, 200, 40))
SHORT, LONG, BYTE, SIGNED, ASCII, FRACTION = 3, 4, 1, 9, 2, 5


def block(order, main=(), details=(), gps=()):
    """An EXIF block of lists of (tag, type, values); texts and fractions are kept behind the directories."""
    pointers = [(0x8769, LONG, [0]), (0x8825, LONG, [0])]
    sizes = [2 + 12 * len(one) + 4 for one in ([*main, *pointers], details, gps)]
    places = [8, 8 + sizes[0], 8 + sizes[0] + sizes[1]]
    pointers = [(0x8769, LONG, [places[1]]), (0x8825, LONG, [places[2]])]
    out = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    kept, behind = b"", 8 + sum(sizes)
    for directory in ([*main, *pointers], details, gps):
        out += struct.pack(order + "H", len(directory))
        for tag, kind, values in directory:
            content = values if kind == ASCII else b"".join(packed(order, kind, value) for value in values)
            out += struct.pack(order + "HHI", tag, kind, len(values))
            if len(content) > 4:
                out += struct.pack(order + "I", behind + len(kept))
                kept += content
            else:
                out += content.ljust(4, b"\0")
        out += bytes(4)
    return out + kept


def packed(order, kind, value):
    """One value of a type."""
    if kind == FRACTION:
        return struct.pack(order + "II", *value)
    return struct.pack(order + {SHORT: "H", LONG: "I", BYTE: "B", SIGNED: "i"}[kind], value)


def lying():
    """A picture of four colours that has to be turned a quarter to the right, 24 × 16."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    top_left, top_right, bottom_left, bottom_right = COLOURS
    pixels[:8, :12], pixels[:8, 12:], pixels[8:, :12], pixels[8:, 12:] = (
        top_right, bottom_right, top_left, bottom_left,
    )  # fmt: skip
    return Image.fromarray(pixels)


def corners(image):
    """The colours of the four corners, as in `COLOURS`."""
    x, y = image.width - 2, image.height - 2
    return [image.getpixel(at) for at in ((1, 1), (x, 1), (1, y), (x, y))]


def is_upright(decoded):
    """Whether the picture was turned to the right, and is as large as that makes it."""
    close = np.abs(np.array(corners(decoded.image)) - COLOURS).max() < 20
    return close and decoded.image.size == (16, 24) == (decoded.width, decoded.height)


def jpeg(*segments):
    """The picture as a JPEG with these APP1 segments at its beginning."""
    out = BytesIO()
    lying().save(out, "JPEG", quality=95, subsampling=0)
    content = out.getvalue()
    apps = b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments)
    return content[:2] + apps + content[2:]


def png(*before, after=()):
    """The picture as a PNG with these chunks before and behind its pixels."""
    out = BytesIO()
    lying().save(out, "PNG")
    content = out.getvalue()
    first, last = 33, len(content) - 12
    return b"".join(
        [content[:first], *map(chunk, before), content[first:last], *map(chunk, after), content[last:]]
    )


def chunk(pair):
    """A chunk of a name and content."""
    name, content = pair
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [BYTE, SHORT, LONG, SIGNED])
@pytest.mark.parametrize("wrap", ["JPEG", "PNG", "PNG behind", "WebP", "TIFF"])
def test_orientation_of_every_type(order, kind, wrap):
    """The orientation is read by its type, in both byte orders, wherever a format keeps it."""
    exif = block(order, [(0x0112, kind, [6])])
    if wrap == "JPEG":
        source = jpeg(b"Exif\0\0" + exif)
    elif wrap == "PNG":
        source = png((b"eXIf", exif))
    elif wrap == "PNG behind":
        source = png(after=[(b"eXIf", exif)])
    elif wrap == "WebP":
        out = BytesIO()
        lying().save(out, "WebP", lossless=True, exif=exif)
        source = out.getvalue()
    else:
        source = tiff(order, kind)
    assert is_upright(decode(source))


def tiff(order, kind):
    """The picture as a TIFF whose orientation has a type; Pillow would write a short one."""
    pixels = lying().tobytes()
    tags = [
        (256, LONG, [24]), (257, LONG, [16]), (258, SHORT, [8]), (259, SHORT, [1]), (262, SHORT, [2]),
        (273, LONG, [0]), (274, kind, [6]), (277, SHORT, [3]), (278, LONG, [16]), (279, LONG, [len(pixels)]),
    ]  # fmt: skip
    head = block(order, tags)
    tags[2] = (258, SHORT, [8, 8, 8])
    head = block(order, tags)
    tags[5] = (273, LONG, [len(head)])
    return block(order, tags) + pixels


def test_orientation_of_another_type_or_out_of_range_is_none():
    """A text, a nought, a nine and 65,542 are no orientation: the picture stays as it lies."""
    for kind, value in ((ASCII, b"6\0"), (SHORT, [0]), (SHORT, [9]), (LONG, [65542])):
        assert read_exif(block(">", [(0x0112, kind, value)])).orientation == 1


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("wrap", ["JPEG", "PNG", "TIFF"])
def test_xmp_turns_nothing(wrap):
    """An orientation that XMP alone has is left alone, as web browsers leave it."""
    segment = b"http://ns.adobe.com/xap/1.0/\0" + XMP
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP
    out = BytesIO()
    lying().save(out, "TIFF", tiffinfo={700: XMP})
    source = {"JPEG": jpeg(segment), "PNG": png((b"iTXt", text)), "TIFF": out.getvalue()}[wrap]
    assert decode(source).image.size == (24, 16)


def test_exif_among_several_segments():
    """EXIF is found behind XMP and behind other segments of its kind, and the first block counts."""
    first, second = (block(">", [(0x0112, SHORT, [value])]) for value in (6, 3))
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + XMP.replace(b'"6"', b'"8"')
    assert is_upright(decode(jpeg(xmp, b"Exif\0\0" + first, b"Exif\0\0" + second)))


@pytest.mark.parametrize("name", ["zTXt", "tEXt", "iTXt", "iTXt packed"])
@pytest.mark.parametrize("keyword", ["exif", "APP1"])
def test_raw_profile_tells_and_turns_nothing(name, keyword):
    """EXIF that ImageMagick keeps in a PNG's text tells of the camera, and turns nothing, as in browsers."""
    exif = b"Exif\0\0" + block("<", [(0x0112, SHORT, [6]), (0x010F, ASCII, b"Acme\0")])
    digits = exif.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = f"\n{keyword.lower()}\n{len(exif):8}\n{lines}\n".encode()
    head = f"Raw profile type {keyword}\0".encode()
    content = {
        "zTXt": head + b"\0" + zlib.compress(text),
        "tEXt": head + text,
        "iTXt": head + b"\0\0\0\0" + text,
        "iTXt packed": head + b"\1\0\0\0" + zlib.compress(text),
    }[name]
    decoded = decode(png((name[:4].encode(), content)))
    assert decoded.facts == {"camera": "Acme"}
    assert decoded.image.size == (24, 16)
    own = block("<", [(0x0112, SHORT, [6])])
    assert is_upright(decode(png((name[:4].encode(), content), after=[(b"eXIf", own)])))


def test_raw_profiles_that_are_none():
    """A text that is no profile, or is cut, is left alone."""
    for content in (b"\0\x78\x9c", b"", b"\1" + zlib.compress(b"\nexif\n 4\nzzzz")):
        assert chunks.read_exif(png((b"zTXt", b"Raw profile type exif\0" + content))) == Exif()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_by_its_own_boxes_alone(orientation):
    """An AVIF picture is turned by its boxes; an orientation in its EXIF counts for nothing."""
    turn = {1: 0, 2: 0, 3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}[orientation]
    other = (orientation + 4) % 8 + 1
    # What writes the file takes an orientation out of the EXIF; a tag beside it is made one afterwards.
    exif = block("<", [(0x0112, SHORT, [orientation]), (0x0113, SHORT, [other])])
    out = BytesIO()
    lying().save(out, "AVIF", quality=100, subsampling="4:4:4", exif=exif)
    beside = struct.pack("<HHIHH", 0x0113, SHORT, 1, other, 0)
    assert beside in out.getvalue()
    misleading = out.getvalue().replace(beside, struct.pack("<HHIHH", 0x0112, SHORT, 1, other, 0))
    expected = np.rot90(np.asarray(lying(), int), turn)
    expected = expected[:, ::-1] if orientation in {2, 4, 5, 7} else expected
    for source in (out.getvalue(), misleading):
        found = np.asarray(decode(source).image, int)
        assert found.shape == expected.shape
        assert np.abs(found - expected).mean() < 12


def test_time_falls_back():
    """Taken is when the picture was taken, else when it was digitised, else when the file was changed."""
    times = {0x9003: "2001:02:03 04:05:06", 0x9004: "2002:02:03 04:05:06", 0x0132: "2003:02:03 04:05:06"}
    for missing in range(4):
        for blank in ("", "0000:00:00 00:00:00", "    :  :     :  :  ", "2001:13:03 04:05:06"):
            texts = [blank if n < missing else time for n, time in enumerate(times.values())]
            written = [(tag, ASCII, text.encode() + b"\0") for tag, text in zip(times, texts, strict=True)]
            found = read_exif(block(">", written[2:], written[:2])).taken
            assert found == (None if missing == 3 else f"200{1 + missing}-02-03T04:05:06")


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("samsung", "SM-G960F", "samsung SM-G960F"),
        ("", "C2040Z  \0junk", "C2040Z"),
        ("Acme", "", "Acme"),
        ("Leica Camera AG\0", "LEICA Q2", "LEICA Q2"),
        ("Z\u00fcrich", "M\u00fcller", "Z\u00fcrich M\u00fcller"),
        ("bad\x07\x1b[31m\u202e", "x", "bad [31m x"),
        ("----", "", None),
        ("", "", None),
    ],
)
def test_camera(make, model, camera):
    """Make and model are one name, without the make twice, and without what would act on a terminal."""
    exif = block("<", [(0x010F, ASCII, make.encode() + b"\0"), (0x0110, ASCII, model.encode() + b"\0")])
    assert read_exif(exif).camera == camera


def test_lens_and_other_encodings():
    """The lens is told by its name; what stands for none is none; texts may be Latin-1."""
    lenses = {b"EF24mm f/1.4L": "EF24mm f/1.4L", b"0.0 mm f/0.0": None, b"Z\xfcrich": "Z\u00fcrich"}
    for text, lens in lenses.items():
        assert read_exif(block(">", (), [(0xA434, ASCII, text + b"\0")])).lens == lens


@pytest.mark.parametrize("order", ["<", ">"])
def test_position(order):
    """Degrees, minutes and seconds are degrees; south and west are below 0."""
    latitude, longitude = [(48, 1), (8, 1), (1392, 100)], [(11, 1), (3401, 100), (0, 1)]
    for north, east in (("N", "E"), ("S", "W"), ("n", "w")):
        gps = [(1, ASCII, north.encode() + b"\0"), (2, FRACTION, latitude), (3, ASCII, east.encode() + b"\0")]
        found = read_exif(block(order, (), (), [*gps, (4, FRACTION, longitude)]))
        signs = (-1 if north == "S" else 1, -1 if east in "Ww" else 1)
        assert (found.latitude, found.longitude) == (signs[0] * 48.1372, signs[1] * 11.5668333)


@pytest.mark.parametrize(
    "gps",
    [
        [(1, ASCII, b"N\0"), (2, FRACTION, [(48, 1)] * 3)],
        [(1, ASCII, b"N\0"), (2, FRACTION, [(48, 0)]), (3, ASCII, b"E\0"), (4, FRACTION, [(11, 1)])],
        [(1, ASCII, b"N\0"), (2, FRACTION, [(91, 1)]), (3, ASCII, b"E\0"), (4, FRACTION, [(11, 1)])],
        [(1, ASCII, b"N\0"), (2, FRACTION, [(48, 1)]), (3, ASCII, b"E\0"), (4, FRACTION, [(181, 1)])],
        [(1, ASCII, b"?\0"), (2, FRACTION, [(48, 1)]), (3, ASCII, b"E\0"), (4, FRACTION, [(11, 1)])],
        [(2, FRACTION, [(48, 1)]), (4, FRACTION, [(11, 1)])],
        [(1, ASCII, b"N\0"), (2, FRACTION, [(0, 1)] * 3), (3, ASCII, b"E\0"), (4, FRACTION, [(0, 1)] * 3)],
    ],
)
def test_no_position(gps):
    """Half a position, one out of range, of no side, by nought, or at 0, 0 is none."""
    found = read_exif(block(">", (), (), gps))
    assert (found.latitude, found.longitude) == (None, None)


def test_directories_that_lead_astray():
    """Directories that point at themselves, beyond the end or at infinity say nothing, and end."""
    for kind, value in ((LONG, 8), (LONG, 2**32 - 1), (SIGNED, -5)):
        exif = block("<", [(0x0112, SHORT, [6]), (0x8769, kind, [value])])
        assert read_exif(exif).orientation == 6
    infinite = struct.pack("<HHIf", 0x8769, 11, 1, float("inf"))
    exif = b"II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + infinite
    assert read_exif(exif) == Exif(orientation=6)

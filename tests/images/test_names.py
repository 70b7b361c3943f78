"""What files are that are no pictures, and cameras' raw files, of which the preview is looked at."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.errors import ImageError
from lookalike.images import decode, read_file, recognise

RAW = "a camera's raw file, not read"


def ftyp(*brands):
    """The beginning of an ISO media file."""
    return struct.pack(">I", 8 + 4 * len(brands)) + b"ftyp" + b"".join(brands) + bytes(64)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (ftyp(b"isom", bytes(4), b"mp42"), "a video"),
        (ftyp(b"qt  ", bytes(4), b"qt  "), "a video"),
        (ftyp(b"M4V ", bytes(4)), "a video"),
        (ftyp(b"3gp5", bytes(4)), "a video"),
        (ftyp(b"M4A ", bytes(4)), "sound"),
        (b"\x1aE\xdf\xa3" + bytes(40), "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound"),
        (b"FLV\1\5", "a video"),
        (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", "a video"),
        (b"\0\0\1\xba\x44" + bytes(40), "a video"),
        (b"\0\0\x07\x08moov" + bytes(40), "a video"),
        ((b"G\x40" + bytes(186)) * 5, "a video"),
        ((bytes(4) + b"G\x40" + bytes(186)) * 5, "a video"),
        (b"OggS\0\2" + bytes(40), "sound or a video"),
        (b"ID3\4" + bytes(40), "sound"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"8BPS\0\1" + bytes(40), "a Photoshop document"),
        (b"8BPS\0\2" + bytes(40), "a Photoshop document"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL, which is not supported"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL, which is not supported"),
        (ftyp(b"jxl ", bytes(4), b"jxl "), "JPEG XL, which is not supported"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000, which is not supported"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000, which is not supported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which is not supported"),
        (b"<?xml version='1.0'?>\n<!-- made by -->\n<svg width='3'>", "SVG, which is not supported"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><svg>", "SVG, which is not supported"),
        (b"<!doctype html><p>an <svg> in a page", "an HTML page"),
        (b"FOVb" + bytes(40), RAW),
        (b"\0MRM" + bytes(40), RAW),
        (b"II\x1a\0\0\0HEAPCCDR", RAW),
        (b"v/1\1" + bytes(40), "OpenEXR, which is not supported"),
        (b"BM is how this letter begins, which is no bitmap", "text"),
        (b"hello", "text"),
        (bytes(50), "only zeros"),
    ],
)
def test_named_by_content(source, name):
    """A file that is no picture is told by what it is, whatever it is called."""
    for read in (recognise, decode):
        with pytest.raises(ImageError, match=f"^not a picture: {name}$"):
            read(source)


def jpeg(size, colour=(200, 60, 20), **options):
    """A JPEG of one colour with a white upper left corner."""
    image = Image.new("RGB", size, colour)
    image.paste((255, 255, 255), (0, 0, size[0] // 4, size[1] // 4))
    out = BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def raw_tiff(previews, *, order="<", head=b"II*\0", first=(), sensor=True, as_strips=False):
    """A raw file laid out like a TIFF: previews and the sensor's pixels in directories below the first.

    The first directory is a thumbnail of 160 × 120 without compression, as many cameras write it.
    """
    thumbnail = bytes(160 * 120 * 3)
    below = [
        ([(0x103, 3, 6), (0x111, 4, jpeg), (0x117, 4, len(jpeg))] if as_strips
         else [(0x103, 3, 6), (0x201, 4, jpeg), (0x202, 4, len(jpeg))])
        for jpeg in previews
    ]  # fmt: skip
    below += (
        [[(0xFE, 4, 0), (0x100, 4, 64), (0x101, 4, 64), (0x103, 3, 1), (0x106, 3, 32803)]] if sensor else []
    )
    main = [
        (0xFE, 4, 1), (0x100, 4, 160), (0x101, 4, 120), (0x102, 3, 8), (0x103, 3, 1), (0x106, 3, 2),
        (0x111, 4, thumbnail), (0x115, 3, 3), (0x116, 4, 120), (0x117, 4, len(thumbnail)), *first,
    ]  # fmt: skip
    count = len(main) + 1
    out = bytearray(head + struct.pack(order + "I", 8))
    ends = 8 + 2 + 12 * count + 4
    places, directories = [], []
    for directory in below:
        places.append(ends)
        ends += 2 + 12 * len(directory) + 4
    pointers = ends
    ends += 4 * len(places)
    kept = bytearray()

    def written(entries):
        made = struct.pack(order + "H", len(entries))
        for tag, kind, given in sorted(entries, key=lambda entry: entry[0]):
            value = ends + len(kept) if isinstance(given, bytes) else given
            kept.extend(given if isinstance(given, bytes) else b"")
            if isinstance(value, tuple):
                made += struct.pack(order + "HHII", tag, kind, *value)
            elif kind == 3:
                made += struct.pack(order + "HHIHH", tag, kind, 1, value, 0)
            else:
                made += struct.pack(order + "HHII", tag, kind, 1, value)
        return made + bytes(4)

    at = pointers if len(places) > 1 else places[0] if places else 0
    out += written([*main, (0x14A, 4, (len(places), at))])
    directories = [written(directory) for directory in below]
    return bytes(out) + b"".join(directories) + struct.pack(f"{order}{len(places)}I", *places) + bytes(kept)


def shows(decoded, size, colour=(200, 60, 20)):
    """Whether it is that preview, upright, with its white corner in the upper left."""
    corner, other = decoded.image.getpixel((2, 2)), decoded.image.getpixel((size[0] - 3, size[1] - 3))
    close = np.abs(np.array([corner, other], int) - [(255, 255, 255), colour]).max() < 12
    return close and decoded.image.size == (decoded.width, decoded.height) == size and decoded.format == "RAW"


@pytest.mark.parametrize("as_strips", [False, True])
@pytest.mark.parametrize(("order", "head"), [("<", b"II*\0"), (">", b"MM\0*")])
def test_preview_of_a_raw_file_like_tiff(order, head, as_strips):
    """Of a raw file that is a TIFF the largest preview is looked at, and never the small first picture."""
    previews = [jpeg((640, 480), (0, 0, 90)), jpeg((1600, 1200)), jpeg((160, 120), (0, 90, 0))]
    source = raw_tiff(previews, order=order, head=head, as_strips=as_strips)
    assert recognise(source) == "RAW"
    assert shows(decode(source), (1600, 1200))
    assert min(decode(source, size=(224, 224)).image.size) >= 224


def test_dng():
    """A file that says it is a DNG is a raw file, whatever its directories hold."""
    version = (0xC612, 1, (4, 0x00000401))
    assert shows(decode(raw_tiff([jpeg((1024, 768))], first=[version], sensor=False)), (1024, 768))
    with pytest.raises(ImageError, match=RAW):
        decode(raw_tiff([], first=[version], sensor=False))


def test_small_previews_are_not_enough():
    """Where all previews are smaller than 320 pixels, or cut off, the file is told by name and not read."""
    whole = raw_tiff([jpeg((1600, 1200))])
    for source in (raw_tiff([jpeg((160, 120))]), raw_tiff([]), whole[:-500], whole[:400] + bytes(4000)):
        with pytest.raises(ImageError, match=f"^not a picture: {RAW}$"):
            decode(source)


def test_orientation_and_facts_of_a_raw_file():
    """A raw file's own EXIF turns the preview, and tells the camera."""
    lying = jpeg((1200, 900))
    first = [(0x0112, 3, 6), (0x010F, 2, (4, int.from_bytes(b"Acm\0", "little")))]
    decoded = decode(raw_tiff([lying], first=first))
    assert decoded.facts == {"camera": "Acm"}
    assert (decoded.width, decoded.height) == (900, 1200)
    assert np.abs(np.array(decoded.image.getpixel((897, 2)), int) - 255).max() < 12


def test_plain_tiffs_stay_tiffs(known):
    """A TIFF with several pictures is a TIFF; its first one is looked at."""
    pages = [known.quarters((64, 48)), known.quarters((32, 24))]
    out = BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    assert recognise(out.getvalue()) == "TIFF"
    assert decode(out.getvalue()).width == 64


def test_other_raw_files():
    """The previews of Panasonic's, Olympus', Fuji's and Canon's raw files are found where these keep them."""
    wanted = jpeg((1920, 1440))
    panasonic = raw_tiff([], head=b"IIU\0", first=[(0x2E, 7, wanted)])
    at = panasonic.index(struct.pack("<HHI", 0x2E, 7, 1))
    panasonic = panasonic[: at + 4] + struct.pack("<I", len(wanted)) + panasonic[at + 8 :]
    fuji = (
        b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 200, len(wanted)) + bytes(108) + wanted
    )
    box = b"PRVW" + struct.pack(">IHHHHI", 0, 1, 1920, 1440, 1, len(wanted)) + wanted
    canon = ftyp(b"crx ", bytes(4), b"crx ", b"isom") + b"uuid" + struct.pack(">I", len(box) + 4) + box
    olympus = raw_tiff([wanted], head=b"IIRO")
    canon_2 = raw_tiff([wanted], as_strips=True)
    for source in (panasonic, fuji, canon, olympus, canon_2):
        assert recognise(source[:1024]) in {"RAW", "TIFF"}
        assert shows(decode(source), (1920, 1440))


def test_directories_in_a_circle():
    """Directories that follow each other in a circle, or for ever, are gone through once."""
    circle = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHII", 1, 0x100, 3, 1, 5) + struct.pack("<I", 8)
    assert recognise(circle) == "TIFF"
    below = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHII", 1, 0x14A, 4, 1, 8) + bytes(4)
    assert recognise(below) == "TIFF"
    chain = b"II*\0" + struct.pack("<I", 8)
    for number in range(20_000):
        chain += struct.pack("<HHHIII", 1, 0x100, 3, 1, 5, 8 + 18 * (number + 1))
    assert recognise(chain) == "TIFF"


def test_indexed(tmp_path):
    """A raw file with a preview is indexed beside what is told by name."""
    (tmp_path / "photo.NEF").write_bytes(raw_tiff([jpeg((1600, 1200))], order=">", head=b"MM\0*"))
    (tmp_path / "old.ARW").write_bytes(raw_tiff([jpeg((160, 120))]))
    (tmp_path / "film.mov").write_bytes(ftyp(b"qt  ", bytes(4), b"qt  "))
    assert read_file(tmp_path / "photo.NEF")
    with lookalike.Gallery.open(tmp_path, model="toy") as gallery:
        report = gallery.add()
        assert [(r.id, r.format, r.width) for r in gallery.records()] == [("photo.NEF", "RAW", 1600)]
    reasons = {skip.path: skip.reason for skip in report.skipped}
    assert reasons == {"old.ARW": f"not a picture: {RAW}", "film.mov": "not a picture: a video"}

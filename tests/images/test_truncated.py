"""Pictures whose file ends too early: used where nearly all is there, else refused, and never silently."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.errors import ImageError
from lookalike.images import decode

WIDTH, HEIGHT = 400, 320


def picture(seed=0, size=(WIDTH, HEIGHT)):
    """A picture with something in every row."""
    small = np.random.default_rng(seed).integers(0, 255, (size[1] // 4, size[0] // 4, 3), np.uint8)
    return Image.fromarray(small).resize(size)


def encoded(form, image=None, **options):
    """A picture as bytes."""
    out = BytesIO()
    (image or picture()).save(out, form, **options)
    return out.getvalue()


def png(rows, *, mode="RGB", interlaced=False, end=True, height=HEIGHT):
    """A PNG whose stream of pixels ends in order after some of its rows."""
    image = picture(size=(WIDTH, height)).convert(mode)
    channels = len(image.getbands())
    pixels = np.asarray(image).reshape(height, -1).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in pixels[:rows])
    kind = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", WIDTH, height, 8, kind, 0, 0, interlaced)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), *([(b"IEND", b"")] if end else [])]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in parts
    )


def outcome(source, **options):
    """What becomes of a picture: `whole`, `used`, or the reason why it is refused."""
    try:
        decoded = decode(source, **options)
    except ImageError as error:
        return str(error)
    assert decoded.image.mode == "RGB"
    return "used" if decoded.note else "whole"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_png_of_some_rows(mode):
    """A PNG whose pixels end in order too early is refused below 95 % of its rows, else used with a note."""
    assert outcome(png(20, mode=mode)) == "truncated PNG: 6 % of its rows are there"
    assert outcome(png(0, mode=mode)) == "truncated PNG: 0 % of its rows are there"
    assert outcome(png(303, mode=mode)) == "truncated PNG: 94 % of its rows are there"
    assert outcome(png(304, mode=mode)) == "used"
    assert outcome(png(HEIGHT - 1, mode=mode)) == "used"
    assert outcome(png(HEIGHT, mode=mode)) == "whole"
    assert decode(png(304, mode=mode)).note == "truncated PNG: 95 % of its rows are there, which was enough"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 7), (64, 50)])
def test_whole_pngs_of_every_size(mode, size):
    """Pictures of few pixels, of one colour, black or white, are whole."""
    for colour in (0, 1):
        assert outcome(encoded("PNG", Image.new(mode, size, colour))) == "whole"
    assert outcome(encoded("PNG", picture(size=(80, 80)).resize(size).convert("L").convert(mode))) == "whole"


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("PNG", {"optimize": True}),
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("GIF", {"interlace": 0}),
        ("BMP", {}),
    ],
)
@pytest.mark.parametrize("size", [None, (64, 64)])
def test_files_cut_anywhere(form, options, size):
    """However much is cut off: what is used has 95 % of its rows right, and what is refused says so."""
    image = picture().convert("P") if form == "GIF" else picture()
    source = encoded(form, image, **options)
    assert outcome(source) == "whole"
    true = np.asarray(decode(source).image, int)
    used = 0
    for cut in (1, 2, 3, 5, 12, 13, 40, *(int(len(source) * part / 100) for part in range(1, 100, 4))):
        decision = outcome(source[:-cut], size=size)
        assert decision in {"used", "whole"} or "truncated" in decision
        if decision not in {"used", "whole"}:
            continue
        used += 1
        found = np.asarray(decode(source[:-cut]).image, int)
        wrong = np.abs(found - true).mean((1, 2)) > 8
        assert wrong.mean() <= 0.06
        assert decision == "used" or not wrong.any()
    assert used >= 7
    assert "% of its rows are there" in outcome(source[: len(source) // 2], size=size)


def test_a_jpeg_without_its_end_marker():
    """A JPEG that lacks its end marker alone is used, with a note."""
    for options in ({}, {"progressive": True}):
        whole = encoded("JPEG", **options)
        decoded = decode(whole[:-2])
        assert decoded.note
        assert np.abs(np.asarray(decoded.image, int) - np.asarray(decode(whole).image, int)).max() == 0


def test_a_jpeg_that_ends_in_order_too_early():
    """A JPEG cut in the middle and closed by an end marker, as rescued files are, is no picture half grey."""
    for options in ({}, {"subsampling": 0}, {"quality": 30}):
        whole = encoded("JPEG", **options)
        for share in (0.3, 0.5, 0.8):
            cut = whole[: int(len(whole) * share)].rstrip(b"\xff") + b"\xff\xd9"
            for size in (None, (32, 32)):
                assert "% of its rows are there" in outcome(cut, size=size)
                assert "% of its rows are there" in outcome(cut + whole, size=size)  # with another behind it
        assert outcome(whole + whole[:100]) == "whole"


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_that_is_grey(mode):
    """A JPEG that is grey, all over or at its end, is whole."""
    grey = Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128))
    assert outcome(encoded("JPEG", grey.convert(mode))) == "whole"
    grey.paste(picture(size=(WIDTH, 160)), (0, 0))
    assert outcome(encoded("JPEG", grey.convert(mode))) == "whole"
    assert outcome(encoded("JPEG", grey.convert(mode), progressive=True)) == "whole"


def test_a_progressive_jpeg():
    """Of a progressive JPEG all of the first scan is enough; with less it goes by the rows."""
    source = encoded("JPEG", progressive=True, quality=90)
    scans = [at for at in range(len(source) - 1) if source[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 4
    true = np.asarray(decode(source).image.resize((25, 20), Image.Resampling.BOX), int)
    for cut in (scans[1], scans[1] + 40, scans[3] + 1, scans[-1] + 500):
        for part in (source[:cut], source[:cut] + b"\xff\xd9"):
            decoded = decode(part)
            coarse = np.asarray(decoded.image.resize((25, 20), Image.Resampling.BOX), int)
            assert np.abs(coarse - true).mean() < 16
    assert decode(source[: scans[1] + 40]).note == "truncated JPEG: its details are missing"
    assert "% of its rows" in outcome(source[: (scans[0] + scans[1]) // 2])
    assert "% of its rows" in outcome(source[: (scans[0] + scans[1]) // 2] + b"\xff\xd9")


def test_interlaced():
    """An interlaced PNG goes by its bytes of pixels, an interlaced GIF that is cut can't be judged."""
    source = interlaced_png()
    assert outcome(source) == "whole"
    for kept, expected in ((0.5, "truncated PNG"), (0.97, "used")):
        assert expected in outcome(interlaced_png(kept))
    gif = encoded("GIF", picture().convert("P"), interlace=1)
    assert outcome(gif) == "whole"
    assert outcome(gif[: len(gif) * 98 // 100]) == "truncated GIF: how much of it is there can't be told"


def interlaced_png(share=1.0):
    """A PNG in Adam7's seven passes, of which a share is there and ends in order."""
    pixels = np.asarray(picture().convert("L"))
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    rows = [b"\0" + row.tobytes() for x, y, dx, dy in passes for row in pixels[y::dy, x::dx]]
    raw = b"".join(rows)
    content = zlib.compress(raw[: int(len(raw) * share)])
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 1)), (b"IDAT", content), (b"IEND", b""),
    ]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in parts
    )


@pytest.mark.parametrize("interlace", [0, 1])
def test_a_gif_that_ends_in_order_too_early(interlace):
    """A GIF whose codes end before its rows do is not taken for half empty."""
    source = encoded("GIF", picture().convert("P"), interlace=interlace)
    assert "truncated GIF" in outcome(early_end(source))


def early_end(gif):
    """A GIF whose second half of codes is replaced by one that ends them."""
    start = gif.index(b"\x2c", 13 + 768)  # the picture, behind the palette
    at = start + 11
    blocks, place = [], at
    while gif[place]:
        blocks.append(gif[place + 1 : place + 1 + gif[place]])
        place += 1 + gif[place]
    half = b"".join(blocks)[: len(b"".join(blocks)) // 2]
    # What follows is a run of all widths of the code that ends: whichever is read, it comes soon.
    return (
        gif[:at]
        + b"".join(
            bytes([len(part)]) + part for part in (half[i : i + 255] for i in range(0, len(half), 255))
        )
        + b"\0;"
    )


@pytest.mark.parametrize("form", ["WebP", "AVIF", "TIFF"])
def test_what_can_not_be_judged_is_refused(form):
    """Where a decoder does not tell how much is there, whatever lacks something is refused."""
    source = encoded(form)
    for share in (0.3, 0.6, 0.9, 0.99):
        assert outcome(source[: int(len(source) * share)]).startswith(("truncated", "damaged"))


def test_told_once(tmp_path):
    """A picture that is used though something is missing is told by the run that reads it alone."""
    (tmp_path / "cut.png").write_bytes(png(311))
    (tmp_path / "half.png").write_bytes(png(150))
    picture().save(tmp_path / "whole.png")
    with lookalike.Gallery.open(tmp_path, model="toy") as gallery:
        report = gallery.add()
        assert (report.added, [skip.path for skip in report.skipped]) == (2, ["half.png"])
        assert report.notes == ["cut.png: truncated PNG: 97 % of its rows are there, which was enough"]
        assert gallery.add().notes == []
        for number in range(12):
            picture(number).save(tmp_path / f"{number:02}.bmp")
            content = (tmp_path / f"{number:02}.bmp").read_bytes()
            (tmp_path / f"{number:02}.bmp").write_bytes(content[:-10])
        notes = gallery.add().notes
    assert len(notes) == 11
    assert notes[0] == "00.bmp: truncated BMP: 99 % of its rows are there, which was enough"
    assert notes[-1] == "2 more pictures are damaged, and were indexed all the same"


def test_a_text_that_unpacks_to_gigabytes():
    """A PNG with a text that would take too much memory is read without it."""
    source = encoded("PNG")
    bomb = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    chunk = struct.pack(">I", len(bomb)) + b"zTXt" + bomb + struct.pack(">I", zlib.crc32(b"zTXt" + bomb))
    assert outcome(source[:33] + chunk + source[33:]) == "whole"
    damaged = bytearray(chunk)
    damaged[-1] ^= 1
    assert outcome(source[:33] + bytes(damaged) + source[33:]) == "whole"

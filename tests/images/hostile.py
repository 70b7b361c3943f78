"""A folder of files that have broken picture programs, made on the spot."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, PngImagePlugin

if TYPE_CHECKING:
    from pathlib import Path

HTML = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n"


def make(folder: Path) -> dict[str, str]:
    """Fill a folder; relative path → `good`, or a word of the reason why it can't be opened.

    Paths that are not UTF-8 come as Python gives them, with surrogates. What the file system or
    the user (root reads everything) does not allow to be made is left out.
    """
    expected = {}
    for name, (content, outcome) in {**_good(), **_bad()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        expected[name] = outcome
    return expected | _odd_files(folder) | _odd_names(folder)


def picture(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    """A drawing that is different in each corner."""
    image = Image.new("RGB", size, (30, 90, 160))
    draw = ImageDraw.Draw(image)
    width, height = size
    draw.rectangle((0, 0, width // 2, height // 2), fill=(220, 40, 40))
    draw.ellipse((width // 2, height // 2, width - 1, height - 1), fill=(250, 220, 60))
    return image.convert(mode)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation: int = 1, taken: str = "2024:05:17 18:30:05") -> bytes:
    """An EXIF block with orientation and the time of the photograph."""
    block = Image.Exif()
    block[0x0112] = orientation
    block.get_ifd(0x8769)[0x9003] = taken
    return block.tobytes()


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, rows: int = 0) -> bytes:
    """A grey PNG that claims any size, with a valid zlib stream of `rows` black rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-width * depth // 8))
    stream = b"".join([*(packer.compress(row) for _ in range(rows)), packer.flush()])
    parts = ((b"IHDR", header), (b"IDAT", stream), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _good() -> dict[str, tuple[bytes, str]]:
    whole = picture()
    grey16 = Image.new("I;16", (64, 48), 40_000)
    faded = picture(mode="RGBA")
    faded.putalpha(90)
    palette = whole.quantize(8)
    frames = [whole, whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    jpeg = encoded(whole, "JPEG")
    key = PngImagePlugin.PngInfo()
    key.add_text("Comment", "a note")
    files = {
        "good/plain.jpg": jpeg,
        "good/progressive.jpg": encoded(whole, "JPEG", progressive=True),
        "good/really-a-png.jpg": encoded(whole, "PNG", pnginfo=key),
        "good/no-ending": encoded(whole, "WEBP"),
        "good/cmyk.jpg": encoded(whole.convert("CMYK"), "JPEG"),
        "good/grey.jpg": encoded(whole.convert("L"), "JPEG"),
        "good/turned.jpg": encoded(whole, "JPEG", exif=exif(6)),
        "good/broken-exif.jpg": encoded(whole, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage"),
        "good/trailing-bytes.jpg": jpeg + b"appended by a camera" * 9,
        "good/16-bit.png": encoded(grey16, "PNG"),
        "good/1-bit.png": encoded(whole.convert("1"), "PNG"),
        "good/palette-transparent.png": encoded(palette, "PNG", transparency=bytes([0, 128, 255])),
        "good/grey-alpha.png": encoded(faded.convert("LA"), "PNG"),
        "good/alpha.png": encoded(faded, "PNG"),
        "good/1x1.png": encoded(picture((1, 1)), "PNG"),
        "good/30000x1.png": encoded(picture((30_000, 1)), "PNG"),
        "good/1x30000.jpg": encoded(picture((1, 30_000)), "JPEG"),
        "good/animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "good/animated.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "good/animated.png": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "good/float.tiff": encoded(whole.convert("F"), "TIFF"),
        "good/lab.tiff": encoded(whole.convert("LAB"), "TIFF"),
        "good/deflated.tiff": encoded(whole, "TIFF", compression="tiff_deflate"),
        "good/plain.bmp": encoded(whole, "BMP"),
        "good/plain.avif": encoded(whole, "AVIF"),
    }
    return {name: (content, "good") for name, content in files.items()}


def _bad() -> dict[str, tuple[bytes, str]]:
    noise = Image.effect_noise((200, 150), 80).convert("RGB")
    jpeg, lossless = encoded(noise, "JPEG"), encoded(noise, "PNG")
    return {
        "bad/truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "bad/header-only.jpg": (jpeg[:12], "JPEG"),
        "bad/truncated.png": (lossless[: len(lossless) // 2], "truncated"),
        "bad/truncated.webp": (encoded(noise, "WEBP")[:400], "WebP"),
        "bad/truncated.gif": (encoded(noise, "GIF")[:900], "GIF"),
        "bad/truncated.tiff": (encoded(noise, "TIFF")[:900], "TIFF"),
        "bad/truncated.avif": (encoded(noise, "AVIF")[:900], "AVIF"),
        "bad/truncated.bmp": (encoded(noise, "BMP")[:900], "BMP"),
        "bad/damaged.png": (lossless[:60] + b"\xff" * 40 + lossless[100:], "PNG"),
        "bad/empty.jpg": (b"", "0 bytes"),
        "bad/zeros.jpg": (bytes(4096), "zeros"),
        "bad/text.jpg": (b"Just some words.\n" * 9, "text"),
        "bad/error-page.jpg": (HTML, "HTML"),
        "bad/drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        "bad/report.pdf": (b"%PDF-1.7\n", "PDF"),
        "bad/script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        "bad/bomb.png": (png(24_000, 24_000, depth=1, rows=24_000), "megapixels"),
        "bad/huge-header.png": (png(100_000, 100_000), "megapixels"),
        "bad/huge-header.gif": (
            b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\0",
            "megapixels",
        ),
        "bad/huge-header.bmp": (_bmp_header(60_000, 60_000), "megapixels"),
    }


def _bmp_header(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    )


def _odd_files(folder: Path) -> dict[str, str]:
    odd = folder / "odd"
    odd.mkdir()
    os.mkfifo(odd / "pipe.jpg")
    (odd / "folder.jpg").mkdir()
    (odd / "dangling.jpg").symlink_to("nowhere.jpg")
    (odd / "loop.jpg").symlink_to("loop.jpg")
    (odd / "up").symlink_to("..", target_is_directory=True)
    (odd / "linked.jpg").symlink_to("../good/plain.jpg")
    expected = {
        "odd/pipe.jpg": "pipe",
        "odd/folder.jpg": "folder",
        "odd/dangling.jpg": "No such file",
        "odd/loop.jpg": "symbolic links",
        "odd/linked.jpg": "good",
    }
    locked = odd / "locked.jpg"
    locked.write_bytes(encoded(picture(), "JPEG"))
    locked.chmod(0)
    if os.access(locked, os.R_OK):  # root
        locked.unlink()
        return expected
    return expected | {"odd/locked.jpg": "Permission denied"}


def _odd_names(folder: Path) -> dict[str, str]:
    names = [
        "with space.png",
        "new\nline.png",
        "émoji 🐈.png",
        '<b>&"quoted".png',
        "-k.png",
        os.fsdecode(b"latin-\xe9.png"),
    ]
    made = {}
    (folder / "names").mkdir()
    for at, name in enumerate(names):
        path = folder / "names" / name
        try:
            path.write_bytes(encoded(picture((40 + at, 30)), "PNG"))
        except (OSError, ValueError):  # macOS takes UTF-8 only
            continue
        made[f"names/{name}"] = "good"
    return made

"""What a file is, by its first bytes, and the class of Pillow's that reads its header."""

from __future__ import annotations

import re
import struct
import threading
import warnings
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from lookalike import extras
from lookalike.errors import ImageError
from lookalike.images.tiff import open_tiff
from lookalike.images.transparency import gif_class, open_png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BytesIO

    from PIL.Image import Image

# What begins like this is a picture we open: (offset, bytes, format).
_PICTURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"BM", "BMP"),
)
# What begins like this is something else, and people like to know what.
_OTHERS = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\0\0\0\x0cjP", "JPEG 2000, which is not supported"),
    (0, b"\0\0\0\x0cJXL", "JPEG XL, which is not supported"),
    (4, b"ftyp", "a video"),
    (8, b"AVI ", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
)
_PLUGINS = {
    "WebP": ("WebPImagePlugin", "WebPImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("AvifImagePlugin", "AvifImageFile"),
}


HEAD = 1024
"""How many bytes of a file are enough to recognise it."""


def recognise(source: bytes) -> str:
    """The format of a picture by its first bytes. Raises `ImageError` saying what it is instead."""
    if not source:
        raise ImageError("0 bytes")
    if source[4:8] == b"ftyp" and (kind := _brand(source)):
        return kind
    for offset, magic, kind in _PICTURES:
        if source.startswith(magic, offset):
            return kind
    raise ImageError(f"not a picture: {_what(source)}")


def _brand(source: bytes) -> str | None:
    """AVIF or HEIC, by the brands an ISO media file names; None for a video."""
    length = min(int.from_bytes(source[:4], "big"), 256)
    brands = {source[at : at + 4] for at in range(8, length, 4)}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    heic = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    return "HEIC" if brands & heic else None


def _what(source: bytes) -> str:
    for offset, magic, name in _OTHERS:
        if source.startswith(magic, offset):
            return name
    head = source[:HEAD]
    if not head.strip(b"\0"):
        return "only zeros"
    if b"\0" in head:
        return "bytes of an unknown kind"
    if re.search(rb"<svg\b", head):
        return "SVG, which is not supported"
    if re.match(
        rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)\b",
        head,
        re.IGNORECASE | re.DOTALL,
    ):
        return "an HTML page"
    printable = sum(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
    return "text" if printable == len(head) else "bytes of an unknown kind"


def open_header(kind: str, source: bytes, stream: BytesIO) -> Image:
    """Read the header only; the pixels come with the first use."""
    with _quiet() if kind in {"TIFF", "AVIF"} or b"acTL" in source[:4096] else nullcontext():
        return _open(kind, source, stream)


def _open(kind: str, source: bytes, stream: BytesIO) -> Image:
    if kind == "JPEG":
        return _jpeg()(stream)
    if kind == "HEIC":
        return _open_heic(stream)
    if kind == "PNG":
        return open_png(source, stream)
    if kind == "GIF":
        return gif_class()(stream)
    if kind == "TIFF":
        return open_tiff(source, stream)
    module, name = _PLUGINS[kind]
    opened: Image = getattr(import_module(f"PIL.{module}"), name)(stream)
    return opened


@cache
def _jpeg() -> Callable[[BytesIO], Image]:
    from PIL.Image import Exif
    from PIL.JpegImagePlugin import JpegImageFile

    class Jpeg(JpegImageFile):
        """Does not look for the dpi in the EXIF, which takes time and warns where it is damaged."""

        def getexif(self) -> Exif:
            return Exif()

    return Jpeg


def _open_heic(stream: BytesIO) -> Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(str(extras.missing("HEIC", "heif"))) from None
    opened: Image = pillow_heif.HeifImageFile(stream)
    return opened


_warnings_lock = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's remarks about odd metadata, made while a header is read.

    The list of warning filters belongs to the process. The lock keeps our own threads apart, and
    as only Pillow's remarks are silenced, a foreign thread that copies the list meanwhile loses
    nothing else. Formats that never remark (JPEG, most PNG) do not come here.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def reason(error: Exception, kind: str) -> str:
    """What went wrong, for people; `error` is whatever Pillow ran into."""
    text = str(error).strip() or type(error).__name__
    truncated = ("truncated", "unexpected end", "not enough data", "end of file", "image file is trunc")
    if isinstance(error, EOFError | struct.error) or any(word in text.lower() for word in truncated):
        return f"truncated {kind}"
    return f"damaged {kind}: {text}"

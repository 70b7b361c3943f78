"""What a file is, by its first bytes: a picture that is opened, or something else that people know."""

from __future__ import annotations

import re
import struct

from lookalike.errors import ImageError
from lookalike.images.tiff_directories import Directory, directories

HEAD = 1024
"""How many bytes of a file are enough to recognise it."""

RAW = "RAW"
"""The format of a camera's raw file, of which the preview in it is looked at."""

_RAW_NAME = "a camera's raw file, not read"

# What begins like this is a picture we open: (offset, bytes, format).
_PICTURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"CR\2\0", RAW),  # Canon's CR2, before TIFF, of which it is a kind
    (0, b"IIU\0", RAW),  # Panasonic, Leica
    (0, b"IIRO", RAW),  # Olympus
    (0, b"IIRS", RAW),
    (0, b"MMOR", RAW),
    (0, b"FUJIFILMCCD-RAW ", RAW),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
)
# What begins like this is something else.
_OTHERS = (
    (0, b"FOVb", _RAW_NAME),  # Sigma
    (0, b"\0MRM", _RAW_NAME),  # Minolta
    (6, b"HEAPCCDR", _RAW_NAME),  # Canon's first
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"gimp xcf", "a GIMP document"),
    (4, b"jP  ", "JPEG 2000, which is not supported"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000, which is not supported"),
    (4, b"JXL ", "JPEG XL, which is not supported"),
    (0, b"\xff\x0a", "JPEG XL, which is not supported"),
    (0, b"II\xbc", "JPEG XR, which is not supported"),
    (0, b"v/1\1", "OpenEXR, which is not supported"),
    (0, b"#?RADIANCE", "Radiance HDR, which is not supported"),
    (0, b"DDS ", "DDS, which is not supported"),
    (0, b"\0\0\1\0", "an icon, which is not supported"),
    (8, b"AVI ", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"FLV\1", "a video"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a video"),  # Windows Media
    (0, b"\0\0\1\xba", "a video"),  # MPEG
    (0, b"\0\0\1\xb3", "a video"),
    (0, b".RMF", "a video"),
    (4, b"moov", "a video"),  # QuickTime before it said what it is
    (4, b"mdat", "a video"),
    (4, b"wide", "a video"),
    (0, b"OggS", "sound or a video"),
    (8, b"WAVE", "sound"),
    (0, b"ID3", "sound"),
    (0, b"fLaC", "sound"),
)
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
# Brands of an ISO media file that is neither a picture we open nor a video.
_BRANDS = {b"jxl ": "JPEG XL, which is not supported", b"jp2 ": "JPEG 2000, which is not supported"}
_SOUND = {b"M4A ", b"M4B ", b"M4P ", b"F4A "}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes
_PACKETS = ((0, 188), (4, 192))  # of an MPEG stream: where the first begins, and how long each is
_HTML = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)

# What tells a camera's raw file that is a TIFF: tags, and values of tags.
_DNG_VERSION, _COMPRESSION, _PHOTOMETRIC = 0xC612, 0x103, 0x106
_SENSOR = {32803, 34892}  # a mosaic of colours, and what was made of one
_COMPRESSIONS = {32767, 32769, 32770, 34713, 65535}  # Sony, Epson, Samsung, Nikon, Pentax


def recognise(source: bytes) -> str:
    """The format of a picture by its first bytes. Raises `ImageError` saying what it is instead."""
    if not source:
        raise ImageError("0 bytes")
    kind = _iso(source) if source[4:8] == b"ftyp" else _by_magic(source)
    if kind == "TIFF" and _is_raw(source):
        return RAW
    if kind is None:
        raise ImageError(f"not a picture: {_what(source)}")
    return kind


def raw_file() -> ImageError:
    """What to say of a camera's raw file whose preview can't be looked at."""
    return ImageError(f"not a picture: {_RAW_NAME}")


def _by_magic(source: bytes) -> str | None:
    for offset, magic, kind in _PICTURES:
        if source.startswith(magic, offset):
            return kind
    header = int.from_bytes(source[14:18], "little")
    return "BMP" if source.startswith(b"BM") and header in _BMP_HEADERS else None


def _brands(source: bytes) -> set[bytes]:
    length = min(int.from_bytes(source[:4], "big"), 256)
    return {source[at : at + 4] for at in range(8, length, 4)}


def _iso(source: bytes) -> str | None:
    """AVIF, HEIC or Canon's CR3, by the brands an ISO media file names; None for anything else."""
    brands = _brands(source)
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIC:
        return "HEIC"
    return RAW if b"crx " in brands else None


def _what(source: bytes) -> str:
    """What a file is that is no picture we open."""
    if source[4:8] == b"ftyp":
        return _what_iso(source)
    named = (name for offset, magic, name in _OTHERS if source.startswith(magic, offset))
    if any(source[at : at + size * 3 : size] == b"GGG" for at, size in _PACKETS):
        return "a video"
    return next(named, None) or _what_text(source[:HEAD])


def _what_text(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "only zeros"
    if _HTML.match(head):
        return "an HTML page"
    if b"\0" not in head and re.search(rb"<svg\b", head):
        return "SVG, which is not supported"
    printable = sum(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
    return "text" if printable == len(head) else "bytes of an unknown kind"


def _what_iso(source: bytes) -> str:
    brands = _brands(source)
    named = next((name for brand, name in _BRANDS.items() if brand in brands), None)
    return named or ("sound" if source[8:12] in _SOUND else "a video")


def _is_raw(source: bytes) -> bool:
    """Whether a TIFF is a camera's raw file, whose first directory is often a small preview of it."""
    if source[2:4] not in {b"*\0", b"\0*"}:
        return False
    try:
        return any(_is_sensor(directory) for directory in directories(source))
    except struct.error:  # it goes on behind what was read, or is damaged
        return False


def _is_sensor(directory: Directory) -> bool:
    return (
        _DNG_VERSION in directory
        or not _SENSOR.isdisjoint(directory.numbers(_PHOTOMETRIC))
        or not _COMPRESSIONS.isdisjoint(directory.numbers(_COMPRESSION))
    )

"""How long a picture takes to decode, told from its header before a pixel is.

A few kinds take long for their size: a bitmap of run lengths, which are followed in Python, and a JPEG of
many scans, each of which goes over the whole picture; and so do a TIFF of hundreds of samples a pixel, and
files of very many parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.errors import ImageError
from lookalike.images.chunks import chunks
from lookalike.images.embedded import palette_bytes
from lookalike.images.tiff_samples import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.images.limits import ImageLimits

# Nanoseconds, for a machine some four times slower than that of benches/decoding.py; of a JPEG, which may be
# very large where it is reduced while it is decoded, for one like it.
_PIXEL = {
    "JPEG": 15, "PNG": 60, "WebP": 200, "AVIF": 200, "HEIC": 200, "BMP": 10, "GIF": 40, "TIFF": 60,
}  # fmt: skip
_RUN_LENGTH_BYTE = 1_000
_SCAN_PIXEL = 3
_SAMPLE = 20  # of a TIFF that Pillow does not read

_LONG = 1 << 20  # bytes of a file: shorter ones have not very many parts
_MOST_PARTS = 65_536
_BARE = {b"\xff", b"\x01", *(bytes([marker]) for marker in range(0xD0, 0xD9))}  # markers without content
_MOST_HEADER = 16 << 20  # bytes of a JPEG: Pillow copies all that it has of an EXIF with each segment


def require_time(image: Any, kind: str, source: bytes, limits: ImageLimits, *, scans: int) -> None:
    """Refuse a picture that takes too long to decode.

    Args:
        image: Pillow's, with its header read.
        kind: its format.
        source: the bytes of the file.
        limits: with the longest time.
        scans: how many a JPEG has that has several.
    """
    pixels = image.width * image.height
    nanoseconds = pixels * (_PIXEL[kind] + scans * _SCAN_PIXEL)
    if kind == "BMP" and image.tile and image.tile[0].codec_name != "raw":
        nanoseconds += len(source) * _RUN_LENGTH_BYTE
    if kind == "TIFF":
        nanoseconds = max(nanoseconds, steps(image.layout) * _SAMPLE)
    seconds = nanoseconds / 1e9
    if seconds > limits.max_seconds:
        raise ImageError(
            f"could take {seconds:,.0f} seconds to decode, the limit is {limits.max_seconds:,}; "
            "LOOKALIKE_MAX_SECONDS raises it"
        )


def require_few_parts(kind: str, source: bytes) -> None:
    """Refuse a file of so many parts that going through them would take long."""
    counter = _COUNTERS.get(kind)
    if counter is not None and len(source) > _LONG:
        counter(source)


def _png(source: bytes) -> None:
    for count, _ in enumerate(chunks(source)):
        if count == _MOST_PARTS:
            raise ImageError(f"damaged PNG: it has more than {_MOST_PARTS:,} chunks")


def _jpeg(source: bytes) -> None:
    at = 2
    for _ in range(_MOST_PARTS):
        marker = source[at + 1 : at + 2]
        if source[at : at + 1] != b"\xff" or marker in {b"\xda", b"\xd9"} or at > _MOST_HEADER:
            break
        # A byte that fills, and is none of a marker, is passed alone; some markers have no content.
        at += 1 if marker == b"\xff" else 2
        at += 0 if marker in _BARE else int.from_bytes(source[at : at + 2], "big")
    else:
        raise ImageError(f"damaged JPEG: it has more than {_MOST_PARTS:,} segments")
    if at > _MOST_HEADER:
        raise ImageError(f"damaged JPEG: its picture does not begin in the first {_MOST_HEADER >> 20} MB")


def _gif(source: bytes) -> None:
    at = 13 + palette_bytes(source[10:11])
    parts = 0
    while source[at : at + 1] == b"!":
        at += 2
        while size := int.from_bytes(source[at : at + 1], "big"):
            at, parts = at + 1 + size, parts + 1
            if parts > _MOST_PARTS:
                raise ImageError(f"damaged GIF: it has more than {_MOST_PARTS:,} blocks before its picture")
        at, parts = at + 1, parts + 1


_COUNTERS: dict[str, Callable[[bytes], None]] = {"PNG": _png, "JPEG": _jpeg, "GIF": _gif}

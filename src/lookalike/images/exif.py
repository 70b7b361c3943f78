"""The two facts needed of a photograph's EXIF block."""

from __future__ import annotations

import struct
from datetime import datetime


def read_exif(exif: bytes) -> tuple[int, str | None]:
    """Orientation (1 to 8) and the time a photograph was taken, of an EXIF block or a TIFF file.

    Pillow's own reader parses every tag and warns where one is damaged; two are needed here, and
    a damaged block is no reason to refuse a picture.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    orders = {b"II": "<", b"MM": ">"}
    try:
        order = orders[exif[:2]]
        main = _directory(exif, order, *struct.unpack_from(order + "I", exif, 4))
        details = _directory(exif, order, main[0x8769][2]) if 0x8769 in main else {}
        orientation = main.get(0x0112, (3, 1, 1, 1))[3]
        _, length, where, _ = details.get(0x9003, (2, 0, 0, 0))
        return (orientation if 1 <= orientation <= 8 else 1), _iso(exif[where : where + min(length, 32)])
    except (KeyError, struct.error):
        return 1, None


def _directory(exif: bytes, order: str, at: int) -> dict[int, tuple[int, int, int, int]]:
    """tag: (type, count, value as a long, value as a short) of one image file directory."""
    (entries,) = struct.unpack_from(order + "H", exif, at)
    tags = {}
    for entry in range(at + 2, min(at + 2 + 12 * entries, len(exif) - 11), 12):
        tag, kind, count, long = struct.unpack_from(order + "HHII", exif, entry)
        tags[tag] = kind, count, long, struct.unpack_from(order + "H", exif, entry + 8)[0]
    return tags


def _iso(text: bytes) -> str | None:
    try:
        return datetime.strptime(text[:19].decode("ascii"), "%Y:%m:%d %H:%M:%S").isoformat()  # noqa: DTZ007  EXIF has no zone
    except ValueError:
        return None

"""Cameras' raw files: the preview in them, which shows the photograph as the camera does."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from lookalike.images.exif import Exif, read_exif
from lookalike.images.recognition import raw_file
from lookalike.images.tiff_directories import Directory, directories

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_SIDE = 320
"""Pixels on the longer side that a preview must have: smaller ones are made for a camera's menus."""

_FUJI, _FUJI_PREVIEW = b"FUJIFILMCCD-RAW ", 84
_COMPRESSION, _STRIPS, _STRIP_LENGTHS, _JPEG, _JPEG_LENGTH = 0x103, 0x111, 0x117, 0x201, 0x202
_WHOLE = 0x2E  # Panasonic's: the value of the tag is the preview
_JPEGS = {6, 7}
_FRAMES = {0xC0, 0xC1, 0xC2}  # what Pillow reads; raw pixels are in frames of another kind


def preview(source: bytes) -> tuple[bytes, Exif | None]:
    """Return the largest JPEG in a raw file, and the EXIF of the file itself, if it has any.

    Raises:
        ImageError: there is none, or none large enough.
    """
    sides = {(at, end): _side(source, at, end) for at, end in _previews(source)}
    best = max(sides, key=lambda place: sides[place], default=None)
    if best is None or sides[best] < LEAST_SIDE:
        raise raw_file()
    return source[slice(*best)], _said(source)


def _previews(source: bytes) -> Iterator[tuple[int, int]]:
    """Where JPEGs begin and end."""
    try:
        if source.startswith(_FUJI):
            at, length = struct.unpack_from(">II", source, _FUJI_PREVIEW)
            yield at, at + length
        elif source[4:8] == b"ftyp":
            yield from _of_canon(source)
        else:
            for directory in directories(source):
                yield from _of_directory(directory)
    except struct.error:  # the file is cut, or damaged
        return


def _of_canon(source: bytes) -> Iterator[tuple[int, int]]:
    """The box of the preview: its name, eight bytes, the size of the JPEG, and that."""
    at = source.find(b"PRVW")
    if at >= 0:
        (length,) = struct.unpack_from(">I", source, at + 16)
        yield at + 20, at + 20 + length


def _of_directory(directory: Directory) -> Iterator[tuple[int, int]]:
    places, lengths = directory.numbers(_JPEG), directory.numbers(_JPEG_LENGTH)
    if not places and set(directory.numbers(_COMPRESSION)) & _JPEGS:
        places, lengths = directory.numbers(_STRIPS), directory.numbers(_STRIP_LENGTHS)
    if len(places) == len(lengths) == 1:
        yield places[0], places[0] + lengths[0]
    whole = directory.place(_WHOLE)
    if whole is not None:
        yield whole


def _side(source: bytes, at: int, end: int) -> int:
    """The longer side of a JPEG in pixels; 0 where there is none that can be read."""
    if source[at : at + 3] != b"\xff\xd8\xff" or end > len(source):
        return 0
    at += 2
    while at + 9 <= end and source[at] == 0xFF and source[at + 1] not in {0xDA, 0xD9}:
        if source[at + 1] in _FRAMES:
            bits, height, width = struct.unpack_from(">BHH", source, at + 4)
            return max(height, width) if bits == 8 else 0
        at += 2 + int.from_bytes(source[at + 2 : at + 4], "big")
    return 0


def _said(source: bytes) -> Exif | None:
    if source.startswith(_FUJI):
        return None
    if source[4:8] == b"ftyp":
        at = source.find(b"CMT1") + 4
        return read_exif(source[at : at + (1 << 16)]) if at >= 4 else None
    return read_exif(source)

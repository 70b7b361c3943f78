"""What a picture says of its colours: the ICC profiles in it, or what stands for one."""

from __future__ import annotations

import struct
import zlib
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from lookalike.images.profiles import LARGEST, SRGB, from_code_points, from_gamma

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.images.profiles import Chromaticities

_FAR = 1_000_000  # bytes: whoever needs more before the picture wants to keep us busy
_MANY = 64  # boxes

Box: TypeAlias = tuple[bytes, int, int]
"""A box of an ISO media file: its type, and where its content begins and ends."""


def profiles_of_file(kind: str, source: bytes, info: Mapping[Any, Any]) -> Iterator[bytes]:
    """Yield the profiles of a picture's file, the one that counts most first.

    Args:
        kind: its format.
        source: the bytes of the file.
        info: what Pillow says of it.
    """
    readers = {"PNG": _png, "GIF": _gif, "BMP": _bmp}
    if kind in readers:
        yield from readers[kind](source)
        return
    yield from _icc(info)
    if kind in {"AVIF", "HEIC"}:
        yield from _iso(source)


def profiles_of_image(info: Mapping[Any, Any]) -> Iterator[bytes]:
    """Yield the profiles of a picture that Pillow has read, as far as it tells."""
    yield from _icc(info)
    if "srgb" in info:
        yield SRGB
    chromaticities = info.get("chromaticity")
    if "gamma" in info or chromaticities:
        made = from_gamma(info.get("gamma"), tuple(chromaticities) if chromaticities else None)
        yield from [made] if made else []


def _icc(info: Mapping[Any, Any]) -> Iterator[bytes]:
    profile = info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        yield profile


def _png(source: bytes) -> Iterator[bytes]:
    """Yield in the order of the specification's third edition: cICP, iCCP, sRGB, gAMA with cHRM."""
    chunks = _chunks(source)
    if not chunks:
        return
    if len(code_points := chunks.get(b"cICP", b"")) == 4 and code_points[2] == 0:
        made = from_code_points(code_points[0], code_points[1], full_range=code_points[3] == 1)
        yield from [made] if made else []
    if b"iCCP" in chunks:
        yield _inflated(chunks[b"iCCP"].partition(b"\0")[2][1:])
    if b"sRGB" in chunks:
        yield SRGB
    gamma = _numbers(chunks.get(b"gAMA", b""), 1)
    chromaticities = _numbers(chunks.get(b"cHRM", b""), 8)
    if gamma or chromaticities:
        made = from_gamma(gamma[0] if gamma else None, cast("Chromaticities | None", chromaticities))
        yield from [made] if made else []


def _chunks(source: bytes) -> dict[bytes, bytes]:
    """Return the chunks about colours that stand before the pixels and are not damaged."""
    found: dict[bytes, bytes] = {}
    at, end = 8, min(len(source) - 12, LARGEST)
    while at <= end:
        length, name = struct.unpack_from(">I4s", source, at)
        if name == b"IDAT":
            break
        if name in {b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"}:
            content = source[at + 8 : at + 8 + length]
            if source[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(name + content)):
                found.setdefault(name, content)
        at += 12 + length
    return found


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, LARGEST + 1)
    except zlib.error:
        return b""


def _numbers(content: bytes, count: int) -> tuple[float, ...] | None:
    """Return a chunk's fixed-point numbers; None if it is missing, damaged, or of zeros."""
    if len(content) != 4 * count:
        return None
    numbers = struct.unpack(f">{count}I", content)
    return tuple(number / 100_000 for number in numbers) if any(numbers) else None


def _gif(source: bytes) -> Iterator[bytes]:
    """Yield the profile of the application extension that the ICC has defined."""
    at = 13 + palette_bytes(source[10:11])
    while at < _FAR and source[at : at + 1] == b"!":
        begin, blocks = at + 2, []
        while size := source[begin : begin + 1] and source[begin]:
            blocks.append(source[begin + 1 : begin + 1 + size])
            begin += 1 + size
        if source[at + 1 : at + 2] == b"\xff" and blocks and blocks[0] == b"ICCRGBG1012":
            yield b"".join(blocks[1:])
            return
        at = begin + 1


def palette_bytes(flags: bytes) -> int:
    """Return how many bytes a GIF's palette has."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _bmp(source: bytes) -> Iterator[bytes]:
    """Yield the profile embedded in a bitmap of version 5."""
    if len(source) < 138 or struct.unpack_from("<I", source, 14)[0] < 124 or source[70:74] != b"DEBM":
        return
    offset, size = struct.unpack_from("<II", source, 126)
    yield source[14 + offset : 14 + offset + size]


def _iso(source: bytes) -> Iterator[bytes]:
    """Yield what the code points of the main picture of an AVIF or HEIC file stand for."""
    try:
        colour = _main_colour(source)
    except (struct.error, IndexError):
        return
    if colour is not None:
        made = from_code_points(*struct.unpack_from(">HH", source, colour))
        yield from [made] if made else []


def _main_colour(source: bytes) -> int | None:
    """Return where the code points of the main picture are."""
    outermost = islice(_boxes(source, 0, len(source)), _MANY)
    meta = next((box for box in outermost if box[0] == b"meta"), None)
    if meta is None or meta[2] - meta[1] > _FAR:
        return None
    parts = {name: (begin, end) for name, begin, end in _boxes(source, meta[1] + 4, meta[2])}
    if b"pitm" not in parts or b"iprp" not in parts:
        return None
    about = {name: (begin, end) for name, begin, end in _boxes(source, *parts[b"iprp"])}
    if b"ipco" not in about or b"ipma" not in about:
        return None
    properties = list(_boxes(source, *about[b"ipco"]))
    wide = source[parts[b"pitm"][0]] > 0
    (main,) = struct.unpack_from(">I" if wide else ">H", source, parts[b"pitm"][0] + 4)
    for number in _associated(source, about[b"ipma"][0], main):
        name, begin, _ = properties[number - 1] if 0 < number <= len(properties) else (b"", 0, 0)
        if name == b"colr" and source[begin : begin + 4] == b"nclx":
            return begin + 4
    return None


def _associated(source: bytes, at: int, item: int) -> list[int]:
    """Return the numbers of an item's properties, from 1."""
    version, wide = source[at], source[at + 3] & 1
    (entries,) = struct.unpack_from(">I", source, at + 4)
    at += 8
    for _ in range(entries):
        (found,) = struct.unpack_from(">I" if version else ">H", source, at)
        at += 4 if version else 2
        (count,) = struct.unpack_from(">B", source, at)
        numbers = struct.unpack_from(f">{count}{'H' if wide else 'B'}", source, at + 1)
        at += 1 + count * (2 if wide else 1)
        if found == item:
            return [number & (0x7FFF if wide else 0x7F) for number in numbers]
    return []


def _boxes(source: bytes, at: int, end: int) -> Iterator[Box]:
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", source, at)
        begin = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", source, begin)
            begin += 8
        until = end if size == 0 else at + size
        if not begin <= until <= end:
            return
        yield name, begin, until
        at = until

"""The chunks of a PNG, and the EXIF in them."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike.images.exif import Exif
from lookalike.images.exif import read_exif as read_block

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HEAD = struct.Struct(">I4s")
_CRC = 4  # bytes behind a chunk's content
_RAW_PROFILE = re.compile(rb"Raw profile type (?:exif|APP1)\0")
_LARGEST_BLOCK = 1 << 20  # bytes of an EXIF block
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})


class Chunk(NamedTuple):
    """A chunk: its name, and where its content begins and ends; a file that is cut may end before that."""

    name: bytes
    begin: int
    end: int


def chunks(source: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG, whatever their checksums."""
    at = len(SIGNATURE)
    while at + _HEAD.size <= len(source):
        length, name = _HEAD.unpack_from(source, at)
        begin = at + _HEAD.size
        yield Chunk(name, begin, begin + length)
        at = begin + length + _CRC


def read_exif(source: bytes) -> Exif:
    """Read the EXIF of a PNG.

    Its chunk for that counts, wherever it stands. The text in which ImageMagick keeps that of another format
    tells when and by what a picture was taken, but turns nothing: web browsers do not look there.
    """
    raw: bytes | None = None
    for name, begin, end in chunks(source):
        if name == b"eXIf":
            return read_block(source[begin:end])
        if name in _TEXTS and raw is None and _RAW_PROFILE.match(source, begin):
            raw = _raw_profile(name, source[begin : min(end, begin + _LARGEST_BLOCK)])
    return Exif() if raw is None else replace(read_block(raw), orientation=1)


def _raw_profile(name: bytes, content: bytes) -> bytes | None:
    """The bytes that a text of a profile holds: a line for its name, one for its length, then hexadecimal."""
    text = content.partition(b"\0")[2]
    compressed = name == b"zTXt" or (name == b"iTXt" and text[:1] == b"\1")
    if name == b"zTXt":
        text = text[1:]
    if name == b"iTXt":
        text = text[2:].split(b"\0", 2)[-1]  # behind the flags: a language, and the keyword in it
    if compressed:
        try:
            text = zlib.decompressobj().decompress(text, _LARGEST_BLOCK)
        except zlib.error:
            return None
    try:
        return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
    except ValueError:
        return None

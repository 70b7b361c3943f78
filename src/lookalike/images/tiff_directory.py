"""The directory of a TIFF file's first picture, checked before Pillow reads it.

A directory of a few kilobytes may claim values of gigabytes, all of them the same bytes of the file.
BigTIFF files in big-endian order, which Pillow does not read, are given to it as plain ones.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_BYTES = {1, 2, 6, 7}  # types of which Python makes no number each
_WIDE = {16, 17, 18}  # types of eight bytes that plain files do not have
_LONG = 4
_BIG_PREFIX = b"MM\0+"
_MOST = 4_096  # entries of a directory
_MOST_NUMBERS = 2_000_000  # of an entry; a picture of 80 megapixels in tiles of 16 x 16 has 0.3 million


class _Entry(NamedTuple):
    """A tag: the type and number of its values, and where they are in the file."""

    tag: int
    type: int
    length: int
    where: int

    @property
    def size(self) -> int:
        """How many bytes its values have."""
        return self.length * _SIZES[self.type]


def sound(source: bytes) -> bytes:
    """Return a file whose directory can be read without harm, and by Pillow; most are returned as they are.

    What the directory points at stays where it is.

    Raises:
        ImageError: it claims more values than the file has room for.
    """
    entries = list(_entries(source))
    there = sum(max(0, min(entry.size, len(source) - entry.where)) for entry in entries)
    if there > len(source) or any(
        entry.length > _MOST_NUMBERS and entry.type not in _BYTES for entry in entries
    ):
        raise ImageError("damaged TIFF: its directory claims more than the file has room for")
    return _plain(source, entries) if source.startswith(_BIG_PREFIX) else source


def _entries(source: bytes) -> Iterator[_Entry]:
    """Yield the entries of the first directory whose types are known."""
    order, big = "<" if source.startswith(b"I") else ">", source[2:4] in {b"+\0", b"\0+"}
    first, counted, line = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
    (at,) = struct.unpack_from(order + first, source, 8 if big else 4)
    (count,) = struct.unpack_from(order + counted, source, at)
    if count > _MOST:
        raise ImageError(f"damaged TIFF: a directory of {count} entries")
    pointer, entry = struct.Struct(order + first), struct.Struct(order + line)
    at += struct.calcsize(order + counted)
    for where in range(at, at + count * entry.size, entry.size):
        tag, type_, length, _ = entry.unpack_from(source, where)
        if type_ in _SIZES:
            place = where + entry.size - pointer.size
            within = length * _SIZES[type_] <= pointer.size
            yield _Entry(tag, type_, length, place if within else pointer.unpack_from(source, place)[0])


def _plain(source: bytes, entries: list[_Entry]) -> bytes:
    """Return the file with a directory that a plain TIFF may have."""
    lists, lines = bytearray(), []
    for entry in entries:
        values = _values(source, entry)
        lines.append(_line(entry, values, len(source) + len(lists)))
        lists += values if len(values) > 4 else b""
    directory = struct.pack(">H", len(lines)) + b"".join(lines) + bytes(4)
    head = b"MM\0*" + struct.pack(">I", len(source) + len(lists))
    return b"".join([head, source[8:], lists, directory])


def _values(source: bytes, entry: _Entry) -> bytes:
    """Return the bytes of an entry's values, those of eight bytes as four."""
    values = source[entry.where : entry.where + entry.size]
    if len(values) < entry.size:
        raise EOFError
    if entry.type not in _WIDE:
        return values
    return struct.pack(f">{entry.length}I", *struct.unpack(f">{entry.length}Q", values))


def _line(entry: _Entry, values: bytes, where: int) -> bytes:
    held = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack(">I", where)
    return struct.pack(">HHI", entry.tag, _LONG if entry.type in _WIDE else entry.type, entry.length) + held

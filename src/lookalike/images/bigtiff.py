"""BigTIFF files in big-endian order, which Pillow does not read, as plain TIFF files."""

from __future__ import annotations

import struct

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
_WIDE = {16, 17, 18}  # types of eight bytes that plain files do not have
_LONG = 4
_PREFIX = b"MM\0+"
_MOST = 4_096  # entries of a directory


def plain(source: bytes) -> bytes:
    """Return the file with a directory of its first picture that a plain TIFF may have; others as they are.

    What the directory points at stays where it is.
    """
    if not source.startswith(_PREFIX):
        return source
    (at,) = struct.unpack_from(">Q", source, 8)
    (count,) = struct.unpack_from(">Q", source, at)
    if count > _MOST:
        raise ValueError(f"a directory of {count} entries")
    lists, entries = bytearray(), []
    for number in range(count):
        tag, type_, length = struct.unpack_from(">HHQ", source, at + 8 + 20 * number)
        if type_ in _SIZES:
            where = at + 20 + 20 * number
            values = _values(source, type_, length, where)
            entries.append(_entry(tag, type_, length, values, len(source) + len(lists)))
            lists += values if len(values) > 4 else b""
    directory = struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)
    head = b"MM\0*" + struct.pack(">I", len(source) + len(lists))
    return b"".join([head, source[8:], lists, directory])


def _values(source: bytes, type_: int, length: int, where: int) -> bytes:
    """Return the bytes of an entry's values, those of eight bytes as four."""
    size = length * _SIZES[type_]
    if size > 8:
        (where,) = struct.unpack_from(">Q", source, where)
    values = source[where : where + size]
    if len(values) < size:
        raise EOFError
    return struct.pack(f">{length}I", *struct.unpack(f">{length}Q", values)) if type_ in _WIDE else values


def _entry(tag: int, type_: int, length: int, values: bytes, where: int) -> bytes:
    held = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack(">I", where)
    return struct.pack(">HHI", tag, _LONG if type_ in _WIDE else type_, length) + held

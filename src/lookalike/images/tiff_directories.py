"""The directories of a TIFF file, and of raw files that are laid out like one.

The first picture's is checked before Pillow reads it: a directory of a few kilobytes may claim values of
gigabytes, all of them the same bytes of the file. BigTIFF files in big-endian order, which Pillow does not
read, are given to it as plain ones.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator


_SUB_DIRECTORIES = 0x14A
_MOST_DIRECTORIES = 32  # directories: a chain that goes on, or in a circle, is followed no further
_MOST_TAGS = 512
_MOST_VALUES = 16
_LETTERS = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I"}


class Directory:
    """The tags of one directory.

    Raises:
        struct.error: it goes on behind the end.
    """

    def __init__(self, source: bytes, order: str, at: int) -> None:
        self._source = source
        self._order = order
        (count,) = struct.unpack_from(order + "H", source, at)
        end = at + 2 + 12 * min(count, _MOST_TAGS)
        found = (
            (struct.unpack_from(order + "HHI", source, entry), entry + 8) for entry in range(at + 2, end, 12)
        )
        self._tags = {tag: (kind, length, place) for (tag, kind, length), place in found}
        last = at + 2 + 12 * count
        after = source[last : last + 4] if count <= _MOST_TAGS else b""
        self.following = struct.unpack(order + "I", after)[0] if len(after) == 4 else 0

    def __contains__(self, tag: int) -> bool:
        """Whether it has a tag."""
        return tag in self._tags

    def place(self, tag: int) -> tuple[int, int] | None:
        """Where the value of a tag begins and ends; None where it has none of a known size."""
        kind, count, place = self._tags.get(tag, (0, 0, 0))
        if kind not in _LETTERS or not count:
            return None
        size = count * struct.calcsize(self._order + _LETTERS[kind])
        if size > 4:
            (place,) = struct.unpack_from(self._order + "I", self._source, place)
        return place, place + size

    def numbers(self, tag: int) -> list[int]:
        """The values of a tag; none where there are many."""
        found = self.place(tag)
        kind, count, _ = self._tags.get(tag, (0, 0, 0))
        if found is None or count > _MOST_VALUES:
            return []
        return list(struct.unpack_from(f"{self._order}{count}{_LETTERS[kind]}", self._source, found[0]))


def directories(source: bytes) -> Iterator[Directory]:
    """Yield the directories of a file, and those below them, each once and not endlessly many.

    Raises:
        struct.error: one goes on behind the end.
    """
    order = "<" if source.startswith(b"II") else ">"
    waiting = list(struct.unpack_from(order + "I", source, 4))
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if not at or at in seen:
            continue
        seen.add(at)
        directory = Directory(source, order, at)
        yield directory
        waiting += [*directory.numbers(_SUB_DIRECTORIES), directory.following]


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

"""The directories of a TIFF file, and of raw files that are laid out like one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUB_DIRECTORIES = 0x14A
_MOST = 32  # directories: a chain that goes on, or in a circle, is followed no further
_MOST_ENTRIES = 512
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
        end = at + 2 + 12 * min(count, _MOST_ENTRIES)
        found = (
            (struct.unpack_from(order + "HHI", source, entry), entry + 8) for entry in range(at + 2, end, 12)
        )
        self._tags = {tag: (kind, length, place) for (tag, kind, length), place in found}
        last = at + 2 + 12 * count
        after = source[last : last + 4] if count <= _MOST_ENTRIES else b""
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
    while waiting and len(seen) < _MOST:
        at = waiting.pop(0)
        if not at or at in seen:
            continue
        seen.add(at)
        directory = Directory(source, order, at)
        yield directory
        waiting += [*directory.numbers(_SUB_DIRECTORIES), directory.following]

"""Whether the log beside a gallery's file is its own.

SQLite replays whatever whole log it finds, also one of a file that was deleted, or in whose place a copy
was put: pictures of then come back, or two states are mixed. A log is told by the line of `live`, which every
commit writes, and which lies on the same page in every gallery: its counter goes up by one with each. So the
file's own line is the one before the log's first, or one of the log's (where some of the log was merged
already). Where neither can be read, nothing is known, and the log stays.

The form of a log and of a page is that of https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LIVE_PAGE = 3
"""The page of the table `live`, the second that is made in a gallery."""

_MAGIC = (0x377F0682, 0x377F0683)
_HEAD, _FRAME = 32, 24  # bytes
_LEAF = 13  # the kind of a page that holds lines of a table
_FIRST_TEXT = 12
_MOST_FRAMES = 1 << 20  # 8 GB of the smallest pages: of a longer log nothing is known


class Mark(NamedTuple):
    """Where a gallery stood.

    identity: its token, or its generation where it has none.
    commits: how many there had been.
    """

    identity: str
    commits: int


def is_foreign(file: int, log: int) -> bool:
    """Whether a log certainly belongs to another file, or to another state of this one.

    Args:
        file: a descriptor of the gallery's file, which nobody may be using meanwhile.
        log: a descriptor of the log.
    """
    (page_size,) = struct.unpack(">H", os.pread(file, 2, 16))
    page_size = 65536 if page_size == 1 else page_size
    head = os.pread(log, _HEAD, 0)
    if len(head) < _HEAD or struct.unpack_from(">I", head)[0] not in _MAGIC:
        return False  # nothing is replayed from it
    if struct.unpack_from(">I", head, 8)[0] != page_size:
        return True
    stood = _mark(os.pread(file, page_size, (LIVE_PAGE - 1) * page_size))
    marks = _marks(log, page_size, head[16:24])
    first = next(marks, None)
    if stood is None or first is None:
        return False
    if (first.identity, first.commits) == (stood.identity, stood.commits + 1):
        return False
    return first != stood and all(mark not in {stood, None} for mark in marks)


def _marks(log: int, page_size: int, salt: bytes) -> Iterator[Mark | None]:
    """Read the marks of a log in the order of its commits; None for one that can't be read, or too many."""
    for number in range(_MOST_FRAMES):
        place = _HEAD + number * (_FRAME + page_size)
        frame = os.pread(log, _FRAME, place)
        page = int.from_bytes(frame[:4], "big")
        if len(frame) < _FRAME or frame[8:16] != salt or page == 0:
            return  # SQLite reads no further
        if page == LIVE_PAGE:
            yield _mark(os.pread(log, page_size, place + _FRAME))
    yield None


def _mark(page: bytes) -> Mark | None:
    """Read the one line of `live` (generation, commits, count, token …); None where the page is another's."""
    try:
        if page[0] != _LEAF or struct.unpack_from(">H", page, 3)[0] != 1:
            return None
        (place,) = struct.unpack_from(">H", page, 8)
        _, place = _varint(page, place)  # how long the line is
        _, place = _varint(page, place)  # its row
        values = _values(page, place)
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    if len(values) < 3 or not (isinstance(values[0], str) and isinstance(values[1], int)):
        return None
    token = values[3] if len(values) > 3 else ""
    return Mark(str(token or values[0]), values[1])


def _values(page: bytes, start: int) -> list[int | str]:
    size, place = _varint(page, start)
    content = start + size
    values: list[int | str] = []
    while place < start + size:
        kind, place = _varint(page, place)
        length = _length(kind)
        part = page[content : content + length]
        content += length
        values.append(part.decode() if kind >= _FIRST_TEXT else _integer(kind, part))
    return values


def _length(kind: int) -> int:
    """Return the bytes of a value of a kind: integers of 0 to 8 bytes, or text."""
    if kind >= _FIRST_TEXT:
        return (kind - _FIRST_TEXT) // 2
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]


def _integer(kind: int, part: bytes) -> int:
    return kind - 8 if kind in {8, 9} else int.from_bytes(part, "big", signed=True)


def _varint(page: bytes, place: int) -> tuple[int, int]:
    """Read a number of one to nine bytes, and where it ends."""
    value = 0
    for count in range(9):
        byte = page[place + count]
        if count == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    raise IndexError

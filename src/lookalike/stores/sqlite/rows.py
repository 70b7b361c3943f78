"""Records, headers and scores as they are kept in tables, and back."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, fields
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args

from lookalike.errors import StoreCorrupt, UsageError
from lookalike.stores.records import SOURCES, UNIT
from lookalike.stores.sqlite import migrations
from lookalike.types import PICTURE_FIELDS, Classes, Header, Precision, Record, RowType

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

STATUSES = ("picture", "skipped", "removed")
PICTURE, SKIPPED, REMOVED = range(3)

MAX_DIM = 1 << 24
_MAX_CLASSES = 1 << 16
_SCORE = struct.Struct("<HI")
_PART_BITS = 11
_BITS = {name: 1 << place for place, name in enumerate(PICTURE_FIELDS)}


def header_text(header: Header) -> str:
    """A header as JSON, but for its classes, which have a table."""
    content = asdict(header)
    classes = content.pop("classes")
    del content["format"]  # is the file's own
    return json.dumps(content | {"vocabulary": classes and classes["vocabulary"]})


def check_dim(dim: int) -> None:
    """Raise `UsageError` unless a gallery can keep vectors of so many numbers."""
    if not 0 < dim <= MAX_DIM:
        raise UsageError(f"a gallery can't keep vectors of {dim} numbers; at most {MAX_DIM:,}")


def class_rows(classes: Classes | None) -> list[tuple[int, str, str]]:
    """The lines of the table of classes.

    Raises:
        UsageError: there are more classes than a gallery can have, or their ids are not unique.
    """
    if classes is None:
        return []
    if len(classes.ids) > _MAX_CLASSES or len(set(classes.ids)) < len(classes.ids):
        raise UsageError(f"a gallery has at most {_MAX_CLASSES:,} classes, each with an id of its own")
    return [(n, id_, name) for n, (id_, name) in enumerate(zip(classes.ids, classes.names, strict=True))]


def read_header(connection: sqlite3.Connection) -> Header:
    """The header of a gallery, which anybody may have written.

    Raises:
        StoreCorrupt: it is not one.
    """
    row = connection.execute("SELECT content FROM header").fetchone()
    try:
        content: dict[str, Any] = json.loads(row[0])
        vocabulary = content.pop("vocabulary")
        content["format"] = migrations.version(connection)
        header = Header(**content, classes=_classes(connection, vocabulary))
        sound = _sound(header)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise StoreCorrupt("the gallery's header can't be read; restore a copy, or index again")
    return header


def _classes(connection: sqlite3.Connection, vocabulary: Any) -> Classes | None:
    if vocabulary is None:
        return None
    rows = connection.execute("SELECT class, id, name FROM classes ORDER BY class").fetchall()
    if vocabulary not in {"imagenet", "names"} or [n for n, _, _ in rows] != list(range(len(rows))):
        raise ValueError(vocabulary)
    return Classes(tuple(str(r[1]) for r in rows), tuple(str(r[2]) for r in rows), vocabulary)


def _sound(header: Header) -> bool:
    texts = all(isinstance(getattr(header, f.name), str) for f in fields(Header) if f.type == "str")
    return (
        texts
        and type(header.dim) is int
        and 0 < header.dim <= MAX_DIM
        and header.metric.isidentifier()
        and type(header.visual_words) is bool
        and header.precision in get_args(Precision)
        and header.row_type in get_args(RowType)
        and type(header.normalized) is bool
    )


def bits_of(names: Iterable[str]) -> int:
    """Some of `PICTURE_FIELDS` as a number, a bit for each."""
    return sum(_BITS[name] for name in set(names))


def fields_of(bits: int) -> frozenset[str]:
    """What `bits_of` was given."""
    return frozenset(name for name, bit in _BITS.items() if bits & bit)


def part(row: int) -> int:
    """The part of the postings that a row belongs to."""
    return row >> _PART_BITS


def pack_scores(scores: Sequence[tuple[int, int]]) -> bytes:
    """(class number, millionths) pairs as bytes, 6 each."""
    return struct.pack("<" + "HI" * len(scores), *chain.from_iterable(scores))


def unpack_scores(content: bytes) -> list[tuple[int, int]]:
    """(class number, millionths) pairs from bytes."""
    return list(_SCORE.iter_unpack(content[: len(content) // _SCORE.size * _SCORE.size]))


def record(
    path: tuple[str, int, int, int],
    picture: tuple[bytes, int, int, bytes, bytes | None, int, str, int],
    metadata: dict[str, str | int | float],
    classes: Classes | None,
) -> Record:
    """A record from its line in `paths`, its line in `pictures`, and its facts.

    Raises:
        StoreCorrupt: the lines hold what none of ours do.
    """
    id_, source, size, mtime_ns = path
    digest, width, height, scores, thumbnail, decoder, format_, own = picture
    ids = classes.ids if classes is not None else ()
    try:
        named = tuple((ids[number], score / UNIT) for number, score in unpack_scores(scores))
        known = id_, SOURCES[source], size, mtime_ns, digest, width, height, metadata, named, thumbnail
        return Record(*known, decoder, format_, fields_of(own) & metadata.keys())
    except (IndexError, TypeError) as error:
        raise StoreCorrupt(f"the gallery's row of {id_!r} can't be read: {error}") from error


def chunks(values: Sequence[Any], size: int = 500) -> list[Sequence[Any]]:
    """Values in runs short enough for one statement."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def marks(values: Sequence[Any]) -> str:
    """A placeholder for each value."""
    return ",".join("?" * len(values))

"""Records, headers and scores as they are kept in tables, and back."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args

from lookalike.errors import StoreCorrupt, UsageError
from lookalike.stores import records as record_rules
from lookalike.stores.records import SOURCES, UNIT, is_source
from lookalike.stores.sqlite import schema
from lookalike.types import PICTURE_FIELDS, Classes, Header, Precision, Record, RowType, Space

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

PICTURE, SKIPPED, REMOVED = range(3)
STATUSES = {PICTURE: "picture", SKIPPED: "skipped", REMOVED: "removed"}

MAX_DIM = 1 << 24
_SCORE = struct.Struct("<HI")
_PART_BITS = 11
_LATER = [added.column for added in schema.ADDED[3:]]  # those whose value is the record's own
_BITS = {name: 1 << place for place, name in enumerate(PICTURE_FIELDS)}


def header_text(header: Header) -> str:
    """A header as JSON, but for its classes, which have a table."""
    vocabulary = header.classes and header.classes.vocabulary
    return json.dumps({**asdict(header.space), "root": header.root, "vocabulary": vocabulary})


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
    if len(classes.ids) > schema.MOST_CLASSES or len(set(classes.ids)) < len(classes.ids):
        raise UsageError(f"a gallery has at most {schema.MOST_CLASSES:,} classes, each with an id of its own")
    return [(n, id_, name) for n, (id_, name) in enumerate(zip(classes.ids, classes.names, strict=True))]


def read_header(connection: sqlite3.Connection) -> Header:
    """The header of a gallery, which anybody may have written.

    Raises:
        StoreCorrupt: it is not one.
    """
    lines = connection.execute("SELECT content FROM header LIMIT 2").fetchall()
    try:
        ((text,),) = lines
        content: dict[str, Any] = json.loads(text)
        vocabulary = content.pop("vocabulary")
        content.pop("format", None)  # of format 1; it is the file's own
        root, classes = content.pop("root"), _classes(connection, vocabulary)
        header = Header(Space(**content), root, classes, schema.version(connection))
        wrong = _fault(header)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        wrong = "it is not what lookalike writes"
    if wrong:
        raise StoreCorrupt(f"the gallery's header can't be read: {wrong}; restore a copy, or index again")
    return header


def _classes(connection: sqlite3.Connection, vocabulary: Any) -> Classes | None:
    if vocabulary is None:
        return None
    if vocabulary not in ("imagenet", "names"):
        raise ValueError(vocabulary)
    lines = connection.execute(
        f"SELECT class, id, name FROM classes ORDER BY class LIMIT {schema.MOST_CLASSES + 1}"
    ).fetchall()
    numbers, ids, names = zip(*lines, strict=True)
    if numbers != tuple(range(len(ids))) or len(set(ids)) < len(ids) or {*map(type, ids + names)} != {str}:
        raise ValueError(vocabulary)
    return Classes(ids, names, vocabulary)


def _fault(header: Header) -> str | None:
    """Return what in a header can't be; None if it is sound."""
    space = header.space
    texts = (space.extractor, space.digest, space.metric, header.root)
    if not all(isinstance(text, str) and record_rules.is_text(text) and "\0" not in text for text in texts):
        return "what should be text is none"
    classes = 0 if header.classes is None else len(header.classes.ids)
    return _odd_space(space) or (
        f"its {classes:,} classes are not the {space.dim:,} numbers of a vector"
        if space.visual_words and classes != space.dim
        else None
    )


def _odd_space(space: Space) -> str | None:
    """Return what in a space, whose texts are sound, can't be."""
    if type(space.dim) is not int or not 0 < space.dim <= MAX_DIM:
        return f"it says that a vector has {space.dim!r:.40} numbers, expected 1 to {MAX_DIM:,}"
    if not space.metric.isidentifier():
        return f"it names the metric {space.metric!r:.40}, which is none"
    if space.precision not in get_args(Precision) or space.row_type not in get_args(RowType):
        return f"it names numbers of {space.precision!r:.40} and {space.row_type!r:.40}, which are none"
    if {type(space.normalized), type(space.visual_words)} != {bool}:
        return "what should be yes or no is neither"
    return None


def bits_of(names: Iterable[str]) -> int:
    """Some of `PICTURE_FIELDS` as a number, a bit for each."""
    return sum(_BITS[name] for name in set(names))


@lru_cache(maxsize=256)
def fields_of(bits: int) -> frozenset[str]:
    """What `bits_of` was given."""
    return frozenset(name for name, bit in _BITS.items() if bits & bit)


_NONE: frozenset[str] = frozenset()


def part(row: int) -> int:
    """The part of the postings that a row belongs to."""
    return row >> _PART_BITS


def pack_scores(scores: Sequence[tuple[int, int]]) -> bytes:
    """(class number, millionths) pairs as bytes, 6 each."""
    return struct.pack("<" + "HI" * len(scores), *chain.from_iterable(scores))


def unpack_scores(content: bytes) -> list[tuple[int, int]]:
    """(class number, millionths) pairs from bytes.

    Raises:
        StoreCorrupt: they are none.
    """
    return list(zip(*_columns_of(content), strict=True))


def _columns_of(content: bytes) -> tuple[Sequence[int], Sequence[int]]:
    """The numbers of classes and the millionths of bytes, as `unpack_scores` says; quicker than in pairs."""
    if type(content) is not bytes or len(content) % _SCORE.size:
        raise StoreCorrupt(f"the gallery holds class scores that are none; {schema.ADVICE}")
    flat = struct.unpack("<" + "HI" * (len(content) // _SCORE.size), content)
    return flat[::2], flat[1::2]


def sound_scores(content: object, classes: Classes | None) -> list[tuple[int, int]]:
    """Those (class number, millionths) pairs of what may be none that a picture can have."""
    if type(content) is not bytes:
        return []
    count = 0 if classes is None else len(classes.ids)
    whole = content[: len(content) // _SCORE.size * _SCORE.size]
    pairs = dict(_SCORE.iter_unpack(whole)).items()
    return [(number, score) for number, score in pairs if number < count and score <= schema.MOST_SCORE]


class _Origins(dict[object, str]):
    """The names of sources by what the column holds: the place of a built-in one, or the name of another."""

    def __missing__(self, stored: object) -> str:
        if isinstance(stored, str) and is_source(stored):
            return stored
        raise KeyError(stored)


ORIGINS = _Origins(enumerate(SOURCES))


def origin(name: str) -> int | str:
    """Return what the column holds for a source of this name."""
    return SOURCES.index(name) if name in SOURCES else name


def record(line: Sequence[Any], metadata: dict[str, str | int | float], classes: Classes | None) -> Record:
    """A record from its line in `paths` joined with that in `pictures`, and its facts.

    Args:
        line: row, id, source, size, mtime_ns, digest, width, height, scores, thumbnail, id and name as they
            stand in `pictures`, and the columns `ADDED`.
        metadata: its facts.
        classes: of the gallery.

    Raises:
        StoreCorrupt: a value may not stand in its column, the lines do not belong together, or the scores are
            not of these classes.
    """
    _, id_, source, size, mtime_ns, digest, width, height, scores, thumbnail, own, name, *added = line
    decoder, format_, bits, *later = added
    try:
        # `|` takes whole numbers alone, and is below 0 where one of them is.
        size | mtime_ns | width | height
        whole = (decoder | bits) >= 0 and type(digest) is bytes
        whole = whole and type(format_) is str and (thumbnail is None or type(thumbnail) is bytes)
        whole = whole and own == id_ and name == record_rules.name(id_) and "\0" not in id_
        if later:
            whole = whole and all(map(schema.Column.holds, _LATER, later))
        origin = record_rules.source_name(ORIGINS[source], size)
    except (TypeError, AttributeError, LookupError):
        whole = False
    if not whole:
        raise StoreCorrupt(f"the gallery's row of {id_!r:.60} is not what one is; {schema.ADVICE}")
    known = (id_, origin, size, mtime_ns, digest, width, height, metadata, _named(id_, scores, classes))
    own_fields = fields_of(bits) & metadata.keys() if metadata else _NONE
    return Record(*known, thumbnail, decoder, format_, own_fields, *later)


def line(row: int, record: Record, scores: Sequence[tuple[int, int]]) -> tuple[Any, ...]:
    """Return a record's line in `pictures`, in the order of its columns.

    Args:
        row: its number.
        record: of the picture.
        scores: its class scores, (class number, millionths) pairs.
    """
    return (
        row,
        record.id,
        record_rules.name(record.id),
        record.digest,
        record.width,
        record.height,
        pack_scores(scores),
        record.thumbnail,
        record.decoder,
        record.format,
        bits_of(record.from_picture),
        *(getattr(record, column.name) for column in _LATER),
    )


def _named(id_: str, content: bytes, classes: Classes | None) -> tuple[tuple[str, float], ...]:
    """The class scores of a picture by the classes' ids."""
    if not content and type(content) is bytes:
        return ()
    numbers, scores = _columns_of(content)
    ids = classes.ids if classes is not None else ()
    try:
        named = tuple(
            zip([ids[number] for number in numbers], [score / UNIT for score in scores], strict=True)
        )
    except IndexError:
        named = ()
    if not named or max(scores) > schema.MOST_SCORE:
        raise StoreCorrupt(f"the class scores of {id_!r} are none of the gallery's model; {schema.ADVICE}")
    return named


def chunks(values: Sequence[Any], size: int = 500) -> list[Sequence[Any]]:
    """Values in runs short enough for one statement."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def marks(values: Sequence[Any]) -> str:
    """A placeholder for each value."""
    return ",".join("?" * len(values))

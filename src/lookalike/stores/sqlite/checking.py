"""Whether a gallery is sound: the file, every row, and that what was derived from rows agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.stores import words
from lookalike.stores.records import UNIT_TOLERANCE
from lookalike.stores.sqlite import reading, rows, upkeep, writing
from lookalike.stores.sqlite.database import live
from lookalike.stores.sqlite.vectors import Vectors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from lookalike.indexes.cache import Cache
    from lookalike.stores.sqlite.database import Change
    from lookalike.types import Header

_NAMED = 5
_BATCH = 1000
_FACTOR_TOLERANCE = 1e-3
_BIT_TOLERANCE = 0.002


def faults(connection: sqlite3.Connection, header: Header, cache: Cache) -> list[str]:
    """Every fault found, in words."""
    damage = [line for (line,) in connection.execute("PRAGMA integrity_check(20)") if line != "ok"]
    if damage:
        return [f"the file is damaged: {line}" for line in damage]
    return [
        *_lines(connection),
        *_vectors(connection, header),
        *_postings(connection, header),
        *_words(connection),
        *_codes(connection, header, cache),
    ]


def rebuild(change: Change) -> None:
    """Make again what follows from the pictures: counts, postings and words."""
    connection = change.connection
    connection.execute("DELETE FROM postings")
    connection.execute("DELETE FROM words")
    cursor = connection.execute("SELECT row, id, scores FROM pictures ORDER BY row")
    while lines := cursor.fetchmany(_BATCH):
        numbers = [row for row, _, _ in lines]
        facts, own = reading.facts_of(connection, numbers), reading.own_fields_of(connection, numbers)
        scores = {row: rows.unpack_scores(content) for row, _, content in lines}
        writing.add_postings(connection, scores)
        writing.add_words(connection, [(row, id_, facts[row], own[row]) for row, id_, _ in lines])
    connection.execute("UPDATE live SET count = (SELECT count(*) FROM pictures)")


def _lines(connection: sqlite3.Connection) -> Iterator[str]:
    """Counts, and lines of one table that lack their counterpart in another."""
    counted = connection.execute("SELECT count(*) FROM pictures").fetchone()[0]
    if counted != live(connection).count:
        yield f"the header counts {live(connection).count} pictures, there are {counted}; repair counts again"
    pairs = {
        "pictures without a path": "SELECT id FROM pictures AS p WHERE NOT EXISTS "
        "(SELECT 1 FROM paths WHERE paths.id = p.id AND paths.row = p.row AND status = 0)",
        "paths without their picture": "SELECT id FROM paths AS p WHERE status = 0 AND NOT EXISTS "
        "(SELECT 1 FROM pictures WHERE pictures.row = p.row)",
        "pictures without a vector": "SELECT id FROM pictures WHERE row NOT IN (SELECT row FROM vectors)",
        "vectors without a picture": "SELECT row FROM vectors WHERE row NOT IN (SELECT row FROM pictures)",
        "metadata without a picture": "SELECT DISTINCT row FROM facts "
        "WHERE row NOT IN (SELECT row FROM pictures)",
    }
    for what, query in pairs.items():
        yield from _some(what, [str(line[0]) for line in connection.execute(query)])
    odd = connection.execute(
        "SELECT id FROM paths WHERE status NOT BETWEEN 0 AND 2 OR source NOT BETWEEN 0 AND 3"
    )
    yield from _some("paths of an unknown kind", [id_ for (id_,) in odd])


def _vectors(connection: sqlite3.Connection, header: Header) -> Iterator[str]:
    """Every vector: its length in bytes, its numbers, its length as a vector."""
    kind = Vectors(header.dim, header.row_type)
    size = header.dim * kind.dtype.itemsize
    short, infinite, odd = [], [], []
    for row, blob in connection.execute("SELECT row, vector FROM vectors"):
        if type(blob) is not bytes or len(blob) != size:
            short.append(row)
            continue
        vector = np.frombuffer(blob, kind.dtype).astype(np.float32)
        length = float(np.sqrt(vector @ vector))
        if not np.isfinite(length):
            infinite.append(row)
        elif header.normalized and length > 0 and abs(length - 1) > UNIT_TOLERANCE:
            odd.append(row)
    ids = reading.ids_of(connection, short + infinite + odd)
    for what, found in (
        (f"pictures whose vector does not have {header.dim} numbers", short),
        ("pictures whose vector is not finite", infinite),
        ("pictures whose vector is not of unit length", odd),
    ):
        yield from _some(f"{what} (remove them and index again)", [ids.get(row, str(row)) for row in found])


def _postings(connection: sqlite3.Connection, header: Header) -> Iterator[str]:
    """The postings against the scores that are kept with the pictures."""
    expected = checksum = total = 0
    classes = 0 if header.classes is None else len(header.classes.ids)
    unknown = []
    for row, id_, content in connection.execute("SELECT row, id, scores FROM pictures"):
        for class_, score in rows.unpack_scores(content):
            if score:
                expected += 1
                checksum ^= hash((rows.part(row), class_, row, score))
            if class_ >= classes:
                unknown.append(id_)
    for line in connection.execute("SELECT part, class, row, score FROM postings"):
        total += 1
        checksum ^= hash(line)
    yield from _some("pictures with scores of unknown classes", unknown)
    if expected != total or checksum:
        yield "the postings of class scores do not agree with the pictures; repair makes them again"


def _words(connection: sqlite3.Connection) -> Iterator[str]:
    """The words against ids and metadata."""
    total = connection.execute("SELECT count(*) FROM words_docsize").fetchone()[0]
    agree = total == connection.execute("SELECT count(*) FROM pictures").fetchone()[0]
    cursor = connection.execute(
        "SELECT row, id, path, text FROM pictures LEFT JOIN words ON words.rowid = pictures.row"
    )
    while agree and (lines := cursor.fetchmany(_BATCH)):
        numbers = [line[0] for line in lines]
        facts, own = reading.facts_of(connection, numbers), reading.own_fields_of(connection, numbers)
        agree = all(
            (path, text) == (words.of_path(id_), words.of_metadata(facts[row], own[row]))
            for row, id_, path, text in lines
        )
    if not agree:
        yield "the words of names and metadata do not agree with the pictures; repair makes them again"


def _codes(connection: sqlite3.Connection, header: Header, cache: Cache) -> Iterator[str]:
    """The codes against those made anew from the rows."""
    from lookalike.indexes.codes import Coder

    if cache.stamp() is None or not upkeep.suits_codes(header):
        return
    head = cache.head(live(connection).generation, header.dim)
    loaded = cache.codes(head) if head is not None else None
    if head is None or loaded is None:
        yield "the cache of codes is not this gallery's, or is broken; repair makes it again"
        return
    codes, mean = loaded
    if not head.useful:
        return
    if not len(codes.keys) or not (np.diff(codes.keys) > 0).all():
        yield "the cache of codes is out of order; repair makes it again"
        return
    coder = Coder(mean, head.seed)
    wrong = missing = 0
    for keys, vectors in Vectors(header.dim, header.row_type).blocks(connection):
        due = keys <= head.last
        places = np.minimum(np.searchsorted(codes.keys, keys[due]), len(codes.keys) - 1)
        there = codes.keys[places] == keys[due]
        missing += int((~there).sum())
        bits, factors = coder.encode(vectors[due][there])
        at = places[there]
        differing = codes.differing(at, bits)
        # Another processor may round a number that is nearly 0 to the other side.
        far = ~(np.abs(factors - codes.factors[at]) <= _FACTOR_TOLERANCE)
        wrong += int((far | (differing > 1 + _BIT_TOLERANCE * header.dim)).sum())
    if wrong or missing:
        yield f"the cache of codes is wrong for {wrong} pictures and lacks {missing}; repair makes it again"


def _some(what: str, names: list[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"{len(names)} {what}: {', '.join(names[:_NAMED])}{more}"

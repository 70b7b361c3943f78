"""Whether a gallery is sound: the file, every value, every row, and that what was derived from rows agrees.

A check never fails itself: where a part can't be read, that is a fault that it tells.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from lookalike.errors import LookalikeError
from lookalike.indexes import distances
from lookalike.stores import words
from lookalike.stores.records import UNIT_TOLERANCE
from lookalike.stores.sqlite import codec, codes_maintenance, filters, schema, tables
from lookalike.stores.sqlite.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.indexes.cache import Cache
    from lookalike.types import Header

_NAMED = 5
BATCH = 1000
"""Pictures that are looked at at once."""

_FACTOR_TOLERANCE = 1e-3
_BIT_TOLERANCE = 0.002
_DERIVED = ("index", "value in")
"""What SQLite says of a file whose pages are whole: an index that disagrees, a value of another type."""

LAST_PART = "substr(id, length(rtrim(id, replace(id, '/', ''))) + 1)"
"""What the field `name` of an id is, in SQL."""

APART = {
    "pictures without a path": "SELECT id FROM pictures AS p WHERE NOT EXISTS "
    "(SELECT 1 FROM paths WHERE paths.id = p.id AND paths.row = p.row AND status = 0)",
    "paths without their picture": "SELECT id FROM paths AS p WHERE status = 0 AND NOT EXISTS "
    "(SELECT 1 FROM pictures WHERE pictures.row = p.row)",
    "pictures without a vector": "SELECT id FROM pictures WHERE row NOT IN (SELECT row FROM vectors)",
    "vectors without a picture": "SELECT row FROM vectors WHERE row NOT IN (SELECT row FROM pictures)",
    "metadata without a picture": "SELECT DISTINCT row FROM facts "
    "WHERE row NOT IN (SELECT row FROM pictures)",
    "pictures under a wrong name": f"SELECT id FROM pictures WHERE name IS NOT {LAST_PART}",
}
"""Lines of one table that lack their counterpart in another, or in their own."""

VALUES = {
    "text": "typeof(value) = 'text' AND is_text(CAST(value AS BLOB))",
    "integer": "typeof(value) = 'integer'",
    "real": f"typeof(value) IN ('integer', 'real') AND abs(value) <= {filters.LARGEST}",
}
"""What the values of a field are, by its type, in SQL."""


def faults(connection: sqlite3.Connection, header: Header, cache: Cache) -> list[str]:
    """Every fault found, in words."""
    prepare(connection)
    found = _told("the file", lambda: damage(connection))
    if is_deep(found):
        return found
    parts: dict[str, Callable[[], Iterable[str]]] = {
        "the metric": lambda: _metric(header),
        "the values": lambda: _values(connection),
        "the count": lambda: _count(connection),
        "the tables": lambda: _lines(connection),
        "the metadata": lambda: _facts(connection),
        "the vectors": lambda: _vectors(connection, header),
        "the class scores": lambda: postings(connection, header),
        "the words": lambda: full_text(connection),
        "the codes": lambda: codes(connection, header, cache),
    }
    for what, look in parts.items():
        found += _told(what, look)
    return found


def prepare(connection: sqlite3.Connection) -> None:
    """Give a connection the function of which the conditions of text columns are made."""
    connection.create_function("is_text", 1, _is_text, deterministic=True)


def _is_text(content: bytes | None) -> bool:
    """Whether the bytes of a text are UTF-8, which SQLite does not ask; and nothing is."""
    try:
        (content or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def readable(connection: sqlite3.Connection) -> Iterator[None]:
    """Read text that is not UTF-8, too, to tell of it."""
    connection.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
    try:
        yield
    finally:
        connection.text_factory = str


def _told(what: str, look: Callable[[], Iterable[str]]) -> list[str]:
    found: list[str] = []
    try:
        found.extend(look())
    except (LookalikeError, sqlite3.Error) as error:
        found.append(f"{what} can't be checked to the end: {error}")
    return found


def damage(connection: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds."""
    with readable(connection):
        lines = [line for (line,) in connection.execute("PRAGMA integrity_check(20)")]
    return [f"the file is damaged: {line}" for line in lines if line != "ok"]


def is_deep(found: list[str]) -> bool:
    """Whether pages are damaged, of which nothing can be read or made again."""
    return not all(any(word in line for word in _DERIVED) for line in found)


def _metric(header: Header) -> Iterator[str]:
    try:
        distances.check(header.space.metric)
    except LookalikeError as error:
        yield f"the header's metric can't be used: {error}"


def _values(connection: sqlite3.Connection) -> Iterator[str]:
    """Every value against its column."""
    for table, of_table in schema.TABLES.items():
        for column in schema.present(connection, table):
            query = f"SELECT quote({of_table[0].name}) FROM {table} WHERE NOT {column.thorough}"
            with readable(connection):
                names = [str(name) for (name,) in connection.execute(query)]
            yield from _some(f"lines of {table} whose {column.name} is not {column.words}", names)
    odd = connection.execute(f"SELECT quote(name) FROM fields WHERE NOT ({filters.SOUND_FIELD})")
    yield from _some("fields of no kind there is", [str(name) for (name,) in odd])


def _count(connection: sqlite3.Connection) -> Iterator[str]:
    """The count of pictures, and of rows that were ever given."""
    lines = connection.execute("SELECT count FROM live LIMIT 2").fetchall()
    counted = connection.execute("SELECT count(*) FROM pictures").fetchone()[0]
    if len(lines) != 1:
        yield f"the header has {len(lines)} counts, expected one; repair counts again"
    elif lines[0][0] != counted:
        yield f"the header counts {lines[0][0]} pictures, there are {counted}; repair counts again"
    if not rows_are_given(connection):
        yield "the number of the last row is not the pictures'; repair makes it again"


def rows_are_given(connection: sqlite3.Connection) -> bool:
    """Whether the number of the last row that was given is sound."""
    given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'pictures'").fetchall()
    last = connection.execute("SELECT coalesce(max(row), 0) FROM pictures").fetchone()[0]
    if not given:
        return bool(last == 0)
    return len(given) == 1 and type(given[0][0]) is int and last <= given[0][0] < schema.LAST_ROW


def _lines(connection: sqlite3.Connection) -> Iterator[str]:
    """Lines of one table that lack their counterpart in another."""
    for what, query in APART.items():
        yield from _some(what, [str(line[0]) for line in connection.execute(query)])
    odd = connection.execute("SELECT quote(id) FROM paths WHERE (status = 0) = (row IS NULL)")
    yield from _some("paths of an unknown kind", [name for (name,) in odd])


def _facts(connection: sqlite3.Connection) -> Iterator[str]:
    """Every value of the metadata against its field's type."""
    tests = " ".join(f"WHEN '{type_}' THEN {test}" for type_, test in VALUES.items())
    odd = connection.execute(
        "SELECT DISTINCT quote(field) FROM facts LEFT JOIN fields ON name = field "
        f"WHERE NOT coalesce(CASE type {tests} END, FALSE)"
    )
    yield from _some("fields with values that are not of their type", [str(name) for (name,) in odd])


def _vectors(connection: sqlite3.Connection, header: Header) -> Iterator[str]:
    """Every vector: its length in bytes, its numbers, its length as a vector."""
    found = odd_vectors(connection, header)
    names = names_of(connection, [row for some in found.values() for row in some])
    for what, numbers in found.items():
        yield from _some(f"{what} (repair takes them out, then index again)", [names[row] for row in numbers])


def names_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """What rows are called in a message: by their ids, where they have one."""
    names = {row: str(row) for row in numbers}
    with readable(connection):
        for part in codec.chunks(numbers):
            query = f"SELECT row, id FROM pictures WHERE row IN ({codec.marks(part)})"
            names.update((row, str(id_)) for row, id_ in connection.execute(query, part))
    return names


def odd_vectors(connection: sqlite3.Connection, header: Header) -> dict[str, list[int]]:
    """The rows of vectors that can't be, by what is wrong with them."""
    kind = Vectors(header.space.dim, header.space.row_type)
    size = header.space.dim * kind.dtype.itemsize
    short, infinite, odd = [], [], []
    for row, blob in connection.execute("SELECT row, vector FROM vectors"):
        if type(blob) is not bytes or len(blob) != size:
            short.append(row)
            continue
        vector = np.frombuffer(blob, kind.dtype).astype(np.float64)
        length = float(np.sqrt(vector @ vector)) if np.isfinite(vector).all() else np.inf
        if not np.isfinite(length):
            infinite.append(row)
        elif header.space.normalized and length > 0 and abs(length - 1) > UNIT_TOLERANCE:
            odd.append(row)
    return {
        f"pictures whose vector does not have {header.space.dim} numbers": short,
        "pictures whose vector is not finite": infinite,
        "pictures whose vector is not of unit length": odd,
    }


def postings(connection: sqlite3.Connection, header: Header) -> Iterator[str]:
    """The class scores against the classes, and the postings against the scores."""
    expected = checksum = total = 0
    unknown = []
    for row, id_, content in connection.execute("SELECT row, id, scores FROM pictures"):
        pairs = codec.sound_scores(content, header.classes)
        if type(content) is not bytes or codec.pack_scores(pairs) != content:
            unknown.append(str(id_))
        for class_, score in pairs:
            if score:
                expected += 1
                checksum ^= hash((codec.part(row), class_, row, score))
    for line in connection.execute("SELECT part, class, row, score FROM postings"):
        total += 1
        checksum ^= hash(line)
    yield from _some("pictures with scores of unknown classes", unknown)
    if expected != total or checksum:
        yield "the postings of class scores do not agree with the pictures; repair makes them again"


def full_text(connection: sqlite3.Connection) -> Iterator[str]:
    """The words against ids and metadata, and what is found by them against the words."""
    try:
        agree = _words_agree(connection)
    except (sqlite3.Error, LookalikeError):
        agree = False
    if not agree:
        yield "the words of names and metadata do not agree with the pictures; repair makes them again"


def _words_agree(connection: sqlite3.Connection) -> bool:
    found = 0
    connection.execute("CREATE VIRTUAL TABLE temp.occurrences USING fts5vocab (main, words, instance)")
    try:
        for term, row, column, offset in connection.execute("SELECT term, doc, col, offset FROM occurrences"):
            found ^= hash((term, row, column, offset))
    finally:
        connection.execute("DROP TABLE temp.occurrences")
    kinds = filters.Kinds()
    with _Index() as index:
        cursor = connection.execute(
            "SELECT row, id, path, text FROM pictures LEFT JOIN words ON words.rowid = row ORDER BY row"
        )
        count = 0
        while lines := cursor.fetchmany(BATCH):
            count += len(lines)
            numbers = [line[0] for line in lines]
            if not all(type(line[1]) is str for line in lines):
                return False
            facts = tables.facts_of(connection, numbers, kinds)
            own = tables.own_fields_of(connection, numbers)
            texts = [
                (row, words.of_path(id_), words.of_metadata(facts[row], own[row])) for row, id_, _, _ in lines
            ]
            if texts != [(row, path, text) for row, _, path, text in lines]:
                return False
            found ^= index.checksum(texts)
    total = connection.execute("SELECT count(*) FROM words_docsize").fetchone()[0]
    return found == 0 and total == count


class _Index:
    """An index of words in memory, to compare another with."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute(
            f"CREATE VIRTUAL TABLE words USING fts5 (path, text, tokenize = '{words.TOKENIZER}')"
        )
        self._connection.execute("CREATE VIRTUAL TABLE occurrences USING fts5vocab (words, instance)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def checksum(self, texts: Iterable[tuple[int, str, str]]) -> int:
        """Of all occurrences of words in some texts, by row."""
        found = 0
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO words (rowid, path, text) VALUES (?, ?, ?)", texts)
        for line in self._connection.execute("SELECT term, doc, col, offset FROM occurrences"):
            found ^= hash(line)
        self._connection.execute("ROLLBACK")
        return found


def codes(connection: sqlite3.Connection, header: Header, cache: Cache) -> Iterator[str]:
    """The codes against those made anew from the rows."""
    from lookalike.indexes.codes import Coder

    generation = connection.execute("SELECT generation FROM live").fetchone()
    if cache.stamp() is None or not codes_maintenance.suits_codes(header):
        return
    head = cache.head(generation[0], header.space.dim) if generation else None
    loaded = cache.codes(head) if head is not None else None
    if head is None or loaded is None:
        yield "the cache of codes is not this gallery's, or is broken; repair makes it again"
        return
    if not head.useful:
        return
    kept, mean = loaded
    coder = Coder(mean, head.seed)
    wrong = missing = 0
    for keys, vectors in Vectors(header.space.dim, header.space.row_type).blocks(connection):
        due = keys <= head.last
        places = np.minimum(np.searchsorted(kept.keys, keys[due]), len(kept.keys) - 1)
        there = kept.keys[places] == keys[due]
        missing += int((~there).sum())
        coded = vectors[due][there]
        bits, factors = coder.encode(coded)
        away = coder.away(distances.normalized(coded[coded.any(axis=1)]))
        beyond = (away < head.nearest - _FACTOR_TOLERANCE) | (away > head.farthest + _FACTOR_TOLERANCE)
        wrong += int(beyond.sum())
        at = places[there]
        differing = np.maximum(kept.differing(at, bits), kept.differing(kept.firsts[at], bits))
        # Another processor may round a number that is nearly 0 to the other side.
        far = ~(np.abs(factors - kept.factors[at]) <= _FACTOR_TOLERANCE)
        wrong += int((far | (differing > 1 + _BIT_TOLERANCE * header.space.dim)).sum())
    if wrong or missing:
        yield f"the cache of codes is wrong for {wrong} pictures and lacks {missing}; repair makes it again"


def _some(what: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"{len(names)} {what}: {listed(names)}"


def listed(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"

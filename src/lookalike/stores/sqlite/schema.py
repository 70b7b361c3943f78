"""The tables of a gallery in every format, what their columns may hold, and the proof of both.

`paths` has a line for every path that is remembered, whatever became of it, sorted by id: indexing
again reads it alone. `pictures`, `vectors`, `facts`, `postings` and `words` belong to the pictures
among them, by row. A row never changes its vector: a picture that is replaced gets a new row.

Postings are sorted by class within parts of the rows: over all rows, every batch would touch a page
for each class there is.

The definitions are of the first format; a migration for each later one makes it of the one before. An older
gallery is read as it is, and brought up to date by the first that writes to it. A new gallery goes through
the same functions, so that both have the same tables.

SQLite lets any kind of value stand in any column, and a gallery may be a stranger's. So no value is used
before it was held to its `Column`. SQLite does that itself: a query selects `sound(…)` as its last value,
and `require` raises where it is not 1.
"""

from __future__ import annotations

import operator
import re
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import StoreCorrupt
from lookalike.stores import words
from lookalike.stores.records import (
    LONGEST_DIGEST,
    LONGEST_FORMAT,
    LONGEST_SOURCE,
    LONGEST_THUMBNAIL,
    SOURCES,
)
from lookalike.stores.sqlite.file import APPLICATION_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LAST_ROW = 1 << 48
"""The largest number of a row: room for more pictures than there are, far from where SQLite's numbers end."""

MOST_CLASSES = 1 << 16
MOST_SCORE = 1_001_000
"""Millionths; softmax in few bits does not add up to 1."""

ADVICE = "`lookalike check` names every such fault, and with --repair puts right what can be made again"
_LONGEST_ID = 1 << 16  # bytes
_BATCH = 1000
_LEAST, _MOST = -(2**63), 2**63 - 1


_KINDS = {"text": str, "integer": int, "blob": bytes}


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what may stand in it.

    name: in its table.
    kind: `text`, `integer` or `blob`, as SQLite's `typeof` says.
    low, high: of a whole number; of a text or blob the least and the greatest length.
    nullable: whether it may be empty.
    path: whether it is text that becomes a path: then without NUL.
    longest_name: characters of a name that may stand in it instead; 0 for none.
    """

    name: str
    kind: str
    low: int = 0
    high: int = _MOST
    nullable: bool = False
    path: bool = False
    longest_name: int = 0

    @property
    def words(self) -> str:
        """What may stand in it, for people."""
        if self.kind == "integer" and self.longest_name:
            return f"a number up to {self.high} or a name"
        if self.kind == "integer":
            return f"a whole number from {self.low:,} to {self.high:,}"
        noun = {"text": "characters of text", "blob": "bytes"}[self.kind]
        return f"{self.low:,} to {self.high:,} {noun}"

    @property
    def condition(self) -> str:
        """The same as an SQL expression, which is 0 or 1."""
        tests = [f"typeof({self.name}) = '{self.kind}'"]
        size = self.name if self.kind == "integer" else f"length({self.name})"
        if self.low > (_LEAST if self.kind == "integer" else 0):
            tests.append(f"{size} >= {self.low}")
        if self.high < _MOST:
            tests.append(f"{size} <= {self.high}")
        if self.path:
            tests.append(f"instr({self.name}, char(0)) = 0")
        fits = " AND ".join(tests)
        if self.longest_name:
            name = f"{self.name} GLOB '[a-z]*' AND {self.name} NOT GLOB '*[^a-z0-9+.-]*'"
            length = f"length({self.name}) <= {self.longest_name}"
            fits = f"({fits} OR (typeof({self.name}) = 'text' AND {length} AND {name}))"
        return f"({self.name} IS NULL OR {fits})" if self.nullable else f"({fits})"

    def holds(self, value: object) -> bool:
        """Return whether a value is of its kind."""
        return (value is None and self.nullable) or type(value) is _KINDS[self.kind]

    @property
    def thorough(self) -> str:
        """The same of bytes that may not even be text; `checking.prepare` brings the function."""
        whole = f" AND is_text(CAST({self.name} AS BLOB))" if self.kind == "text" else ""
        return f"({self.condition}{whole})"


ID = Column("id", "text", 1, _LONGEST_ID, path=True)
STATUS = Column("status", "integer", 0, 2)
SOURCE = Column("source", "integer", 0, len(SOURCES) - 1, longest_name=LONGEST_SOURCE)
SIZE = Column("size", "integer", _LEAST)
MTIME = Column("mtime_ns", "integer", _LEAST)
ROW = Column("row", "integer", 1, LAST_ROW)
OWN_ROW = Column("row", "integer", 1, LAST_ROW, nullable=True)
REASON = Column("reason", "text", nullable=True)
NAME = Column("name", "text")
DIGEST = Column("digest", "blob", 0, LONGEST_DIGEST)
WIDTH = Column("width", "integer", _LEAST)
HEIGHT = Column("height", "integer", _LEAST)
SCORES = Column("scores", "blob", 0, 6 * MOST_CLASSES)
THUMBNAIL = Column("thumbnail", "blob", 0, LONGEST_THUMBNAIL, nullable=True)
FIELD = Column("field", "text")
TYPE = Column("type", "text", 4, 7)
CLASS = Column("class", "integer", 0, MOST_CLASSES - 1)
PREFIX = Column("prefix", "text", 0, _LONGEST_ID, path=True)
DEVICE = Column("device", "integer", _LEAST)
GENERATION = Column("generation", "text", 1, 64)
COMMITS = Column("commits", "integer", 0, 2**62)
COUNT = Column("count", "integer", 0, LAST_ROW)
TOKEN = Column("token", "text", 1, 64)
INDEXED = Column("indexed_ns", "integer")
DECODER = Column("decoder", "integer")
PICTURE_FORMAT = Column("format", "text", 0, LONGEST_FORMAT)
FROM_PICTURE = Column("from_picture", "integer")
SCORE = Column("score", "integer", 1, MOST_SCORE)
PART = Column("part", "integer", 0, LAST_ROW)
"""The columns."""


class Added(NamedTuple):
    """A column that a later format gave to `pictures`, for a field of `Record` of the same name.

    column: what may stand in it.
    since: the format that brought it.
    default: what stands for it in pictures of before, and where what stands in it can't be.
    """

    column: Column
    since: int
    default: int | str | None


ADDED: tuple[Added, ...] = (Added(DECODER, 2, 0), Added(PICTURE_FORMAT, 2, ""), Added(FROM_PICTURE, 2, 1))
"""In the order of the fields of `Record`, whose values they are; `from_picture` alone is kept as bits."""

TABLES = {
    "live": (GENERATION, COMMITS, COUNT, TOKEN, INDEXED),
    "classes": (CLASS, ID, NAME),
    "folders": (PREFIX, DEVICE),
    "fields": (NAME, TYPE),
    "paths": (ID, STATUS, SOURCE, SIZE, MTIME, OWN_ROW, REASON),
    "pictures": (ROW, ID, NAME, DIGEST, WIDTH, HEIGHT, SCORES, THUMBNAIL, *(a.column for a in ADDED)),
    "facts": (ROW, FIELD),
}
"""The columns of each table whose lines can be judged one by one; older formats lack some."""


SEQUENCE = Column("seq", "integer", 0, LAST_ROW - 1)


def present(connection: sqlite3.Connection, table: str) -> list[Column]:
    """The columns of `TABLES` that a table has in the file's format."""
    names = {line[1] for line in connection.execute(f"PRAGMA table_info({table})")}
    return [column for column in TABLES[table] if column.name in names]


def sound(*columns: Column) -> str:
    """An SQL expression that is 1 where every value may stand in its column."""
    return " AND ".join(column.condition for column in columns)


def require(lines: Sequence[Sequence[Any]], table: str) -> None:
    """Raise `StoreCorrupt` unless the last value of every line is 1."""
    for line in lines:
        if line[-1] != 1:
            raise StoreCorrupt(
                f"the gallery's table {table} has a line that none of ours is, of {line[0]!r:.60}; {ADVICE}"
            )


def batches(cursor: sqlite3.Cursor, table: str, *, size: int = _BATCH) -> Iterator[list[Any]]:
    """The lines of a cursor some at a time, each of them sound.

    Args:
        cursor: gives lines in ascending order of their first value, each of them once, and as the last of
            each whether it is sound. A damaged table may lead in circles: that is found, too.
        table: its name.
        size: how many lines at a time.

    Raises:
        StoreCorrupt: a value that may not stand in its column, or lines out of order.
    """
    last: list[Any] = []
    while lines := cursor.fetchmany(size):
        require(lines, table)
        keys = [*last, *[line[0] for line in lines]]
        if not all(map(operator.lt, keys, keys[1:])):
            raise StoreCorrupt(f"the gallery's table {table} is out of order; {ADVICE}")
        last = keys[-1:]
        yield lines


FORMAT = 2
"""The format of a gallery that is written today."""


def version(connection: sqlite3.Connection) -> int:
    """Return the format of the tables in this connection's snapshot."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables of an older gallery up to date, all of it in one transaction.

    Args:
        connection: not in a transaction; the caller holds the right to write.
    """
    if version(connection) >= FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        advance(connection, FORMAT)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def advance(connection: sqlite3.Connection, target: int) -> None:
    """Go through the formats after the present one up to `target`, within a transaction."""
    for number in range(version(connection) + 1, target + 1):
        _MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version = {number}")


def _note_decoders_and_identity(connection: sqlite3.Connection) -> None:
    """Make format 2 of format 1.

    Pictures: the version of the decoder that read them (0 before versions were noted), their format, and
    which fields are their own (a bit for each of `PICTURE_FIELDS`; before, that was the first alone).
    The gallery: an identity that outlives a rebuilding, and the end of the last complete indexing.
    """
    connection.execute("ALTER TABLE pictures ADD COLUMN decoder INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE pictures ADD COLUMN format TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE pictures ADD COLUMN from_picture INTEGER NOT NULL DEFAULT 1")
    connection.execute("CREATE INDEX pictures_decoder ON pictures (decoder, format)")
    connection.execute("ALTER TABLE live ADD COLUMN token TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE live ADD COLUMN indexed_ns INTEGER NOT NULL DEFAULT 0")
    # Whoever remembered an older gallery did so by its generation.
    connection.execute("UPDATE live SET token = generation")


_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {2: _note_decoders_and_identity}


_FIRST = 1

_TABLES = f"""
CREATE TABLE header (content TEXT NOT NULL);
CREATE TABLE live (generation TEXT NOT NULL, commits INTEGER NOT NULL, count INTEGER NOT NULL);
CREATE TABLE classes (class INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
CREATE TABLE folders (prefix TEXT PRIMARY KEY, device INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE fields (name TEXT PRIMARY KEY, type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE paths (
    id TEXT PRIMARY KEY, status INTEGER NOT NULL, source INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, row INTEGER, reason TEXT
) WITHOUT ROWID;
CREATE INDEX paths_aside ON paths (status) WHERE status > 0;
CREATE TABLE pictures (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, name TEXT NOT NULL, digest BLOB NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, scores BLOB NOT NULL, thumbnail BLOB
);
CREATE INDEX pictures_digest ON pictures (digest);
CREATE INDEX pictures_filter ON pictures (width, height);
CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE facts (
    row INTEGER NOT NULL, field TEXT NOT NULL, value NOT NULL, PRIMARY KEY (row, field)
) WITHOUT ROWID;
CREATE INDEX facts_value ON facts (field, value);
CREATE TABLE postings (
    part INTEGER NOT NULL, class INTEGER NOT NULL, row INTEGER NOT NULL, score INTEGER NOT NULL,
    PRIMARY KEY (part, class, row)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (
    path, text, tokenize = '{words.TOKENIZER}'
);
"""

_PAGES = (8192, 16384, 32768, 65536)


def page_size(vector_bytes: int) -> int:
    """The least page that wastes little on rows of this size: at 4 kB a third would be waste."""
    row = vector_bytes + 16
    for page in _PAGES:
        usable = page - 16
        if row <= usable and usable % row <= usable // 8:
            return page
    return _PAGES[-1] if vector_bytes > _PAGES[0] else _PAGES[0]


def create(connection: sqlite3.Connection, version: int = FORMAT) -> None:
    """Make the tables of a format in an empty database."""
    connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_FIRST};")
    advance(connection, version)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("COMMIT")


def verify(connection: sqlite3.Connection, path: str) -> None:
    """Make sure that the file has exactly the tables of its format: no view, no trigger, nothing in disguise.

    Raises:
        StoreCorrupt: it has not, or it is of a later format.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    number = version(connection)
    if application != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is not a gallery of lookalike; nothing in it was used")
    if not _FIRST <= number <= FORMAT:
        raise StoreCorrupt(
            f"{path} has format {number}, this lookalike reads formats up to {FORMAT}: install "
            "a later version, or index again"
        )
    expected = _expected(number)
    if (found := _objects(connection)) != expected:
        names = sorted({name for _, name, _, _ in found ^ expected})
        raise StoreCorrupt(
            f"{path} is not a gallery of lookalike, or was tampered with: "
            f"its tables are not as expected ({', '.join(names)}); nothing in it was used"
        )


def _expected(version: int) -> set[tuple[str, str, str, str]]:
    model = sqlite3.connect(":memory:", isolation_level=None)
    try:
        create(model, version)
        return _objects(model)
    finally:
        model.close()


def _objects(connection: sqlite3.Connection) -> set[tuple[str, str, str, str]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 1000")
    return {(str(type_), str(name), str(table), _plain(sql)) for type_, name, table, sql in rows}


def _plain(sql: object) -> str:
    """A definition without what differs between versions of SQLite: blanks and quotes."""
    return re.sub(r"[\s\"']+", "", str(sql or ""))

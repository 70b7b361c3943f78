"""What every column of a gallery may hold, said once: for whoever reads lines, and for whoever checks tables.

SQLite lets any kind of value stand in any column, and a gallery may be a stranger's. So no value is used
before it was held to its column. SQLite does that itself: a query selects `sound(…)` as its last value, and
`require` raises where it is not 1.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.errors import StoreCorrupt
from lookalike.stores.records import LONGEST_DIGEST, LONGEST_FORMAT, LONGEST_THUMBNAIL, SOURCES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

LAST_ROW = 1 << 48
"""The largest number of a row: room for more pictures than there are, far from where SQLite's numbers end."""

MOST_CLASSES = 1 << 16
MOST_SCORE = 1_001_000
"""Millionths; softmax in few bits does not add up to 1."""

ADVICE = "`lookalike check` names every such fault, and with --repair puts right what can be made again"
_LONGEST_ID = 1 << 16  # bytes
_BATCH = 1000
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what may stand in it.

    name: in its table.
    kind: `text`, `integer` or `blob`, as SQLite's `typeof` says.
    low, high: of a whole number; of a text or blob the least and the greatest length.
    nullable: whether it may be empty.
    path: whether it is text that becomes a path: then without NUL.
    """

    name: str
    kind: str
    low: int = 0
    high: int = _MOST
    nullable: bool = False
    path: bool = False

    @property
    def words(self) -> str:
        """What may stand in it, for people."""
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
        return f"({self.name} IS NULL OR {fits})" if self.nullable else f"({fits})"

    @property
    def thorough(self) -> str:
        """The same of bytes that may not even be text; `checking.prepare` brings the function."""
        whole = f" AND is_text(CAST({self.name} AS BLOB))" if self.kind == "text" else ""
        return f"({self.condition}{whole})"


ID = Column("id", "text", 1, _LONGEST_ID, path=True)
STATUS = Column("status", "integer", 0, 2)
SOURCE = Column("source", "integer", 0, len(SOURCES) - 1)
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
FORMAT = Column("format", "text", 0, LONGEST_FORMAT)
FROM_PICTURE = Column("from_picture", "integer")
SCORE = Column("score", "integer", 1, MOST_SCORE)
PART = Column("part", "integer", 0, LAST_ROW)
"""The columns."""

TABLES = {
    "live": (GENERATION, COMMITS, COUNT, TOKEN, INDEXED),
    "classes": (CLASS, ID, NAME),
    "folders": (PREFIX, DEVICE),
    "fields": (NAME, TYPE),
    "paths": (ID, STATUS, SOURCE, SIZE, MTIME, OWN_ROW, REASON),
    "pictures": (ROW, ID, NAME, DIGEST, WIDTH, HEIGHT, SCORES, THUMBNAIL, DECODER, FORMAT, FROM_PICTURE),
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

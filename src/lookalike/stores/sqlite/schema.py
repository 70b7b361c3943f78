"""The tables of a gallery, and the proof that a file has these and nothing else.

`paths` has a line for every path that is remembered, whatever became of it, sorted by id: indexing
again reads it alone. `pictures`, `vectors`, `facts`, `postings` and `words` belong to the pictures
among them, by row. A row never changes its vector: a picture that is replaced gets a new row.

Postings are sorted by class within parts of the rows: over all rows, every batch would touch a page
for each class there is.

The definitions here are of the first format; what came later is in `migrations`.
"""

from __future__ import annotations

import re
import sqlite3

from lookalike.errors import StoreCorrupt
from lookalike.stores import words
from lookalike.stores.sqlite import migrations
from lookalike.stores.sqlite.file import APPLICATION_ID

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


def create(connection: sqlite3.Connection, version: int = migrations.FORMAT) -> None:
    """Make the tables of a format in an empty database."""
    connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_FIRST};")
    migrations.advance(connection, version)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("COMMIT")


def verify(connection: sqlite3.Connection, path: str) -> None:
    """Make sure that the file has exactly the tables of its format: no view, no trigger, nothing in disguise.

    Raises:
        StoreCorrupt: it has not, or it is of a later format.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = migrations.version(connection)
    if application != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is not a gallery of lookalike; nothing in it was used")
    if not _FIRST <= version <= migrations.FORMAT:
        raise StoreCorrupt(
            f"{path} has format {version}, this lookalike reads formats up to {migrations.FORMAT}: install "
            "a later version, or index again"
        )
    expected = _expected(version)
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

"""Putting right what can be: made again from the pictures, or taken out where it can't be read.

Every function is part of one transaction, and gives in words what it did.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt
from lookalike.stores.sqlite import checking, codec, filters, schema, tables
from lookalike.types import BUILT_IN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.indexes.cache import Cache
    from lookalike.stores.sqlite.codes_maintenance import Upkeep
    from lookalike.stores.sqlite.database import Database
    from lookalike.types import Header

_AGAIN = "index their folder again to bring them back"


def put_right(database: Database, header: Header, cache: Cache, upkeep: Upkeep) -> list[str]:
    """Put right what can be, with the right to write; what that was, in words."""
    try:
        with database.changing() as change:
            done = repair(change.connection, header)
        with database.reading() as connection:
            if list(checking.codes(connection, header, cache)):
                cache.clear()
                done.append("the cache of codes was made again")
        upkeep.keep_up(tail=0)
    except StoreCorrupt as error:
        return [f"nothing, for {error}"]
    return done


def repair(connection: sqlite3.Connection, header: Header) -> list[str]:
    """Put right what can be; what that was, in words.

    Args:
        connection: in a transaction of its own.
        header: of the gallery.

    Raises:
        StoreCorrupt: the file itself is damaged where nothing can be made again.
    """
    checking.prepare(connection)
    return [
        *_indices(connection),
        *_identity(connection),
        *_paths(connection),
        *_folders(connection),
        *_pictures(connection),
        *_unusable(connection, header),
        *_scores(connection, header),
        *_fields(connection),
        *_postings(connection, header),
        *_words(connection),
        *_counts(connection),
    ]


def _indices(connection: sqlite3.Connection) -> Iterator[str]:
    """The indices of tables, which SQLite makes again; of pages that are damaged it can make nothing."""
    damage = checking.damage(connection)
    if checking.is_deep(damage):
        raise StoreCorrupt(f"{damage[0]}; restore a copy, or delete the gallery and index again")
    if any("index" in line for line in damage):
        connection.execute("REINDEX")
        yield "the indices of the tables were made again"


def _identity(connection: sqlite3.Connection) -> Iterator[str]:
    """The line that tells what state the gallery is in."""
    names = [column.name for column in schema.present(connection, "live")]
    sound = " AND ".join(column.thorough for column in schema.present(connection, "live"))
    lines = connection.execute(f"SELECT {', '.join(names)} FROM live WHERE {sound} LIMIT 2").fetchall()
    if len(lines) == connection.execute("SELECT count(*) FROM live").fetchone()[0] == 1:
        return
    token = schema.TOKEN.thorough
    known = "token" in names and connection.execute(f"SELECT token FROM live WHERE {token}").fetchone()
    new = {"generation": os.urandom(8).hex(), "commits": 0, "count": 0}
    if "token" in names:
        new |= {"token": known[0] if known else os.urandom(16).hex(), "indexed_ns": 0}
    connection.execute("DELETE FROM live")
    connection.execute(
        f"INSERT INTO live ({', '.join(new)}) VALUES ({codec.marks(list(new))})", list(new.values())
    )
    yield "the header's counts were made again"


def _paths(connection: sqlite3.Connection) -> Iterator[str]:
    """What is known of paths; one of which nothing sure is known is read again."""
    gone = _delete(connection, "paths", f"NOT {schema.ID.thorough}")
    gone += _delete(connection, "paths", f"NOT {schema.STATUS.thorough}")
    gone += _delete(connection, "paths", f"NOT {schema.OWN_ROW.thorough} OR (status = 0) = (row IS NULL)")
    if gone:
        yield f"{gone} paths of no kind there is were forgotten; {_AGAIN}"
    defaults = {schema.SOURCE: 0, schema.SIZE: 0, schema.MTIME: 0, schema.REASON: ""}
    changed = sum(_set(connection, "paths", column, value) for column, value in defaults.items())
    if changed:
        yield f"{changed} values of paths were set to nothing; their files are read again by the next index"


def _folders(connection: sqlite3.Connection) -> Iterator[str]:
    sound = " AND ".join(column.thorough for column in schema.TABLES["folders"])
    if gone := _delete(connection, "folders", f"NOT ({sound})"):
        yield f"{gone} folders that can't be read were forgotten; index them again"


def _pictures(connection: sqlite3.Connection) -> Iterator[str]:
    """What of a picture follows from its id, or can be done without."""
    wrong = f"{schema.ID.thorough} AND name IS NOT {checking.LAST_PART}"
    if changed := connection.execute(
        f"UPDATE pictures SET name = {checking.LAST_PART} WHERE {wrong}"
    ).rowcount:
        yield f"the names of {changed} pictures were made again from their ids"
    defaults = {schema.THUMBNAIL: None} | {added.column: added.default for added in schema.ADDED}
    there = schema.present(connection, "pictures")
    spared = sum(_set(connection, "pictures", c, value) for c, value in defaults.items() if c in there)
    if spared:
        yield f"{spared} values of pictures that are not needed were set to nothing"


def _unusable(connection: sqlite3.Connection, header: Header) -> Iterator[str]:
    """Take out pictures that can't be found, and what belongs to none."""
    own = (schema.ROW, schema.ID, schema.DIGEST, schema.WIDTH, schema.HEIGHT)
    sound = " AND ".join(column.thorough for column in own)
    bad = {row for (row,) in connection.execute(f"SELECT row FROM pictures WHERE NOT ({sound})")}
    for found in checking.odd_vectors(connection, header).values():
        bad.update(found)
    for what in ("pictures without a path", "pictures without a vector"):
        query = checking.APART[what].replace("SELECT id", "SELECT row", 1)
        bad.update(row for (row,) in connection.execute(query))
    there = [row for (row,) in connection.execute("SELECT row FROM pictures") if row in bad]
    names = list(checking.names_of(connection, there).values())
    for table in ("pictures", "vectors"):
        connection.executemany(f"DELETE FROM {table} WHERE row = ?", [(row,) for row in bad])
    if names:
        yield f"{len(names)} pictures that can't be read were taken out; {_AGAIN}: {checking.listed(names)}"
    belongs = "row NOT IN (SELECT row FROM pictures)"
    left = [
        _delete(connection, "vectors", belongs),
        _delete(connection, "facts", belongs),
        _delete(connection, "paths", "status = 0 AND NOT EXISTS "
                "(SELECT 1 FROM pictures AS p WHERE p.row = paths.row AND p.id = paths.id)"),
    ]  # fmt: skip
    if any(left) and not names:
        yield "{} vectors, {} values and {} paths of no picture were taken out".format(*left)


def _scores(connection: sqlite3.Connection, header: Header) -> Iterator[str]:
    """Class scores, without those of classes that there are not."""
    changed = []
    for row, content in connection.execute("SELECT row, scores FROM pictures"):
        packed = codec.pack_scores(codec.sound_scores(content, header.classes))
        if packed != content:
            changed.append((packed, row))
    connection.executemany("UPDATE pictures SET scores = ? WHERE row = ?", changed)
    if changed:
        yield f"class scores of {len(changed)} pictures that no class has were taken out"


def _fields(connection: sqlite3.Connection) -> Iterator[str]:
    """The fields of the metadata, and values that are of another type than their field."""
    built_in = ", ".join(f"'{name}'" for name in BUILT_IN_FIELDS)
    gone = _delete(connection, "facts", f"NOT {schema.FIELD.thorough} OR field IN ({built_in})")
    lost = _delete(connection, "fields", f"NOT ({schema.NAME.thorough} AND {filters.SOUND_FIELD})")
    connection.execute("INSERT OR IGNORE INTO fields VALUES ('taken', 'text')")
    fields = "SELECT DISTINCT field FROM facts WHERE field NOT IN (SELECT name FROM fields)"
    for (field,) in connection.execute(fields).fetchall():
        connection.execute("INSERT INTO fields VALUES (?, ?)", (field, _type_of(connection, field)))
        lost += 1
    if lost:
        yield f"the types of {lost} fields were made again from their values"
    for name, type_ in filters.own_fields(connection):
        cursor = connection.execute(
            f"DELETE FROM facts WHERE field = ? AND NOT ({checking.VALUES[type_]})", (name,)
        )
        gone += cursor.rowcount
    if gone:
        yield f"{gone} values of metadata that are not of their field's type were taken out"


def _type_of(connection: sqlite3.Connection, field: str) -> str:
    """The type that all values of a field have."""
    found = connection.execute("SELECT DISTINCT typeof(value) FROM facts WHERE field = ?", (field,))
    kinds = {kind for (kind,) in found}
    return "integer" if kinds == {"integer"} else "real" if kinds <= {"integer", "real"} else "text"


def _postings(connection: sqlite3.Connection, header: Header) -> Iterator[str]:
    if list(checking.postings(connection, header)):
        connection.execute("DELETE FROM postings")
        cursor = connection.execute("SELECT row, scores FROM pictures ORDER BY row")
        while lines := cursor.fetchmany(checking.BATCH):
            tables.add_postings(connection, {row: codec.unpack_scores(content) for row, content in lines})
        yield "the postings of class scores were made again"


def _words(connection: sqlite3.Connection) -> Iterator[str]:
    if list(checking.full_text(connection)):
        _empty_words(connection)
        kinds = filters.Kinds()
        cursor = connection.execute("SELECT row, id FROM pictures ORDER BY row")
        while lines := cursor.fetchmany(checking.BATCH):
            numbers = [row for row, _ in lines]
            facts = tables.facts_of(connection, numbers, kinds)
            own = tables.own_fields_of(connection, numbers)
            tables.add_words(connection, [(row, id_, facts[row], own[row]) for row, id_ in lines])
        yield "the words of names and metadata were made again"


def _empty_words(connection: sqlite3.Connection) -> None:
    """Empty the index of words by its own tables, for what is in it may keep SQLite from doing so."""
    _protect(connection, on=False)
    try:
        connection.execute("DELETE FROM words_content")
        connection.execute("DELETE FROM words_config")
        connection.execute(f"INSERT INTO words_config VALUES ('version', {_WORDS_FORMAT})")
        connection.execute("INSERT INTO words (words) VALUES ('rebuild')")
    finally:
        _protect(connection, on=True)


_WORDS_FORMAT = 4
"""Of FTS5's tables: what every version of it reads."""


def _protect(connection: sqlite3.Connection, *, on: bool) -> None:
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, on)


def _counts(connection: sqlite3.Connection) -> Iterator[str]:
    """How many pictures there are, and the last row that was given."""
    counted = connection.execute("SELECT count(*) FROM pictures").fetchone()[0]
    if connection.execute("UPDATE live SET count = ? WHERE count != ?", (counted, counted)).rowcount:
        yield f"the pictures were counted again: {counted:,}"
    if not checking.rows_are_given(connection):
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'pictures'")
        connection.execute(
            "INSERT INTO sqlite_sequence SELECT 'pictures', coalesce(max(row), 0) FROM pictures"
        )
        yield "the number of the last row was made again"


def _delete(connection: sqlite3.Connection, table: str, condition: str) -> int:
    return connection.execute(f"DELETE FROM {table} WHERE {condition}").rowcount


def _set(connection: sqlite3.Connection, table: str, column: schema.Column, value: object) -> int:
    """Set a column where it holds what it can't."""
    changed = connection.execute(
        f"UPDATE {table} SET {column.name} = ? WHERE NOT {column.thorough}", (value,)
    )
    return changed.rowcount

"""What is written to the tables: each function is part of one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt
from lookalike.stores import records as record_rules
from lookalike.stores import words
from lookalike.stores.sqlite import codec, columns, filters, reading
from lookalike.types import PICTURE_FIELDS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.types import Folder, Record, Skipped, State, Value


def pictures(
    connection: sqlite3.Connection,
    records: Sequence[Record],
    blobs: Sequence[bytes],
    numbers: Mapping[str, int],
) -> int:
    """Add or replace pictures; how many more there are now.

    Args:
        connection: in a transaction.
        records: ids are unique among them.
        blobs: their vectors.
        numbers: class numbers by class id.
    """
    records = record_rules.without_misfits(records, filters.fields(connection))
    learn_fields(connection, [record.metadata for record in records])
    ids = [record.id for record in records]
    gone = drop_rows(connection, reading.rows_of(connection, ids).values())
    first = _next_row(connection)
    new = list(enumerate(records, first))
    scores = {
        row: [(numbers[class_], round(p * record_rules.UNIT)) for class_, p in record.scores]
        for row, record in new
    }
    connection.executemany(
        "INSERT OR REPLACE INTO paths VALUES (?, 0, ?, ?, ?, ?, NULL)",
        sorted((r.id, record_rules.SOURCES.index(r.source), r.size, r.mtime_ns, row) for row, r in new),
    )
    connection.executemany(
        "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                row,
                r.id,
                record_rules.name(r.id),
                r.digest,
                r.width,
                r.height,
                codec.pack_scores(scores[row]),
                r.thumbnail,
                r.decoder,
                r.format,
                codec.bits_of(r.from_picture),
            )
            for row, r in new
        ],
    )
    connection.executemany(
        "INSERT INTO vectors VALUES (?, ?)", zip(range(first, first + len(new)), blobs, strict=True)
    )
    add_postings(connection, scores)
    connection.executemany(
        "INSERT INTO facts VALUES (?, ?, ?)",
        [(row, field, value) for row, r in new for field, value in r.metadata.items()],
    )
    add_words(connection, [(row, r.id, r.metadata, r.from_picture) for row, r in new])
    return len(new) - gone


def drop_rows(connection: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Delete everything that belongs to some rows, but for their lines in `paths`; how many."""
    keys = [(row,) for row in numbers]
    for part in codec.chunks(keys):
        found = connection.execute(
            f"SELECT row, scores FROM pictures WHERE row IN ({codec.marks(part)})", [row for (row,) in part]
        ).fetchall()
        connection.executemany(
            "DELETE FROM postings WHERE part = ? AND class = ? AND row = ?",
            [
                (codec.part(row), class_, row)
                for row, scores in found
                for class_, _ in codec.unpack_scores(scores)
            ],
        )
    for table, column in (("words", "rowid"), ("facts", "row"), ("vectors", "row"), ("pictures", "row")):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", keys)
    return len(keys)


def delete(connection: sqlite3.Connection, ids: Sequence[str], *, keep_out: bool) -> int:
    """Delete pictures; how many there were. With keep_out also what is unknown is remembered."""
    known = reading.rows_of(connection, ids)
    drop_rows(connection, known.values())
    keys = [(id_,) for id_ in known]
    if keep_out:
        connection.executemany(f"UPDATE paths SET status = {codec.REMOVED}, row = NULL WHERE id = ?", keys)
        remember_removed(connection, ids)
    else:
        connection.executemany("DELETE FROM paths WHERE id = ?", keys)
    return len(known)


def skip(connection: sqlite3.Connection, files: Sequence[Skipped]) -> int:
    """Remember files as skipped; how many pictures went for it."""
    gone = drop_rows(connection, reading.rows_of(connection, [file.id for file in files]).values())
    connection.executemany(
        f"""INSERT INTO paths VALUES (?, {codec.SKIPPED}, 0, ?, ?, NULL, ?)
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, size = excluded.size,
        mtime_ns = excluded.mtime_ns, row = NULL, reason = excluded.reason""",
        [(file.id, file.size, file.mtime_ns, file.reason) for file in files],
    )
    return gone


def forget(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Forget skipped and removed paths."""
    connection.executemany("DELETE FROM paths WHERE id = ? AND status > 0", [(id_,) for id_ in ids])


def remember_removed(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Remember ids as removed, unless something is known of them."""
    connection.executemany(
        f"INSERT OR IGNORE INTO paths VALUES (?, {codec.REMOVED}, 0, 0, 0, NULL, NULL)",
        [(id_,) for id_ in ids],
    )


def touch(connection: sqlite3.Connection, states: Sequence[State]) -> None:
    """Set size, mtime and source of pictures."""
    connection.executemany(
        "UPDATE paths SET size = ?, mtime_ns = ?, source = ? WHERE id = ? AND status = 0",
        [(s.size, s.mtime_ns, record_rules.SOURCES.index(s.source), s.id) for s in states],
    )


def note_decoder(connection: sqlite3.Connection, formats: Mapping[str, str], decoder: int) -> None:
    """Set the decoder and the format of pictures."""
    known = reading.rows_of(connection, list(formats))
    connection.executemany(
        "UPDATE pictures SET decoder = ?, format = ? WHERE row = ?",
        [(decoder, formats[id_], row) for id_, row in known.items()],
    )


def update(connection: sqlite3.Connection, metadata: Mapping[str, Mapping[str, Value]]) -> int:
    """Merge metadata into pictures; how many of them there were."""
    known = reading.rows_of(connection, list(metadata))
    learn_fields(connection, [metadata[id_] for id_ in known])
    connection.executemany(
        "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
        [(row, field, value) for id_, row in known.items() for field, value in metadata[id_].items()],
    )
    connection.executemany(
        "UPDATE pictures SET from_picture = from_picture & ~? WHERE row = ?",
        [(codec.bits_of(PICTURE_FIELDS.keys() & metadata[id_].keys()), row) for id_, row in known.items()],
    )
    connection.executemany("DELETE FROM words WHERE rowid = ?", [(row,) for row in known.values()])
    facts = reading.facts_of(connection, list(known.values()), filters.Kinds())
    own = reading.own_fields_of(connection, list(known.values()))
    add_words(connection, [(row, id_, facts[row], own[row]) for id_, row in known.items()])
    return len(known)


def learn_fields(connection: sqlite3.Connection, metadata: Sequence[Mapping[str, Value]]) -> None:
    """Fix the types of new fields by their first value, and hold every value to its field's type.

    Raises:
        UsageError: a value does not fit.
    """
    new = record_rules.new_fields(filters.fields(connection), metadata)
    connection.executemany("INSERT INTO fields VALUES (?, ?)", new.items())


def define(connection: sqlite3.Connection, types: Mapping[str, str]) -> None:
    """Give fields their types, unless they have one."""
    connection.executemany("INSERT OR IGNORE INTO fields VALUES (?, ?)", types.items())


def set_folders(connection: sqlite3.Connection, folders: Sequence[Folder]) -> None:
    """Remember the folders that were indexed, in place of those before."""
    connection.execute("DELETE FROM folders")
    connection.executemany("INSERT INTO folders VALUES (?, ?)", [(f.prefix, f.device) for f in folders])


def add_words(
    connection: sqlite3.Connection,
    pictures: Sequence[tuple[int, str, Mapping[str, Value], frozenset[str]]],
) -> None:
    """Make rows findable by the words of their ids and metadata; of each is told what it said itself."""
    connection.executemany(
        "INSERT INTO words (rowid, path, text) VALUES (?, ?, ?)",
        [(row, words.of_path(id_), words.of_metadata(facts, own)) for row, id_, facts, own in pictures],
    )


def add_postings(connection: sqlite3.Connection, scores: Mapping[int, Sequence[tuple[int, int]]]) -> None:
    """Make rows findable by their class scores, (class number, millionths) pairs."""
    lines = [
        (codec.part(row), class_, row, score)
        for row, pairs in scores.items()
        for class_, score in pairs
        if score
    ]
    connection.executemany("INSERT INTO postings VALUES (?, ?, ?, ?)", sorted(lines))


def _next_row(connection: sqlite3.Connection) -> int:
    """The row of the next picture.

    Raises:
        StoreCorrupt: rows are in use that were never given.
    """
    given = connection.execute(
        f"SELECT seq, {columns.sound(columns.SEQUENCE)} FROM sqlite_sequence WHERE name = 'pictures' LIMIT 2"
    ).fetchall() or [(0, 1)]
    columns.require(given, "sqlite_sequence")
    used = connection.execute(
        "SELECT max(row) FROM (SELECT max(row) AS row FROM pictures UNION ALL SELECT max(row) FROM vectors)"
    )
    if len(given) > 1 or (used.fetchone()[0] or 0) > given[0][0]:
        raise StoreCorrupt(f"the gallery's count of rows is behind its pictures; {columns.ADVICE}")
    return int(given[0][0]) + 1

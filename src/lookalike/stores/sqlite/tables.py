"""What is read from the tables, but for search, and written to them, each within one transaction."""

from __future__ import annotations

from collections import defaultdict
from math import isfinite
from operator import lt
from typing import TYPE_CHECKING, Any

from lookalike.errors import StoreCorrupt
from lookalike.stores import records as record_rules
from lookalike.stores import words
from lookalike.stores.records import FILES, SOURCES, is_id
from lookalike.stores.sqlite import codec, filters, schema
from lookalike.types import PICTURE_FIELDS, Folder, Skipped, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lookalike.stores.sqlite.filters import Kinds
    from lookalike.types import Classes, Record, Value, Where

    Facts = dict[str, str | int | float]

_LINE = "row, paths.id, source, size, mtime_ns, digest, width, height"
_LARGE = (schema.SCORES, schema.THUMBNAIL)
_ITSELF = "pictures.id, name"


def _line(format_: int) -> str:
    """Return what is selected of a record in a gallery of a format."""
    # The size is asked before the value: one larger than can be is not read.
    large = [f"CASE WHEN length({c.name}) > {c.high} THEN 0 ELSE {c.name} END" for c in _LARGE]
    added = [a.column.name if a.since <= format_ else _literal(a.default) for a in schema.ADDED]
    return ", ".join([_LINE, *large, _ITSELF, *added])


def _literal(value: int | str | None) -> str:
    return "NULL" if value is None else repr(value)


_LINES = {format_: _line(format_) for format_ in range(1, schema.FORMAT + 1)}

_MEANT = f"(status NOT IN ({codec.SKIPPED}, {codec.REMOVED}) OR row IS NOT NULL)"
"""Which paths are meant to be pictures; of a sound gallery those of status 0."""

_MOST_METADATA = 1 << 29
"""Bytes of the metadata of the pictures that are read at once."""


def records(
    connection: sqlite3.Connection, ids: Sequence[str], classes: Classes | None, kinds: Kinds
) -> list[Record | None]:
    """Records in the order asked for; None for an id that is not there."""
    found: dict[str, Record] = {}
    line = _LINES[schema.version(connection)]
    for part in codec.chunks(list(filter(is_id, ids))):
        lines = connection.execute(
            f"SELECT {line} FROM paths LEFT JOIN pictures USING (row) "
            f"WHERE paths.id IN ({codec.marks(part)}) AND {_MEANT}",
            part,
        ).fetchall()
        found.update((record.id, record) for record in _records(connection, lines, kinds, classes))
    return [found.get(id_) for id_ in ids]


def _records(
    connection: sqlite3.Connection, lines: list[Any], kinds: Kinds, classes: Classes | None
) -> list[Record]:
    """Records from lines that `_LINES` selects."""
    facts = facts_of(connection, [line[0] for line in lines], kinds)
    return [codec.record(line, facts[line[0]], classes) for line in lines]


def facts_of(connection: sqlite3.Connection, numbers: Sequence[int], kinds: Kinds) -> dict[int, Facts]:
    """The metadata of some rows; empty for a row that has none.

    Raises:
        StoreCorrupt: a value is not of its field's type.
    """
    facts: dict[int, Facts] = defaultdict(dict)
    size = 0
    for part in codec.chunks(numbers):
        found = connection.execute(
            f"SELECT row, field, value FROM facts WHERE row IN ({codec.marks(part)})", part
        )
        for row, field, value in found:
            kind = type(value)
            if kind not in kinds.get(field, ()) or (kind is float and not isfinite(value)):
                kinds.require(connection, field, value)
            facts[row][field] = value
            size += len(value) if kind is str else 0
            if size > _MOST_METADATA:
                raise StoreCorrupt(f"the metadata of {len(numbers)} pictures is endless; {schema.ADVICE}")
    return facts


def own_fields_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, frozenset[str]]:
    """The fields of some rows whose values are the picture's own."""
    column = "1, 1"
    if schema.version(connection) > 1:
        column = f"from_picture, {schema.sound(schema.FROM_PICTURE)}"
    found: dict[int, frozenset[str]] = {}
    for part in codec.chunks(numbers):
        lines = connection.execute(
            f"SELECT row, {column} FROM pictures WHERE row IN ({codec.marks(part)})", part
        ).fetchall()
        schema.require(lines, "pictures")
        found.update((row, codec.fields_of(bits)) for row, bits, _ in lines)
    return found


def rows_of(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """The rows of those ids that are pictures."""
    found: dict[str, int] = {}
    for part in codec.chunks(list(filter(is_id, ids))):
        lines = connection.execute(
            f"SELECT paths.id, row, {schema.sound(schema.ROW)} AND paths.id = pictures.id FROM paths "
            f"LEFT JOIN pictures USING (row) WHERE paths.id IN ({codec.marks(part)}) AND {_MEANT}",
            part,
        ).fetchall()
        schema.require(lines, "paths")
        found.update((id_, row) for id_, row, _ in lines)
    return found


def ids_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The ids of some rows.

    Raises:
        StoreCorrupt: a row is no picture's, or is another one's than its path says.
    """
    found: dict[int, str] = {}
    for part in codec.chunks(numbers):
        found.update(
            connection.execute(
                "SELECT pictures.row, id FROM pictures JOIN paths USING (id) WHERE typeof(id) = 'text' "
                f"AND pictures.row IN ({codec.marks(part)}) AND paths.row = pictures.row",
                part,
            ).fetchall()
        )
    if len(found) < len(set(numbers)):
        raise StoreCorrupt(f"the gallery has rows of no picture, or of another's; {schema.ADVICE}")
    return found


def scan(
    connection: sqlite3.Connection, where: Where, batch: int, classes: Classes | None, kinds: Kinds
) -> Iterator[tuple[list[int], list[Record]]]:
    """Rows and records of all pictures that pass a filter, in the order of ids."""
    condition, values = filters.compiled(connection, where)
    cursor = connection.execute(
        f"SELECT {_LINES[schema.version(connection)]} FROM paths LEFT JOIN pictures USING (row) "
        f"WHERE {_MEANT} AND {condition} ORDER BY paths.id",
        values,
    )
    last = ""
    while lines := cursor.fetchmany(batch):
        found = _records(connection, lines, kinds, classes)
        for record in found:
            if record.id <= last:
                raise StoreCorrupt(f"the gallery's table paths is out of order; {schema.ADVICE}")
            last = record.id
        yield [line[0] for line in lines], found


def states(connection: sqlite3.Connection) -> Iterator[State]:
    """Every path that is remembered, in the order of code points."""
    cursor = connection.execute("SELECT id, status, source, size, mtime_ns FROM paths ORDER BY id")
    last = ""
    # Whole columns at a time: this is done to every line of a gallery that is indexed again.
    while lines := cursor.fetchmany(1000):
        ids, statuses, sources, sizes, times = zip(*lines, strict=True)
        try:
            numbers = {*map(type, sizes), *map(type, times)}
            whole = last < ids[0] and all(map(lt, ids, ids[1:])) and "\0" not in "".join(ids)
            kinds = [codec.STATUSES[status] for status in statuses]
            origins = [codec.ORIGINS[source] for source in sources]
            if "array" in origins:
                origins = list(map(record_rules.source_name, origins, sizes))
        except (KeyError, TypeError):
            whole = False
        if not whole or numbers != {int}:
            raise StoreCorrupt(f"the gallery's list of paths is not what one is; {schema.ADVICE}")
        last = ids[-1]
        yield from map(State, ids, kinds, origins, sizes, times)  # type: ignore[arg-type]


def outdated(connection: sqlite3.Connection, decoder: int) -> Iterator[str]:
    """The ids of pictures with a file, which a decoder of a lower version has read."""
    older = "" if schema.version(connection) == 1 else f"AND decoder < {decoder:d}"
    sources = ",".join(str(SOURCES.index(source)) for source in FILES)
    cursor = connection.execute(
        "SELECT paths.id, typeof(paths.id) = 'text' FROM pictures CROSS JOIN paths USING (id) "
        f"WHERE status = 0 AND source IN ({sources}) {older}"
    )
    while lines := cursor.fetchmany(1000):
        schema.require(lines, "paths")
        yield from (id_ for id_, _ in lines)


def by_digest(connection: sqlite3.Connection, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
    """The ids of the pictures whose file has one of these digests, in the order they came in."""
    found: dict[bytes, list[str]] = defaultdict(list)
    for part in codec.chunks(list(set(digests))):
        lines = connection.execute(
            f"SELECT digest, row FROM pictures WHERE digest IN ({codec.marks(part)}) ORDER BY row", part
        ).fetchall()
        ids = ids_of(connection, [row for _, row in lines])
        for digest, row in lines:
            found[digest].append(ids[row])
    return dict(found)


def skipped(connection: sqlite3.Connection) -> list[Skipped]:
    """Files that could not be indexed, sorted by id."""
    sound = schema.sound(schema.ID, schema.SIZE, schema.MTIME, schema.REASON)
    lines = connection.execute(
        f"SELECT id, size, mtime_ns, coalesce(reason, ''), {sound} FROM paths "
        "WHERE status = ? AND status > 0 ORDER BY id",
        (codec.SKIPPED,),
    )
    return [Skipped(*line[:-1]) for some in schema.batches(lines, "paths") for line in some]


def removed(connection: sqlite3.Connection) -> list[str]:
    """Ids that are to stay out, sorted."""
    lines = connection.execute(
        f"SELECT id, {schema.sound(schema.ID)} FROM paths WHERE status = ? AND status > 0 ORDER BY id",
        (codec.REMOVED,),
    )
    return [id_ for some in schema.batches(lines, "paths") for id_, _ in some]


def folders(connection: sqlite3.Connection) -> list[Folder]:
    """The folders that were indexed."""
    sound = schema.sound(*schema.TABLES["folders"])
    lines = connection.execute(f"SELECT prefix, device, {sound} FROM folders ORDER BY prefix")
    return [Folder(*line[:-1]) for some in schema.batches(lines, "folders") for line in some]


def count(connection: sqlite3.Connection, expected: int) -> int:
    """How many pictures there are, as the gallery says.

    Raises:
        StoreCorrupt: there are more or fewer.
    """
    # Never the whole of what may be endless: one more than expected is enough.
    found = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM pictures LIMIT ?)", (expected + 1,)
    ).fetchone()[0]
    if found != expected:
        more = "more" if found > expected else f"{found:,}"
        raise StoreCorrupt(f"the gallery counts {expected:,} pictures, and has {more}; {schema.ADVICE}")
    return expected


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
    gone = drop_rows(connection, rows_of(connection, ids).values())
    first = _next_row(connection)
    new = list(enumerate(records, first))
    scores = {
        row: [(numbers[class_], round(p * record_rules.UNIT)) for class_, p in record.scores]
        for row, record in new
    }
    connection.executemany(
        "INSERT OR REPLACE INTO paths VALUES (?, 0, ?, ?, ?, ?, NULL)",
        sorted((r.id, codec.origin(r.source), r.size, r.mtime_ns, row) for row, r in new),
    )
    connection.executemany(
        f"INSERT INTO pictures VALUES ({codec.marks(schema.TABLES['pictures'])})",
        [codec.line(row, r, scores[row]) for row, r in new],
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
    known = rows_of(connection, ids)
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
    gone = drop_rows(connection, rows_of(connection, [file.id for file in files]).values())
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
        [(s.size, s.mtime_ns, codec.origin(s.source), s.id) for s in states],
    )


def note_decoder(connection: sqlite3.Connection, formats: Mapping[str, str], decoder: int) -> None:
    """Set the decoder and the format of pictures."""
    known = rows_of(connection, list(formats))
    connection.executemany(
        "UPDATE pictures SET decoder = ?, format = ? WHERE row = ?",
        [(decoder, formats[id_], row) for id_, row in known.items()],
    )


def update(connection: sqlite3.Connection, metadata: Mapping[str, Mapping[str, Value]]) -> int:
    """Merge metadata into pictures; how many of them there were."""
    known = rows_of(connection, list(metadata))
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
    facts = facts_of(connection, list(known.values()), filters.Kinds())
    own = own_fields_of(connection, list(known.values()))
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
        f"SELECT seq, {schema.sound(schema.SEQUENCE)} FROM sqlite_sequence WHERE name = 'pictures' LIMIT 2"
    ).fetchall() or [(0, 1)]
    schema.require(given, "sqlite_sequence")
    used = connection.execute(
        "SELECT max(row) FROM (SELECT max(row) AS row FROM pictures UNION ALL SELECT max(row) FROM vectors)"
    )
    if len(given) > 1 or (used.fetchone()[0] or 0) > given[0][0]:
        raise StoreCorrupt(f"the gallery's count of rows is behind its pictures; {schema.ADVICE}")
    return int(given[0][0]) + 1

"""What is read from the tables, but for search."""

from __future__ import annotations

from collections import defaultdict
from math import isfinite
from operator import lt
from typing import TYPE_CHECKING, Any

from lookalike.errors import StoreCorrupt
from lookalike.stores.records import FILES, SOURCES, is_id
from lookalike.stores.sqlite import codec, columns, filters, migrations
from lookalike.types import Folder, Skipped, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from lookalike.stores.sqlite.filters import Kinds
    from lookalike.types import Classes, Record, Where

    Facts = dict[str, str | int | float]

_LINE = "row, paths.id, source, size, mtime_ns, digest, width, height"
_LARGE = (columns.SCORES, columns.THUMBNAIL)
_SINCE_2 = "decoder, format, from_picture"
_ITSELF = "pictures.id, name"
_LINES = {
    since: ", ".join(
        [
            _LINE,
            # The size is asked before the value: one larger than can be is not read.
            *(f"CASE WHEN length({c.name}) > {c.high} THEN 0 ELSE {c.name} END" for c in _LARGE),
            "0, '', 1" if since == 1 else _SINCE_2,
            _ITSELF,
        ]
    )
    for since in (1, 2)
}
"""What is selected of a record, by the gallery's format."""

_MEANT = f"(status NOT IN ({codec.SKIPPED}, {codec.REMOVED}) OR row IS NOT NULL)"
"""Which paths are meant to be pictures; of a sound gallery those of status 0."""

_ORIGINS = dict(enumerate(SOURCES))
_MOST_METADATA = 1 << 29
"""Bytes of the metadata of the pictures that are read at once."""


def records(
    connection: sqlite3.Connection, ids: Sequence[str], classes: Classes | None, kinds: Kinds
) -> list[Record | None]:
    """Records in the order asked for; None for an id that is not there."""
    found: dict[str, Record] = {}
    line = _LINES[migrations.version(connection)]
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
                raise StoreCorrupt(f"the metadata of {len(numbers)} pictures is endless; {columns.ADVICE}")
    return facts


def own_fields_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, frozenset[str]]:
    """The fields of some rows whose values are the picture's own."""
    column = "1, 1"
    if migrations.version(connection) > 1:
        column = f"from_picture, {columns.sound(columns.FROM_PICTURE)}"
    found: dict[int, frozenset[str]] = {}
    for part in codec.chunks(numbers):
        lines = connection.execute(
            f"SELECT row, {column} FROM pictures WHERE row IN ({codec.marks(part)})", part
        ).fetchall()
        columns.require(lines, "pictures")
        found.update((row, codec.fields_of(bits)) for row, bits, _ in lines)
    return found


def rows_of(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """The rows of those ids that are pictures."""
    found: dict[str, int] = {}
    for part in codec.chunks(list(filter(is_id, ids))):
        lines = connection.execute(
            f"SELECT paths.id, row, {columns.sound(columns.ROW)} AND paths.id = pictures.id FROM paths "
            f"LEFT JOIN pictures USING (row) WHERE paths.id IN ({codec.marks(part)}) AND {_MEANT}",
            part,
        ).fetchall()
        columns.require(lines, "paths")
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
        raise StoreCorrupt(f"the gallery has rows of no picture, or of another's; {columns.ADVICE}")
    return found


def scan(
    connection: sqlite3.Connection, where: Where, batch: int, classes: Classes | None, kinds: Kinds
) -> Iterator[tuple[list[int], list[Record]]]:
    """Rows and records of all pictures that pass a filter, in the order of ids."""
    condition, values = filters.compiled(connection, where)
    cursor = connection.execute(
        f"SELECT {_LINES[migrations.version(connection)]} FROM paths LEFT JOIN pictures USING (row) "
        f"WHERE {_MEANT} AND {condition} ORDER BY paths.id",
        values,
    )
    last = ""
    while lines := cursor.fetchmany(batch):
        found = _records(connection, lines, kinds, classes)
        for record in found:
            if record.id <= last:
                raise StoreCorrupt(f"the gallery's table paths is out of order; {columns.ADVICE}")
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
            origins = [_ORIGINS[source] for source in sources]
        except (KeyError, TypeError):
            whole = False
        if not whole or numbers != {int}:
            raise StoreCorrupt(f"the gallery's list of paths is not what one is; {columns.ADVICE}")
        last = ids[-1]
        yield from map(State, ids, kinds, origins, sizes, times)  # type: ignore[arg-type]


def outdated(connection: sqlite3.Connection, decoder: int) -> Iterator[str]:
    """The ids of pictures with a file, which a decoder of a lower version has read."""
    older = "" if migrations.version(connection) == 1 else f"AND decoder < {decoder:d}"
    sources = ",".join(str(SOURCES.index(source)) for source in FILES)
    cursor = connection.execute(
        "SELECT paths.id, typeof(paths.id) = 'text' FROM pictures CROSS JOIN paths USING (id) "
        f"WHERE status = 0 AND source IN ({sources}) {older}"
    )
    while lines := cursor.fetchmany(1000):
        columns.require(lines, "paths")
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
    sound = columns.sound(columns.ID, columns.SIZE, columns.MTIME, columns.REASON)
    lines = connection.execute(
        f"SELECT id, size, mtime_ns, coalesce(reason, ''), {sound} FROM paths "
        "WHERE status = ? AND status > 0 ORDER BY id",
        (codec.SKIPPED,),
    )
    return [Skipped(*line[:-1]) for some in columns.batches(lines, "paths") for line in some]


def removed(connection: sqlite3.Connection) -> list[str]:
    """Ids that are to stay out, sorted."""
    lines = connection.execute(
        f"SELECT id, {columns.sound(columns.ID)} FROM paths WHERE status = ? AND status > 0 ORDER BY id",
        (codec.REMOVED,),
    )
    return [id_ for some in columns.batches(lines, "paths") for id_, _ in some]


def folders(connection: sqlite3.Connection) -> list[Folder]:
    """The folders that were indexed."""
    sound = columns.sound(*columns.TABLES["folders"])
    lines = connection.execute(f"SELECT prefix, device, {sound} FROM folders ORDER BY prefix")
    return [Folder(*line[:-1]) for some in columns.batches(lines, "folders") for line in some]


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
        raise StoreCorrupt(f"the gallery counts {expected:,} pictures, and has {more}; {columns.ADVICE}")
    return expected

"""What is read from the tables, but for search."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt
from lookalike.stores.records import SOURCES, is_id
from lookalike.stores.sqlite import filters, migrations, rows
from lookalike.types import Folder, Skipped, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from lookalike.types import Classes, Record, Where

    Facts = dict[str, str | int | float]

_LINE = "paths.id, source, size, mtime_ns"
_PICTURE = "digest, width, height, scores, thumbnail"
_SINCE_2 = "decoder, format, from_picture"


def records(
    connection: sqlite3.Connection, ids: Sequence[str], classes: Classes | None
) -> list[Record | None]:
    """Records in the order asked for; None for an id that is not there."""
    found: dict[str, Record] = {}
    columns = _columns(connection)
    for part in rows.chunks(list(filter(is_id, ids))):
        lines = connection.execute(
            f"SELECT row, {columns} FROM paths JOIN pictures USING (row) "
            f"WHERE paths.id IN ({rows.marks(part)})",
            part,
        ).fetchall()
        facts = facts_of(connection, [line[0] for line in lines])
        for line in lines:
            found[line[1]] = rows.record(line[1:5], line[5:], facts[line[0]], classes)
    return [found.get(id_) for id_ in ids]


def _columns(connection: sqlite3.Connection) -> str:
    """The columns of a record, as far as the gallery's format has them."""
    later = "0, '', 1" if migrations.version(connection) == 1 else _SINCE_2
    return f"{_LINE}, {_PICTURE}, {later}"


def facts_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Facts]:
    """The metadata of some rows; empty for a row that has none."""
    facts: dict[int, Facts] = defaultdict(dict)
    for part in rows.chunks(numbers):
        found = connection.execute(
            f"SELECT row, field, value FROM facts WHERE row IN ({rows.marks(part)})", part
        )
        for row, field, value in found:
            facts[row][field] = value
    return facts


def own_fields_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, frozenset[str]]:
    """The fields of some rows whose values are the picture's own."""
    column = "1" if migrations.version(connection) == 1 else "from_picture"
    found: dict[int, frozenset[str]] = {}
    for part in rows.chunks(numbers):
        lines = connection.execute(
            f"SELECT row, {column} FROM pictures WHERE row IN ({rows.marks(part)})", part
        )
        found.update((row, rows.fields_of(bits)) for row, bits in lines)
    return found


def rows_of(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """The rows of those ids that are pictures."""
    found: dict[str, int] = {}
    for part in rows.chunks(list(filter(is_id, ids))):
        found.update(
            connection.execute(
                f"SELECT id, row FROM paths WHERE id IN ({rows.marks(part)}) AND status = 0", part
            ).fetchall()
        )
    return found


def ids_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The ids of some rows."""
    found: dict[int, str] = {}
    for part in rows.chunks(numbers):
        found.update(
            connection.execute(
                f"SELECT row, id FROM pictures WHERE row IN ({rows.marks(part)})", part
            ).fetchall()
        )
    return found


def scan(
    connection: sqlite3.Connection, where: Where, batch: int, classes: Classes | None
) -> Iterator[tuple[list[int], list[Record]]]:
    """Rows and records of all pictures that pass a filter, in the order of ids."""
    condition, values = filters.expression(where, filters.fields(connection))
    cursor = connection.execute(
        f"SELECT row, {_columns(connection)} FROM paths CROSS JOIN pictures USING (row) "
        f"WHERE status = 0 AND {condition} ORDER BY paths.id",
        values,
    )
    while lines := cursor.fetchmany(batch):
        numbers = [line[0] for line in lines]
        facts = facts_of(connection, numbers)
        yield numbers, [rows.record(line[1:5], line[5:], facts[line[0]], classes) for line in lines]


def states(connection: sqlite3.Connection) -> Iterator[State]:
    """Every path that is remembered, in the order of code points."""
    cursor = connection.execute("SELECT id, status, source, size, mtime_ns FROM paths ORDER BY id")
    statuses, sources = rows.STATUSES, SOURCES
    try:
        while lines := cursor.fetchmany(1000):
            for id_, status, source, size, mtime_ns in lines:
                yield State(id_, statuses[status], sources[source], size, mtime_ns)  # type: ignore[arg-type]
    except (IndexError, TypeError) as error:
        raise StoreCorrupt(f"the gallery's list of paths can't be read: {error}") from error


def by_digest(connection: sqlite3.Connection, digests: Sequence[bytes]) -> dict[bytes, list[str]]:
    """The ids of the pictures whose file has one of these digests, in the order they came in."""
    found: dict[bytes, list[str]] = defaultdict(list)
    for part in rows.chunks(list(set(digests))):
        lines = connection.execute(
            f"SELECT digest, id FROM pictures WHERE digest IN ({rows.marks(part)}) ORDER BY row", part
        )
        for digest, id_ in lines:
            found[digest].append(id_)
    return dict(found)


def skipped(connection: sqlite3.Connection) -> list[Skipped]:
    """Files that could not be indexed, sorted by id."""
    lines = connection.execute(
        "SELECT id, size, mtime_ns, reason FROM paths WHERE status = ? AND status > 0 ORDER BY id",
        (rows.SKIPPED,),
    )
    return [Skipped(*line) for line in lines]


def removed(connection: sqlite3.Connection) -> list[str]:
    """Ids that are to stay out, sorted."""
    lines = connection.execute(
        "SELECT id FROM paths WHERE status = ? AND status > 0 ORDER BY id", (rows.REMOVED,)
    )
    return [id_ for (id_,) in lines]


def folders(connection: sqlite3.Connection) -> list[Folder]:
    """The folders that were indexed."""
    return [
        Folder(*line) for line in connection.execute("SELECT prefix, device FROM folders ORDER BY prefix")
    ]

"""The SQLite file: made whole, connections, transactions, and what may go wrong in our words."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from lookalike.errors import StoreBusy, StoreCorrupt, StoreUnavailable
from lookalike.stores.sqlite import codec, filters, schema
from lookalike.stores.sqlite.connections import Connection, Connections
from lookalike.stores.sqlite.file import File, clear

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lookalike.system.directory import Directory
    from lookalike.types import Header

FILE = "gallery.sqlite"

_BESIDE_ERRORS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_WAIT_SECONDS = 30.0

_REASONS = {
    sqlite3.SQLITE_INTERRUPT: "reading it leads in circles",
    sqlite3.SQLITE_TOOBIG: "a value larger than any of ours",
}


_LIVE = (
    "SELECT generation, commits, count, "
    f"{schema.sound(schema.GENERATION, schema.COMMITS, schema.COUNT)} FROM live LIMIT 2"
)


@dataclass(frozen=True, slots=True)
class Live:
    """Where the gallery stands in one snapshot.

    generation: changes when everything is replaced.
    commits: grows with every change.
    count: how many pictures there are.
    """

    generation: str
    commits: int
    count: int


class Identity(NamedTuple):
    """What a gallery keeps when everything in it is replaced.

    token: tells it from every other gallery.
    indexed_ns: when the last complete indexing ended, in nanoseconds since 1970; 0 if that is not known.
    """

    token: str
    indexed_ns: int


class Database:
    """One gallery file. Readers each get a snapshot; there is one writer at a time.

    Args:
        directory: the gallery's folder.
        name: of the file in it, which must be there.

    Raises:
        NotFound, StoreCorrupt, StoreUnavailable: as the messages say.
    """

    def __init__(self, directory: Directory, name: str) -> None:
        self._file = File(directory, name)
        self.path = self._file.path
        self._connections = Connections(self.path, self._connect)
        self._migrated = False
        with self.translated(), self._connections.taken() as connection:
            schema.verify(connection, str(self.path))

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection in a snapshot of its own, undisturbed by what is written meanwhile."""
        with self.translated(), self._connections.taken() as connection:
            connection.execute("BEGIN")
            yield connection
            self._connections.require_own(connection)
            connection.execute("COMMIT")

    @contextmanager
    def changing(self, pictures: int = 0) -> Iterator[Change]:
        """A transaction that is durable when the block ends well, and undone when it does not."""
        with self._writing() as writer:
            # What is written to a file that was deleted or replaced is lost.
            self._file.require_current()
            writer.execute("BEGIN IMMEDIATE")
            change = Change(writer, pictures)
            yield change
            self._connections.require_own(writer)
            writer.execute("UPDATE live SET commits = commits + 1, count = count + ?", (change.pictures,))
            writer.execute("COMMIT")

    @property
    def writable(self) -> bool:
        """Whether the gallery may be written."""
        return not self._file.refusal

    def replace_by(self, other: Database) -> None:
        """Take over another one's content in one transaction; readers see all of it or nothing."""
        with self._writing() as writer:
            with other.changing() as change:
                # The next commit of this file, whichever content it brings; see `file`.
                commits = live(writer).commits
                change.connection.execute("UPDATE live SET commits = ?", (commits,))
            with other.reading() as source:
                source.backup(writer, pages=-1)
            # The log now holds the whole file once more. It stays where there is no room to merge it.
            with suppress(sqlite3.OperationalError):
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close every connection; a second time does nothing."""
        self._connections.close()
        self._file.close()

    def bytes(self) -> int:
        """What the file takes on disk once its log is merged in."""
        with self.reading() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            return int(pages * connection.execute("PRAGMA page_size").fetchone()[0])

    @contextmanager
    def translated(self) -> Iterator[None]:
        """SQLite's errors in our words."""
        try:
            yield
        except sqlite3.Error as error:
            raise _translation(error, self.path) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection that writes; older tables are brought up to date before."""
        if not self.writable:
            raise StoreUnavailable(self._file.refusal)
        # What goes wrong in the block ends the connection, and so undoes its transaction.
        with self.translated(), self._connections.taken() as writer:
            if not self._migrated:
                schema.migrate(writer)
                self._migrated = True
            yield writer

    def _connect(self) -> sqlite3.Connection:
        self._file.require_safe()
        try:
            connection = self._prepared()
        except sqlite3.OperationalError as error:
            if not self._stands_alone(error):
                raise
            self._file.refusal = (
                f"{self.path.parent} takes nothing that SQLite has to write beside the gallery ({error}), so "
                "it can only be read; make room on its disk, and open it again"
            )
            connection = self._prepared()
        return connection

    def _stands_alone(self, error: sqlite3.Error) -> bool:
        """Whether a file that can't be opened as others may is read as it is: nobody else has it open."""
        beside = error.sqlite_errorcode & 0xFF in _BESIDE_ERRORS
        return beside and self.writable and not self._connections.count and not self._file.is_shared()

    def _prepared(self) -> sqlite3.Connection:
        connection = self._connected("rw" if self.writable else "ro")
        try:
            filters.add_functions(connection)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA cache_size = -16384")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            if sys.version_info >= (3, 12):
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE)
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            # What was looked at is what was opened, unless it was changed twice.
            self._file.require_safe()
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self, mode: str) -> Connection:
        if mode == "rw":
            return connected(self.path, "rw")
        # Without the right to write there is no log to share: the file must stand on its own.
        if self._file.log_bytes():
            raise StoreUnavailable(
                f"{self.path} was not closed in order and can't be put right in a folder that can't be "
                "written; open it once where it can be"
            )
        return connected(self.path, "ro&immutable=1")


class Change:
    """A transaction under way.

    connection: to write with.
    pictures: how many more pictures there will be.
    """

    def __init__(self, connection: sqlite3.Connection, pictures: int) -> None:
        self.connection = connection
        self.pictures = pictures


def live(connection: sqlite3.Connection) -> Live:
    """Where the gallery stands in this connection's snapshot.

    Raises:
        StoreCorrupt: it does not say, or says what can't be.
    """
    lines = connection.execute(_LIVE).fetchall()
    if len(lines) != 1:
        raise StoreCorrupt(f"the gallery lost its count; {schema.ADVICE}")
    schema.require(lines, "live")
    return Live(*lines[0][:-1])


def generation(connection: sqlite3.Connection) -> object:
    """What tells the states of a gallery apart between which everything was replaced, whatever it is."""
    line = connection.execute("SELECT generation FROM live").fetchone()
    return None if line is None else line[0]


def identity(connection: sqlite3.Connection) -> Identity:
    """Read what outlives a rebuilding; a gallery of format 1 is known by its generation."""
    first = schema.version(connection) == 1
    sound = schema.sound(*((schema.GENERATION,) if first else (schema.TOKEN, schema.INDEXED)))
    names = "generation, 0" if first else "token, indexed_ns"
    lines = connection.execute(f"SELECT {names}, {sound} FROM live LIMIT 2").fetchall()
    if len(lines) != 1:
        raise StoreCorrupt(f"the gallery lost its identity; {schema.ADVICE}")
    schema.require(lines, "live")
    return Identity(*lines[0][:-1])


def connected(path: Path, mode: str) -> Connection:
    """Connect to a file that is known to be safe to open; `mode` is SQLite's own."""
    connection = sqlite3.connect(
        f"file://{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_WAIT_SECONDS,
        factory=Connection,
    )
    connection.bound(path)
    return connection


def _without(path: Path, error: sqlite3.Error) -> str:
    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
        return f"{path} can't be read or written: {error}"
    return (
        f"there is no room left for {path}; make room on its disk, and run it again: what was written before "
        "is safe"
    )


def _translation(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}:
        return StoreCorrupt(
            f"{path} is damaged ({error}); `lookalike check --repair` can put right what is not pictures, "
            "otherwise restore a copy or delete the folder and index again"
        )
    if primary in {sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_TOOBIG} or "decode to UTF-8" in str(error):
        return StoreCorrupt(
            f"{path} holds what no gallery holds ({_REASONS.get(primary or 0, error)}); {schema.ADVICE}"
        )
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusy(f"{path} is being written by another process ({error}); try again when it is done")
    if isinstance(error, sqlite3.OperationalError) and primary != sqlite3.SQLITE_ERROR:
        return StoreUnavailable(_without(path, error))
    if isinstance(error, sqlite3.ProgrammingError) and code is None:
        return StoreUnavailable(f"the gallery in {path.parent} was closed; open it again ({error})")
    return StoreCorrupt(f"{path} does not hold what a gallery holds: {error}; {schema.ADVICE}")


def create(directory: Directory, name: str, header: Header, page_size: int | None = None) -> None:
    """Make a new gallery file. The caller holds the right to write.

    Args:
        directory: the gallery's folder, which is there.
        name: of the file.
        header: what the gallery says of itself.
        page_size: in bytes; None for the one that suits the vectors.

    Raises:
        StoreUnavailable: the folder can't be written.
        StoreCorrupt: a link or the like has one of the names it needs.
        UsageError: the vectors are too long to be kept.
    """
    codec.check_dim(header.space.dim)
    temporary = f"{name}.tmp"
    try:
        clear(directory, temporary)
        directory.create(temporary)
        _fill(directory, temporary, header, page_size or schema.page_size(_row_bytes(header)))
        # What lies beside a file that is gone would be taken for the new one's.
        clear(directory, name)
        directory.replace(name, temporary)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError, StoreCorrupt):
            clear(directory, temporary)
        raise StoreUnavailable(
            f"a gallery can't be written to {directory.path} ({error}); make room there, or keep it "
            "elsewhere with --gallery FOLDER"
        ) from error


def _row_bytes(header: Header) -> int:
    return header.space.dim * (2 if header.space.row_type == "float16" else 4)


def _fill(directory: Directory, name: str, header: Header, page_size: int) -> None:
    connection = connected(directory.path / name, "rw")
    try:
        connection.execute(f"PRAGMA page_size = {page_size}")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise sqlite3.OperationalError("its log could not be begun")
        schema.create(connection)
        connection.execute("BEGIN")
        connection.execute("INSERT INTO header VALUES (?)", (codec.header_text(header),))
        connection.execute(
            "INSERT INTO live (generation, commits, count, token) VALUES (?, 0, 0, ?)",
            (os.urandom(8).hex(), os.urandom(16).hex()),
        )
        connection.executemany("INSERT INTO classes VALUES (?, ?, ?)", codec.class_rows(header.classes))
        connection.execute("INSERT INTO fields VALUES ('taken', 'text')")
        connection.execute("COMMIT")
        # What closing does if this fails it does silently, and the file would go without its log.
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("its log could not be merged")
    finally:
        connection.close()

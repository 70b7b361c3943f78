"""The folder that is filled: what is there, how a picture gets there whole, and the two tables."""

from __future__ import annotations

import csv
import os
from contextlib import contextmanager, suppress
from itertools import chain, count, repeat
from typing import TYPE_CHECKING, BinaryIO, Self

from lookalike.errors import UsageError
from lookalike.images.recognition import HEAD, recognise
from lookalike.sources.fetch.names import ENDINGS
from lookalike.sources.fetch.report import Failure
from lookalike.sources.fetch.wanted import OWN_COLUMNS
from lookalike.sources.ignoring import IGNORE_FILE
from lookalike.system import posix
from lookalike.system.files import unwritable, writing
from lookalike.system.text import unguarded, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lookalike.sources.fetch.wanted import Picture

METADATA, FAILED = "metadata.csv", "failed.csv"
_PART = ".lookalike-{}.part"
_LONGEST_URL = 5_000  # characters in `failed.csv`: a table may have whole pictures in place of addresses
_IN_MEMORY = 1_000_000  # bytes, for each thread
_ENDINGS = frozenset(ENDINGS.values())


class Folder:
    """A folder of pictures, one file an id.

    files: the name of the file for each stem, as of `look`.
    before: for each id of its `metadata.csv`, as an earlier run left it, (address, file name).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, str] = {}
        self.before: dict[str, tuple[str, str]] = {}
        self._numbers = count()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the right to fill the folder, which is made if need be, and look at what is there.

        Raises:
            UsageError: it can't be written, another run is filling it, or it has a `metadata.csv`
                or `failed.csv` that is somebody else's.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, posix.FOLDER)
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            self._lock(descriptor)
            try:
                self._look()
            except OSError as error:
                raise unwritable(self.path, error) from error
            yield
        finally:
            os.close(descriptor)

    def part(self) -> Part:
        """Begin a file under a name that nobody takes for a picture."""
        return Part(self.path / _PART.format(next(self._numbers)))

    def keep(self, part: Part, stem: str, kind: str) -> str:
        """Give a whole picture its name, in place of an older one of the same id; what it is called."""
        name = stem + ENDINGS[kind]
        part.save()
        try:
            part.path.replace(self.path / name)
            part.kept = True
        except OSError as error:
            raise unwritable(self.path, error) from error
        old = self.files.get(stem, name)
        if old != name:
            (self.path / old).unlink(missing_ok=True)
        return name

    def has(self, picture: Picture) -> str | None:
        """The name of this picture's file, if it is there and did not come from another address."""
        url, _ = self.before.get(picture.id, (picture.shown, ""))
        return self.files.get(picture.stem) if url in {picture.url, picture.shown} else None

    def write_metadata(self, names: Sequence[str], pictures: Sequence[tuple[str, Picture]]) -> int:
        """Write `metadata.csv`: these (file name, picture) pairs, and what else earlier runs left here.

        Returns:
            How many pictures it has.
        """
        there = {entry.name for entry in os.scandir(self.path)}
        written = {picture.id for _, picture in pictures}
        left = {id_ for id_, (_, path) in self.before.items() if id_ not in written and path in there}
        earlier = [row for row in self._rows(METADATA, OWN_COLUMNS) if row["id"] in left] if left else []
        others = dict.fromkeys(name for row in earlier for name in row if name not in OWN_COLUMNS)
        columns = ["path", "id", *dict.fromkeys([*names, *others]), "url"]
        rows = (
            dict(zip(names, picture.fields, strict=True))
            | {"path": name, "id": picture.id, "url": picture.shown}
            for name, picture in pictures
        )
        self._write(METADATA, columns, chain(rows, earlier))
        return len(pictures) + len(left)

    def write_failed(self, failed: Iterable[Failure]) -> None:
        """Write `failed.csv`."""
        self._leave_out_tables()
        rows = (failure._replace(url=failure.url[:_LONGEST_URL])._asdict() for failure in failed)
        self._write(FAILED, Failure._fields, rows)

    def _leave_out_tables(self) -> None:
        """Spare whoever indexes the folder the news that its tables are no pictures."""
        # Made anew or not at all: a link that leads nowhere is not followed.
        with suppress(OSError), (self.path / IGNORE_FILE).open("x", encoding="utf-8") as file:
            file.write(f"/{METADATA}\n/{FAILED}\n")

    def _lock(self, descriptor: int) -> None:
        try:
            posix.lock(descriptor)
        except BlockingIOError:
            raise UsageError(f"{self.path}: another run is filling it; try again when it is done") from None
        except OSError:
            pass  # a network's file system may lack locks

    def _look(self) -> None:
        entries = []
        for entry in os.scandir(self.path):
            if entry.name.startswith(".lookalike-") and entry.name.endswith(".part"):
                with suppress(IsADirectoryError, PermissionError):
                    os.unlink(entry)  # noqa: PTH108  # of a run that was killed
            elif entry.is_file():
                entries.append(entry)
        # Of two files of one id the newer counts: a run was stopped before it took the older away.
        for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime_ns):
            stem, ending = os.path.splitext(entry.name)  # noqa: PTH122  # a million times a run
            if ending in _ENDINGS and entry.stat().st_size:
                self.files[stem] = entry.name
        next(self._rows(FAILED, Failure._fields), None)
        self.before = {row["id"]: (row["url"], row["path"]) for row in self._rows(METADATA, OWN_COLUMNS)}

    def _rows(self, name: str, needed: Sequence[str]) -> Iterator[dict[str, str]]:
        """The rows of a table that an earlier run wrote."""
        file = self.path / name
        try:
            with file.open(newline="", encoding="utf-8") as lines:
                reader = csv.reader(lines, strict=True)
                columns = [unguarded(name) for name in next(reader, [])]
                ours = set(needed) <= set(columns)
                if ours:
                    for row in filter(None, reader):
                        cells = map(unguarded, chain(row, repeat("")))
                        yield dict(zip(columns, cells, strict=False))
        except FileNotFoundError:
            return
        except (OSError, ValueError, csv.Error):
            ours = False
        if not ours:
            message = "is not one that fetch wrote, and is left alone; move it away, or fetch elsewhere"
            raise UsageError(f"{file} {message}")

    def _write(self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
        """Replace a table whole: who reads it sees the old one or the new one."""
        try:
            with (
                writing(self.path / name) as part,
                part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as lines,
            ):
                write_csv(lines, chain([columns], ([row.get(name, "") for name in columns] for row in rows)))
        except OSError as error:
            raise unwritable(self.path, error) from error


class Part:
    """A file that is being fetched; deleted at the end of the block unless it was kept.

    It is looked at as it comes: what does not begin as a picture does is not fetched to its end. A
    small one waits in memory, which spares half of the calls of the system.

    path: where it is, once it was `saved`.
    size: in bytes.
    kept: whether it has a name of its own now.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.kept = False
        self._head = b""
        self._parts: list[bytes] = []
        self._waiting = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            if not self.kept:
                self.path.unlink(missing_ok=True)

    def write(self, content: bytes) -> None:
        """Add what came.

        Raises:
            ImageError: it is no picture.
            UsageError: the disk is full, or gone.
        """
        self.size += len(content)
        if len(self._head) < HEAD:
            self._head += content[:HEAD]
            if len(self._head) >= HEAD:
                recognise(self._head)
        self._parts.append(content)
        self._waiting += len(content)
        if self._waiting > _IN_MEMORY:
            self.save()

    def content(self) -> bytes:
        """Everything that came, once it has come."""
        if self._file is None:
            return b"".join(self._parts)
        self.save()
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise unwritable(self.path.parent, error) from error

    def save(self) -> None:
        """Write what came into the file at `path`."""
        try:
            if self._file is None:
                # A link that somebody laid there is not followed.
                self.path.unlink(missing_ok=True)
                self._file = self.path.open("xb", buffering=0)
            waiting = memoryview(b"".join(self._parts))
            while waiting:
                waiting = waiting[self._file.write(waiting) :]
        except OSError as error:
            raise unwritable(self.path.parent, error) from error
        self._parts, self._waiting = [], 0

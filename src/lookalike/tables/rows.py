"""Any table of the user, row by row: CSV, TSV, JSON, JSON lines, Parquet, or one address a line."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, cast

from lookalike.errors import UsageError
from lookalike.escapes import unguarded
from lookalike.tables.addresses import IMAGE_COLUMNS
from lookalike.tables.parquet import pyarrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_BATCH = 4096  # rows of Parquet held at a time
_SEPARATORS = ",;\t"
_PICTURE = re.compile(r"\.(jpe?g|jfif|png|gif|webp|bmp|tiff?|hei[cf]|avif|jp2|jxl|svg)\s*\Z", re.IGNORECASE)
_HEADERS = {*IMAGE_COLUMNS, "address", "addresses", "file", "file_name", "filename", "path"}
_AMONG_PICTURES = {".txt", ".json"}  # endings that files beside pictures have for other reasons
_BROKEN = (OSError, EOFError, ValueError, RecursionError, zlib.error, csv.Error)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be read several times.

    columns: its columns, in order.
    rows: gives each row's values of the columns asked for, as the format has them; text in CSV,
        numbers and lists too in JSON and Parquet, None for what is not there. Raises `UsageError`
        where the file turns out to be damaged.
    """

    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[tuple[object, ...]]]


def open_table(file: Path) -> Table:
    """Open a table by the ending of its name; `.gz` may follow, but for Parquet.

    A `.csv`, `.tsv` or `.txt` file whose first line holds an address, or the name of a picture, has no
    header: its columns are called `1`, `2` …. A `.txt` file of one column has one only if that is a usual
    name, as `url`.

    Raises:
        UsageError: another ending, or a file that can't be read as what it is called.
        MissingExtra: Parquet without the extra `tables`.
    """
    ending = _ending(file)
    if ending not in _OPENERS:
        raise UsageError(f"{file}: can't tell the format; expected a name in {', '.join(_OPENERS)}")
    return _opened(file, _OPENERS[ending])


def open_csv(file: Path) -> Table:
    """Open a table that is CSV whatever it is called, or TSV if it is called so.

    Raises:
        UsageError: it can't be read as such.
    """
    return _opened(file, _open_csv)


def is_table(file: Path, *, meant: bool) -> bool:
    """Whether a file's name ends as that of a table does.

    Args:
        file: its name.
        meant: whether a table is expected; else `.txt` and `.json` are taken for files of another kind.
    """
    ending = _ending(file)
    return ending in _OPENERS and (meant or ending not in _AMONG_PICTURES)


def _opened(file: Path, opener: Callable[[Path], Table]) -> Table:
    try:
        return opener(file)
    except _BROKEN as error:
        raise _unreadable(file, error) from error


def _ending(file: Path) -> str:
    endings = [ending.lower() for ending in file.suffixes]
    return next((ending for ending in reversed(endings) if ending != ".gz"), "")


def _unreadable(file: Path, error: Exception) -> UsageError:
    reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    return UsageError(f"{file}: can't be read as a table: {reason}")


def _text(file: Path) -> IO[str]:
    """A text file, with or without a byte order mark, packed or not."""
    if file.suffix.lower() == ".gz":
        return cast("IO[str]", gzip.open(file, "rt", newline="", encoding="utf-8-sig"))
    return file.open(newline="", encoding="utf-8-sig")


def _open_csv(file: Path) -> Table:
    with _text(file) as lines:
        first = lines.readline()
    separator = "\t" if _ending(file) == ".tsv" else _separator(first)
    return _open_text(file, separator, lambda head: not any(map(_is_place, head)))


def _open_list(file: Path) -> Table:
    """A list of places; in further columns, behind a tab, there may be more."""

    def is_header(head: list[str]) -> bool:
        return not any(map(_is_place, head)) and (len(head) > 1 or "".join(head).strip().lower() in _HEADERS)

    return _open_text(file, "\t", is_header)


def _open_text(file: Path, separator: str, is_header: Callable[[list[str]], bool]) -> Table:
    with _text(file) as lines:
        head = [unguarded(name) for name in next(csv.reader(lines, delimiter=separator, strict=True), [])]
    has_header = is_header(head)
    columns = tuple(head) if has_header else tuple(str(n + 1) for n in range(len(head)))

    def rows(wanted: Sequence[str]) -> Iterator[tuple[object, ...]]:
        places = [columns.index(name) for name in wanted]
        with _text(file) as lines:
            reader = csv.reader(lines, delimiter=separator, strict=True)
            try:
                for row in islice(reader, int(has_header), None):
                    if row:
                        yield tuple(unguarded(row[n]) if n < len(row) else None for n in places)
            except _BROKEN as error:
                raise _unreadable(file, ValueError(f"line {reader.line_num}: {error}")) from error

    return Table(columns, rows)


def _is_place(cell: str) -> bool:
    """Whether a cell is an address, a path, or the name of a picture, and so no column's name."""
    return _is_address(cell) or _PICTURE.search(cell) is not None


def _is_address(cell: str) -> bool:
    return "://" in cell or cell.startswith("/")


def _separator(first: str) -> str:
    """What the first line has most of: programs write `;`, too. An address may hold all of them."""
    header = "" if _is_address(first) else first
    return max(_SEPARATORS, key=header.count)


def _open_json_lines(file: Path) -> Table:
    def objects() -> Iterator[dict[str, object]]:
        number = 0
        try:
            with _text(file) as lines:
                for line in lines:
                    number += 1  # the handler below tells it
                    if line.strip():
                        yield _object(json.loads(line))
        except _BROKEN as error:
            raise _unreadable(file, ValueError(f"line {number}: {error}")) from error

    return _of_objects(objects)


def _open_json(file: Path) -> Table:
    with _text(file) as text:
        content = json.load(text)
    if not isinstance(content, list):
        raise ValueError("expected a list of objects")  # noqa: TRY004  # the file is at fault
    found = [_object(item) for item in content]
    return _of_objects(lambda: iter(found))


def _object(item: object) -> dict[str, object]:
    if not isinstance(item, dict):
        raise ValueError(f"expected an object, found {json.dumps(item):.40}")  # noqa: TRY004  # the file is at fault
    return item


def _of_objects(objects: Callable[[], Iterator[dict[str, object]]]) -> Table:
    columns = tuple(dict.fromkeys(name for item in objects() for name in item))

    def rows(wanted: Sequence[str]) -> Iterator[tuple[object, ...]]:
        for item in objects():
            yield tuple(item.get(name) for name in wanted)

    return Table(columns, rows)


def _open_parquet(file: Path) -> Table:
    pa, pq = pyarrow()
    try:
        with pq.ParquetFile(file) as opened:
            columns = tuple(opened.schema_arrow.names)
        if len(set(columns)) < len(columns):
            raise ValueError("two of its columns have one name")
    except pa.ArrowException as error:
        raise _unreadable(file, error) from error

    def rows(wanted: Sequence[str]) -> Iterator[tuple[object, ...]]:
        try:
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(_BATCH, columns=list(dict.fromkeys(wanted))):
                    yield from zip(*(batch.column(name).to_pylist() for name in wanted), strict=True)
        except (pa.ArrowException, *_BROKEN) as error:
            raise _unreadable(file, error) from error

    return Table(columns, rows)


_OPENERS = {
    ".csv": _open_csv,
    ".tsv": _open_csv,
    ".txt": _open_list,
    ".jsonl": _open_json_lines,
    ".ndjson": _open_json_lines,
    ".json": _open_json,
    ".parquet": _open_parquet,
}

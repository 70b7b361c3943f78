"""Any table of the user, row by row: CSV, TSV, JSON, JSON lines, Parquet, or one address a line."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, cast

from lookalike.errors import UsageError
from lookalike.sources.tables.addresses import IMAGE_COLUMNS
from lookalike.sources.tables.parquet import pyarrow
from lookalike.system.text import unguarded

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
    decimal_comma: whether a comma may stand before decimals, for it does not separate cells.
    """

    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[tuple[object, ...]]]
    decimal_comma: bool = False


def open_table(file: Path) -> Table:
    """Open a table by the ending of its name; `.gz` may follow, but for Parquet.

    A `.csv`, `.tsv` or `.txt` file whose first line holds an address, or the name of a picture, has no
    header: its columns are called `1`, `2` …. A `.txt` file of one column has one only if that is a usual
    name, as `url`.

    Raises:
        UsageError: another ending, a file that can't be read as what it is called, or has two columns of
            one name.
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


def csv_rows(file: Path) -> list[list[str]]:
    """Return every row of a CSV or TSV table, the header too; a line with nothing in it is an empty row.

    Raises:
        UsageError: it can't be read as such.
    """
    try:
        return [[unguarded(cell) for cell in row] for _, row in _numbered(file, _separator_of(file))]
    except _BROKEN as error:
        raise _unreadable(file, error) from error


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
    """A text file, packed or not: UTF-8 with or without a byte order mark, or UTF-16 with one."""
    packed = file.suffix.lower() == ".gz"
    with gzip.open(file, "rb") if packed else file.open("rb") as beginning:
        mark = beginning.read(2)
    encoding = "utf-16" if mark in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig"
    if packed:
        return cast("IO[str]", gzip.open(file, "rt", newline="", encoding=encoding))
    return file.open(newline="", encoding=encoding)


def _open_csv(file: Path) -> Table:
    return _open_text(file, _separator_of(file), lambda head: not any(map(_is_place, head)))


def _separator_of(file: Path) -> str:
    if _ending(file) == ".tsv":
        return "\t"
    with _text(file) as lines:
        return _separator(lines.readline())


def _open_list(file: Path) -> Table:
    """A list of places; in further columns, behind a tab, there may be more."""

    def is_header(head: list[str]) -> bool:
        return not any(map(_is_place, head)) and (len(head) > 1 or "".join(head).strip().lower() in _HEADERS)

    return _open_text(file, "\t", is_header)


def _open_text(file: Path, separator: str, is_header: Callable[[list[str]], bool]) -> Table:
    with _text(file) as lines:
        head = [
            unguarded(name).strip() for name in next(csv.reader(lines, delimiter=separator, strict=True), [])
        ]
    has_header = is_header(head)
    columns = tuple(head) if has_header else tuple(str(n + 1) for n in range(len(head)))
    _require_distinct(columns)

    def rows(wanted: Sequence[str]) -> Iterator[tuple[object, ...]]:
        places = [columns.index(name) for name in wanted]
        for row in _rows_of_text(file, separator, len(columns) if has_header else None):
            yield tuple(unguarded(row[n]) if n < len(row) else None for n in places)

    return Table(columns, rows, decimal_comma=separator != ",")


def _rows_of_text(file: Path, separator: str, width: int | None) -> Iterator[list[str]]:
    """The rows of a text that are not empty; below a header of so many names, without it."""
    for number, row in islice(_numbered(file, separator), int(width is not None), None):
        if width is not None and any(row[width:]):
            found = f"line {number}: it has {len(row)} cells below a header of {width}"
            advice = "a text that holds the separator needs quotes around it"
            raise _unreadable(file, ValueError(f"{found}; {advice}"))
        if row:
            yield row


def _numbered(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Every row of a text with the number of its last line."""
    with _text(file) as lines:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except _BROKEN as error:
            raise _unreadable(file, ValueError(f"line {reader.line_num}: {error}")) from error


def _require_distinct(columns: Sequence[str]) -> None:
    """Raise `ValueError` where two columns have one name; those without a name are nobody's."""
    twice = next((name for name, count in Counter(columns).items() if name and count > 1), None)
    if twice is not None:
        raise ValueError(f"two of its columns have one name, {twice!r}; rename one of them")


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
                        yield _object(json.loads(line, object_pairs_hook=_distinct))
        except _BROKEN as error:
            raise _unreadable(file, ValueError(f"line {number}: {error}")) from error

    return _of_objects(objects)


def _open_json(file: Path) -> Table:
    with _text(file) as text:
        content = json.load(text, object_pairs_hook=_distinct)
    if not isinstance(content, list):
        raise ValueError("expected a list of objects")  # noqa: TRY004  # the file is at fault
    found = [_object(item) for item in content]
    return _of_objects(lambda: iter(found))


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    _require_distinct([name for name, _ in pairs])
    return dict(pairs)


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
        _require_distinct(columns)
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

"""Tables in and out: the user's metadata from CSV, vectors to `.npz`, `.csv` and `.parquet`."""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

from lookalike.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lookalike.types import Batch, Value

PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "id")
"""The columns that may hold the path, in the order they are looked for."""


# Leading zeros mean a code (a postcode, an article number), which is text.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?=\.?\d)(?!0\d)\d*(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_LONGEST = 18  # digits that fit in 64 bits


def read_metadata(file: Path) -> dict[str, dict[str, Value]]:
    """Read a CSV or TSV table with a column for the path, one row a picture.

    A column whose every value is an integer, or a number, is read as such; an empty cell is no
    value.

    Args:
        file: the table, with a header line; UTF-8, with or without a byte order mark.

    Returns:
        For each path as the table has it, its fields.

    Raises:
        UsageError: the table can't be read, or has no column for the path.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            dialect = csv.excel_tab if file.suffix.lower() == ".tsv" else csv.excel
            reader = csv.DictReader(lines, dialect=dialect, strict=True)
            names = [name for name in reader.fieldnames or () if name]
            lower = {name.lower(): name for name in reversed(names)}
            column = next((lower[name] for name in PATH_COLUMNS if name in lower), None)
            if column is None:
                raise UsageError(
                    f"{file}: no column for the path; expected one of {', '.join(PATH_COLUMNS)}, "
                    f"found {', '.join(names) or 'an empty file'}"
                )
            rows = {row[column]: row for row in reader if row[column]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file}: can't be read as a table: {error}") from error
    types = {n: _type_of(row.get(n) for row in rows.values()) for n in names if n != column}
    return {path: {n: read(row[n]) for n, read in types.items() if row.get(n)} for path, row in rows.items()}


def _type_of(values: Iterable[str | None]) -> Callable[[str], Value]:
    filled = [value for value in values if value]
    if filled and all(_INTEGER.fullmatch(value) for value in filled):
        # A longer number is a code: as a float it would lose its last digits.
        return int if all(len(value) <= _LONGEST for value in filled) else str
    return float if filled and all(_NUMBER.fullmatch(value) for value in filled) else str


def write_vectors(file: Path, batches: Iterable[Batch], dim: int) -> int:
    """Write ids and vectors to `.npz`, `.csv` or `.parquet`, by the ending of the file's name.

    Args:
        file: where to; replaced whole, and only once everything is written.
        batches: the records with their vectors; held one batch at a time.
        dim: numbers in a vector.

    Returns:
        How many pictures were written.

    Raises:
        UsageError: another ending, or a place that can't be written.
        MissingExtra: Parquet without the extra `tables`.
    """
    writers = {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}
    write = writers.get(file.suffix.lower())
    if write is None:
        raise UsageError(f"{file}: can't tell the format; expected a name in {', '.join(writers)}")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        count = write(temporary, batches, dim)
        temporary.replace(file)
    except OSError as error:
        raise UsageError(f"{file}: can't be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_npz(file: Path, batches: Iterable[Batch], dim: int) -> int:
    import numpy as np
    from numpy.lib import format as npy

    # An array's header holds its length, so the vectors wait in a file of their own until all are
    # counted: a million of 1,280 numbers are 5 GB, and one pass sees one state of the gallery.
    ids: list[str] = []
    with tempfile.TemporaryFile(dir=file.parent) as rows, zipfile.ZipFile(file, "w") as archive:
        for batch in batches:
            ids += (record.id for record in batch.records)
            rows.write(batch.vectors.astype("<f4").tobytes())
        with archive.open("ids.npy", "w", force_zip64=True) as member:
            npy.write_array(member, np.array(ids, dtype=np.str_), allow_pickle=False)
        with archive.open("vectors.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(ids), dim)}
            npy.write_array_header_1_0(member, header)
            rows.seek(0)
            shutil.copyfileobj(rows, member, 1 << 20)
    return len(ids)


def _write_csv(file: Path, batches: Iterable[Batch], dim: int) -> int:
    count = 0
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["id", *(f"v{i}" for i in range(dim))])
        for batch in batches:
            for record, vector in zip(batch.records, batch.vectors, strict=True):
                writer.writerow([record.id, *(f"{x:.9g}" for x in vector.tolist())])
            count += len(batch.records)
    return count


def _write_parquet(file: Path, batches: Iterable[Batch], dim: int) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        message = "Parquet needs an extra package: pip install 'lookalike[tables]'"
        raise MissingExtra(message) from error
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), dim))])
    count = 0
    with pq.ParquetWriter(file, schema) as writer:
        for batch in batches:
            writer.write_table(_arrow_table(pa, schema, batch, dim))
            count += len(batch.records)
    return count


def _arrow_table(pa: Any, schema: Any, batch: Batch, dim: int) -> Any:
    ids = pa.array([record.id for record in batch.records], pa.string())
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(batch.vectors.ravel(), pa.float32()), dim)
    return pa.Table.from_arrays([ids, vectors], schema=schema)

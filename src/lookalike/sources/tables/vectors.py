"""Vectors out, to `.npz`, `.csv` and `.parquet`."""

from __future__ import annotations

import csv
import shutil
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

from lookalike.sources.tables.parquet import pyarrow
from lookalike.system.files import check_file, replacing
from lookalike.system.text import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lookalike.types import Batch


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
    check_file(file, writers, "vectors")
    write = writers[file.suffix.lower()]
    with replacing(file) as temporary:
        return write(temporary, batches, dim)


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
                writer.writerow([guarded(record.id), *(f"{x:.9g}" for x in vector.tolist())])
            count += len(batch.records)
    return count


def _write_parquet(file: Path, batches: Iterable[Batch], dim: int) -> int:
    pa, pq = pyarrow()
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

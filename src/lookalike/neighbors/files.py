"""Neighbours as a file: CSV, JSON lines or Parquet, a row a neighbour."""

from __future__ import annotations

import csv
import json
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from lookalike.escapes import guarded
from lookalike.files import check_file as check_place
from lookalike.files import replacing
from lookalike.tables.parquet import pyarrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from lookalike.neighbors.neighbor import Neighbor

    Answers: TypeAlias = Iterable[tuple[str, Sequence[Neighbor]]]
    Line: TypeAlias = tuple[str, int, str, float, float]

COLUMNS = ("id", "rank", "neighbor", "score", "distance")

_TOGETHER = 16_384


def write(file: Path, answers: Answers) -> int:
    """Write neighbours to `.csv`, `.jsonl` or `.parquet`, by the ending of the file's name.

    Args:
        file: where to; replaced whole, and only once everything is written.
        answers: as `neighbors` gives them; a few are held at a time.

    Returns:
        How many rows were written: id, rank (from 1), neighbor, score, distance.

    Raises:
        UsageError: another ending, or a place that can't be written.
        MissingExtra: Parquet without the extra `tables`.
    """
    save = _writer(file)
    with replacing(file) as temporary:
        return save(temporary, _lines(answers))


def check_file(file: Path) -> None:
    """Make sure that neighbours can be written there, before the long work begins.

    Raises:
        UsageError, MissingExtra: as `write`.
    """
    _writer(file)


def _writer(file: Path) -> Callable[[Path, Iterator[Line]], int]:
    writers = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}
    check_place(file, writers, "neighbors")
    save = writers[file.suffix.lower()]
    if save is _write_parquet:
        pyarrow()
    return save


def _lines(answers: Answers) -> Iterator[Line]:
    for id_, found in answers:
        for rank, neighbor in enumerate(found, start=1):
            yield id_, rank, *neighbor


def _write_csv(file: Path, lines: Iterator[Line]) -> int:
    count = 0
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for id_, rank, neighbor, score, distance in lines:
            writer.writerow((guarded(id_), rank, guarded(neighbor), f"{score:.9g}", f"{distance:.9g}"))
            count += 1
    return count


def _write_jsonl(file: Path, lines: Iterator[Line]) -> int:
    count = 0
    with file.open("w", encoding="ascii") as out:
        for line in lines:
            out.write(json.dumps(dict(zip(COLUMNS, line, strict=True)), allow_nan=False) + "\n")
            count += 1
    return count


def _write_parquet(file: Path, lines: Iterator[Line]) -> int:
    pa, pq = pyarrow()
    types = (pa.string(), pa.int32(), pa.string(), pa.float64(), pa.float64())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    count = 0
    with pq.ParquetWriter(file, schema) as writer:
        while some := list(islice(lines, _TOGETHER)):
            columns = [
                pa.array(column, kind) for column, kind in zip(zip(*some, strict=True), types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(some)
    return count

"""Neighbours as a file: CSV, JSON lines or Parquet, a row a neighbour."""

from __future__ import annotations

import csv
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.sources.tables.parquet import pyarrow
from lookalike.system.files import check_file as check_place
from lookalike.system.files import replacing
from lookalike.system.text import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lookalike.evaluation.neighbors.facts import Facts
    from lookalike.evaluation.neighbors.neighbor import Neighbor

    Answers: TypeAlias = Iterable[tuple[str, Sequence[Neighbor]]]
    Line: TypeAlias = tuple[Any, ...]
    Columns: TypeAlias = Mapping[str, str]

_TOGETHER = 16_384


def write(file: Path, answers: Answers, facts: Facts | None = None) -> int:
    """Write neighbours to `.csv`, `.jsonl` or `.parquet`, by the ending of the file's name.

    Args:
        file: where to; replaced whole, and only once everything is written.
        answers: as `neighbors` gives them; a few are held at a time.
        facts: fields to write beside them, of the picture and of its neighbour.

    Returns:
        How many rows were written: id, rank (from 1), neighbor, score, distance, and the fields.

    Raises:
        UsageError: another ending, or a place that can't be written.
        MissingExtra: Parquet without the extra `tables`.
    """
    save = _writer(file)
    columns = _columns(facts)
    with replacing(file) as temporary:
        return save(temporary, columns, _lines(answers, facts))


def check_file(file: Path) -> None:
    """Make sure that neighbours can be written there, before the long work begins.

    Raises:
        UsageError, MissingExtra: as `write`.
    """
    _writer(file)


def _writer(file: Path) -> Callable[[Path, Columns, Iterator[Line]], int]:
    writers = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}
    check_place(file, writers, "neighbors")
    save = writers[file.suffix.lower()]
    if save is _write_parquet:
        pyarrow()
    return save


def _columns(facts: Facts | None) -> Columns:
    """The types of the columns by their names."""
    kinds = {"id": "text", "rank": "rank", "neighbor": "text", "score": "real", "distance": "real"}
    types = [] if facts is None else [facts.types[name] for name in facts.fields]
    return kinds | dict(zip(() if facts is None else facts.columns, types * 2, strict=True))


def _lines(answers: Answers, facts: Facts | None) -> Iterator[Line]:
    if facts is None:
        for id_, found in answers:
            for rank, neighbor in enumerate(found, start=1):
                yield id_, rank, *neighbor
        return
    for (id_, found), values in facts.beside(answers):
        for rank, neighbor in enumerate(found, start=1):
            yield id_, rank, *neighbor, *values[id_], *values[neighbor.id]


def _write_csv(file: Path, columns: Columns, lines: Iterator[Line]) -> int:
    count = 0
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(map(guarded, columns))
        for id_, rank, neighbor, score, distance, *values in lines:
            own = (guarded(value) if isinstance(value, str) else value for value in values)
            writer.writerow((guarded(id_), rank, guarded(neighbor), f"{score:.9g}", f"{distance:.9g}", *own))
            count += 1
    return count


def _write_jsonl(file: Path, columns: Columns, lines: Iterator[Line]) -> int:
    count = 0
    with file.open("w", encoding="ascii") as out:
        for line in lines:
            out.write(json.dumps(dict(zip(columns, line, strict=True)), allow_nan=False) + "\n")
            count += 1
    return count


def _write_parquet(file: Path, columns: Columns, lines: Iterator[Line]) -> int:
    pa, pq = pyarrow()
    kinds = {"text": pa.string(), "rank": pa.int32(), "integer": pa.int64(), "real": pa.float64()}
    schema = pa.schema([(name, kinds[type_]) for name, type_ in columns.items()])
    count = 0
    with pq.ParquetWriter(file, schema) as writer:
        while some := list(islice(lines, _TOGETHER)):
            arrays = [
                pa.array(column, kind)
                for column, kind in zip(zip(*some, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(some)
    return count

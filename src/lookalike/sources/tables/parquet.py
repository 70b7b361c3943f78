"""The library that reads and writes Parquet, which is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.system import imports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_ROWS = 1024


def pyarrow() -> tuple[Any, Any]:
    """Give `pyarrow` and `pyarrow.parquet`. Raises `MissingExtra` where they are not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise imports.missing("Parquet", "tables") from error
    return pa, pq


def parquet_batches(file: Path, columns: Sequence[str], size: int) -> Iterator[Any]:
    """Some columns of a Parquet file as `pyarrow.RecordBatch`es of about so many bytes.

    Raises:
        MissingExtra: the extra `tables` is not installed.
        ValueError: it is no Parquet file, or lacks one of the columns.
    """
    _, pq = pyarrow()
    with pq.ParquetFile(file) as table:
        names = table.schema_arrow.names
        if len(set(names)) < len(names):
            raise ValueError("two of its columns have one name; rename one of them")
        missing = [column for column in columns if column not in table.schema_arrow.names]
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}; it has {table.schema_arrow.names}")
        groups = [table.metadata.row_group(i) for i in range(table.num_row_groups)]
        row = max((_row_bytes(group) for group in groups), default=0)
        rows = max(1, min(_ROWS, size // max(row, 1)))
        for batch in table.iter_batches(rows, columns=list(columns)):
            if batch.num_rows:
                yield batch


def _row_bytes(group: Any) -> int:
    """What a row takes in memory: of numbers that repeat themselves a file has next to nothing."""
    values = sum(group.column(i).num_values for i in range(group.num_columns))
    return int(max(group.total_byte_size, 4 * values) // max(group.num_rows, 1))

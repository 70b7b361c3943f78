"""The library that reads and writes Parquet, which is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def pyarrow() -> tuple[Any, Any]:
    """Give `pyarrow` and `pyarrow.parquet`. Raises `MissingExtra` where they are not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        message = "Parquet needs an extra package: pip install 'lookalike[tables]'"
        raise MissingExtra(message) from error
    return pa, pq


def parquet_batches(file: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Some columns of a Parquet file as `pyarrow.RecordBatch`es, within bounded memory.

    Raises:
        MissingExtra: the extra `tables` is not installed.
        ValueError: it is no Parquet file, or lacks one of the columns.
    """
    _, pq = pyarrow()
    with pq.ParquetFile(file) as table:
        missing = [column for column in columns if column not in table.schema_arrow.names]
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}; it has {table.schema_arrow.names}")
        yield from table.iter_batches(batch_size=1024, columns=list(columns))

"""Tables in and out: metadata and URL tables of the user, vectors for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.system.imports import attributes

if TYPE_CHECKING:
    from lookalike.sources.tables.arrays import LARGEST_DIM, read_head, read_vector
    from lookalike.sources.tables.metadata import PATH_COLUMNS, read_metadata
    from lookalike.sources.tables.parquet import parquet_batches
    from lookalike.sources.tables.rows import Table, is_table, open_csv, open_table
    from lookalike.sources.tables.vectors import write_vectors

__all__ = [
    "LARGEST_DIM",
    "PATH_COLUMNS",
    "Table",
    "is_table",
    "open_csv",
    "open_table",
    "parquet_batches",
    "read_head",
    "read_metadata",
    "read_vector",
    "write_vectors",
]

# A search reads no table.
_LATER = {
    "LARGEST_DIM": "arrays",
    "PATH_COLUMNS": "metadata",
    "Table": "rows",
    "is_table": "rows",
    "open_csv": "rows",
    "open_table": "rows",
    "parquet_batches": "parquet",
    "read_head": "arrays",
    "read_metadata": "metadata",
    "read_vector": "arrays",
    "write_vectors": "vectors",
}


__getattr__ = attributes(__name__, _LATER)

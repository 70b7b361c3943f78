"""One's own vectors and ids as a gallery: read from a file block by block, written as they are."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import UsageError
from lookalike.model import IMPORTED
from lookalike.results import Skip
from lookalike.types import Header, Record
from lookalike.walk import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.results import Report
    from lookalike.types import Floats, Store

_BLOCK_BYTES = 16 << 20


class Block(NamedTuple):
    """Some ids with their vectors, ndarray of shape (n, dim)."""

    ids: Sequence[str]
    vectors: Floats


def header(dim: int, metric: str, root: str) -> Header:
    """What a gallery of such vectors says of itself; they are kept as they are, in float32."""
    return Header(IMPORTED, "", dim, metric, "f32", normalized=False, row_type="float32", root=root)


def records(block: Block, root: str) -> list[Record]:
    """The records of a block; an id that is a file below the root is that file."""
    return [_record(id_, vector, root) for id_, vector in zip(block.ids, block.vectors, strict=True)]


def _record(id_: str, vector: Floats, root: str) -> Record:
    digest = hashlib.blake2b(vector.tobytes(), digest_size=16).digest()
    with suppress(OSError, ValueError):
        file = Path(path_of(id_, root))
        if file.is_file():
            status = file.stat()
            return Record(id_, "file", status.st_size, status.st_mtime_ns, digest, 0, 0)
    return Record(id_, "array", 0, 0, digest, 0, 0)


def write(store: Store, block: Block, report: Report) -> None:
    """Write a block into a store, and count it in the report.

    Raises:
        UsageError: its vectors are not of the gallery's size.
    """
    if block.vectors.shape[1] != store.header.dim:
        raise UsageError(
            f"the vectors have {block.vectors.shape[1]} numbers, those of {store.address} have "
            f"{store.header.dim}: use --name for another gallery beside it"
        )
    known = sum(record is not None for record in store.get(block.ids))
    failures = store.write(records(block, report.root), block.vectors)
    report.skipped += [Skip(failure.id, failure.reason) for failure in failures]
    report.updated += known
    report.added += len(block.ids) - known - len(failures)


def read(file: Path) -> Iterator[Block]:
    """Read ids and vectors from a `.npz`, `.csv` or `.parquet` file as `lookalike export` writes it.

    Args:
        file: `.npz` with the arrays `ids` (n,) and `vectors` (n, dim); `.csv` with the column `id` and a
            column a number; `.parquet` with the columns `id` and `vector`.

    Raises:
        UsageError: the file can't be read, or holds something else.
        MissingExtra: Parquet without the extra `tables`.
    """
    readers = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise UsageError(f"{file}: can't tell the format; expected a name in {', '.join(readers)}")
    seen: set[str] = set()
    try:
        for block in reader(file):
            again = next((id_ for id_ in block.ids if id_ in seen), None) or _twice(block.ids)
            if again is not None:
                raise UsageError(f"{file}: the id {again!r} is there twice; every vector needs its own")
            seen.update(block.ids)
            yield block
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, csv.Error) as error:
        raise UsageError(f"{file}: can't be read as ids and vectors: {error}") from error


def given(ids: Sequence[str], vectors: NDArray[Any]) -> Iterator[Block]:
    """Ids and vectors (n, dim) in memory as blocks.

    Raises:
        UsageError: they do not fit together.
    """
    if vectors.ndim != 2 or len(ids) != len(vectors) or vectors.dtype.kind not in "fiu":
        raise UsageError(
            f"expected vectors of shape (n, dim) and n ids; there are {len(ids)} ids, and an array of shape "
            f"{vectors.shape}, {vectors.dtype}"
        )
    if (again := _twice(ids)) is not None:
        raise UsageError(f"the id {again!r} is there twice; every vector needs its own")
    step = max(1, _BLOCK_BYTES // (4 * max(vectors.shape[1], 1)))
    for start in range(0, len(ids), step):
        part = np.ascontiguousarray(vectors[start : start + step], np.float32)
        yield Block([str(id_) for id_ in ids[start : start + step]], part)


def _twice(ids: Sequence[str]) -> str | None:
    known: set[str] = set()
    return next((id_ for id_ in ids if id_ in known or known.add(id_)), None)  # type: ignore[func-returns-value]


def _read_npz(file: Path) -> Iterator[Block]:
    with zipfile.ZipFile(file) as archive:
        with archive.open("ids.npy") as member:
            ids = np.lib.format.read_array(member, allow_pickle=False)
        # The vectors may be larger than memory: they are read on from where the header ends.
        with archive.open("vectors.npy") as member:
            version = np.lib.format.read_magic(member)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
            reader = reader or np.lib.format.read_array_header_2_0
            shape, fortran, dtype = reader(member)
            if len(shape) != 2 or shape[0] != len(ids) or dtype.kind not in "fiu":
                raise ValueError(f"ids has {len(ids)} entries, vectors the shape {shape} of {dtype}")
            if fortran:
                raise ValueError("vectors lie column by column; save np.ascontiguousarray(vectors)")
            step = max(1, _BLOCK_BYTES // max(dtype.itemsize * shape[1], 1))
            for start in range(0, shape[0], step):
                names = [str(id_) for id_ in ids[start : start + step].tolist()]
                content = member.read(len(names) * shape[1] * dtype.itemsize)
                rows = np.frombuffer(content, dtype).reshape(len(names), shape[1])
                yield Block(names, rows.astype(np.float32))


def _read_csv(file: Path) -> Iterator[Block]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        heads = next(reader, [])
        if not heads or heads[0] != "id" or len(heads) < 2:
            raise ValueError(f"expected the columns id, v0, v1, … and found {', '.join(heads[:3]) or 'none'}")
        step = max(1, _BLOCK_BYTES // (64 * len(heads)))
        while rows := [row for _, row in zip(range(step), reader, strict=False)]:
            if any(len(row) != len(heads) for row in rows):
                raise ValueError(f"a row does not have {len(heads)} cells as the header has")
            yield Block([row[0] for row in rows], np.array([row[1:] for row in rows], np.float32))


def _read_parquet(file: Path) -> Iterator[Block]:
    from lookalike.tables import parquet_batches

    for batch in parquet_batches(file, ("id", "vector")):
        ids, vectors = batch.column("id").to_pylist(), batch.column("vector").to_pylist()
        yield Block([str(id_) for id_ in ids], np.array(vectors, np.float32))

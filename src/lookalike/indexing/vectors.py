"""One's own vectors and ids as a gallery: read from a file block by block, written as they are."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike.errors import LookalikeError, UsageError
from lookalike.extractors.model import IMPORTED
from lookalike.reports import Skip
from lookalike.sources.folder import path_of
from lookalike.sources.tables import LARGEST_DIM, read_head
from lookalike.system.text import unguarded
from lookalike.types import Header, Record, Space

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from lookalike.reports import Report
    from lookalike.types import Floats, Store

    Given: TypeAlias = str | os.PathLike[str] | tuple[Sequence[Any], ArrayLike]

_BLOCK_BYTES = 16 << 20
_BLOCK_ROWS = 4096
_MOST_IDS = 1 << 31
_MOST_COLUMNS = 1 << 33
"""Bytes of ids, and of vectors that lie column by column, which have to be held at once."""


class Block(NamedTuple):
    """Some ids with their vectors, ndarray of shape (n, dim)."""

    ids: Sequence[str]
    vectors: Floats


def header(dim: int, metric: str, root: str) -> Header:
    """What a gallery of such vectors says of itself; they are kept as they are, in float32."""
    return Header(Space(IMPORTED, "", dim, metric, "f32", normalized=False, row_type="float32"), root)


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
    if block.vectors.shape[1] != store.header.space.dim:
        raise UsageError(
            f"the vectors have {block.vectors.shape[1]} numbers, those of {store.address} have "
            f"{store.header.space.dim}: use --name for another gallery beside it"
        )
    known = {id_ for id_, record in zip(block.ids, store.get(block.ids), strict=True) if record is not None}
    failures = store.write(records(block, report.root), block.vectors)
    replaced = len(known - {failure.id for failure in failures})
    report.skipped += [Skip(failure.id, failure.reason) for failure in failures]
    report.updated += replaced
    report.added += len(block.ids) - len(failures) - replaced


def source(vectors: Given) -> Callable[[], Iterator[Block]]:
    """What gives ids and vectors as blocks, as often as it is called.

    Args:
        vectors: (ids, array of shape (n, dim)), or a file: `.npz` with the arrays `ids` (n,) and
            `vectors` (n, dim); `.csv` with the column `id` and a column a number; `.parquet` with the
            columns `id` and `vector`.

    Raises:
        UsageError: it is neither; from the iterator, too, where the file can't be read or does not fit.
        MissingExtra: from the iterator: Parquet without the extra `tables`.
    """
    if not isinstance(vectors, tuple):
        return partial(_read, Path(vectors))
    if len(vectors) != 2:
        raise UsageError(f"expected ids and vectors, found a tuple of {len(vectors)}")
    return partial(_blocks, *_given(*vectors))


def look(blocks: Iterator[Block]) -> int:
    """Go through all blocks before any is written; how many numbers a vector has.

    Raises:
        UsageError: there are none, an id is there twice, or vectors are of several sizes.
    """
    seen: set[str] = set()
    dim: int | None = None
    for block in blocks:
        for id_ in block.ids:
            if id_ in seen:
                raise UsageError(f"the id {id_!r} is there twice; every vector needs its own")
            seen.add(id_)
        size = block.vectors.shape[1]
        if dim not in {None, size}:
            raise UsageError(f"vectors of {dim} numbers and of {size} can't be in one gallery")
        dim = size
    if not dim:
        raise UsageError("there are no vectors to add")
    return dim


def _read(file: Path) -> Iterator[Block]:
    readers = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise UsageError(f"{file}: can't tell the format; expected a name in {', '.join(readers)}")
    try:
        yield from reader(file)
    except LookalikeError:
        raise
    except Exception as error:  # of a broken file the libraries raise whatever they stumble over
        raise UsageError(
            f"{file}: can't be read as ids and vectors: {str(error) or type(error).__name__}"
        ) from error


def _given(ids: Sequence[Any], vectors: ArrayLike) -> tuple[list[str], NDArray[Any]]:
    try:
        names, rows = [_id(id_) for id_ in ids], np.asarray(vectors)
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected ids and an array of vectors: {error}") from error
    if rows.ndim != 2 or len(names) != len(rows) or rows.dtype.kind not in "fiu":
        raise UsageError(
            f"expected vectors of shape (n, dim) and n ids; there are {len(names)} ids, and an array of "
            f"shape {rows.shape}, {rows.dtype}"
        )
    return names, rows


def _blocks(ids: list[str], vectors: NDArray[Any]) -> Iterator[Block]:
    step = _step(4 * vectors.shape[1])
    for start in range(0, len(ids), step):
        yield Block(ids[start : start + step], _floats(vectors[start : start + step]))


def _step(row_bytes: int) -> int:
    """How many rows make a block."""
    return max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // max(row_bytes, 1)))


def _floats(rows: NDArray[Any]) -> Floats:
    """As float32; what is too large becomes infinite, which the store refuses for that row alone."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(rows, np.float32)


def _id(given: object) -> str:
    if isinstance(given, bytes):
        return given.decode()
    if given is None or isinstance(given, list | tuple | dict | np.ndarray):
        raise ValueError(f"{given!r} is no id")
    return str(given)


def _read_npz(file: Path) -> Iterator[Block]:
    with zipfile.ZipFile(file) as archive:
        with archive.open("ids.npy") as member:
            names = _read_ids(member)
        with archive.open("vectors.npy") as member:
            yield from _read_rows(member, names)


def _read_ids(member: IO[bytes]) -> list[str]:
    head = read_head(member)
    if len(head.shape) != 1 or head.dtype.kind not in "USiuf" or head.bytes > _MOST_IDS:
        raise ValueError(f"ids has the shape {head.shape} of {head.dtype}, expected one id a vector")
    content = member.read(head.bytes)
    return [_id(id_) for id_ in np.frombuffer(content, head.dtype, head.shape[0]).tolist()]


def _read_rows(member: IO[bytes], ids: list[str]) -> Iterator[Block]:
    """The blocks of an array in the format of numpy, which may be larger than memory."""
    head = read_head(member)
    shape, _, dtype = head
    if len(shape) != 2 or shape[0] != len(ids) or not 0 < shape[1] <= LARGEST_DIM or dtype.kind not in "fiu":
        raise ValueError(f"ids has {len(ids)} entries, vectors the shape {shape} of {dtype}")
    if head.fortran:
        # Column by column: nothing is whole before the end.
        if head.bytes > _MOST_COLUMNS:
            raise ValueError(f"its vectors lie column by column, {head.bytes:,} bytes; write them in C order")
        content = member.read(head.bytes)
        yield from _blocks(ids, np.frombuffer(content, dtype).reshape(shape, order="F"))
        return
    step = _step(dtype.itemsize * shape[1])
    for start in range(0, shape[0], step):
        names = ids[start : start + step]
        content = member.read(len(names) * shape[1] * dtype.itemsize)
        yield Block(names, _floats(np.frombuffer(content, dtype).reshape(len(names), shape[1])))


def _read_csv(file: Path) -> Iterator[Block]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines, strict=True)
        heads = next(reader, [])
        if len(set(heads)) < len(heads):
            raise ValueError("two of its columns have one name; rename one of them")
        if not heads or heads[0] != "id" or len(heads) < 2:
            raise ValueError(f"expected the columns id, v0, v1, … and found {', '.join(heads[:3]) or 'none'}")
        filled = (row for row in reader if row)
        while rows := list(islice(filled, _step(64 * len(heads)))):
            if any(len(row) != len(heads) for row in rows):
                raise ValueError(f"a row does not have {len(heads)} cells as the header has")
            numbers = np.array([row[1:] for row in rows], np.float64)
            yield Block([unguarded(row[0]) for row in rows], _floats(numbers))


def _read_parquet(file: Path) -> Iterator[Block]:
    from lookalike.sources.tables import parquet_batches

    for batch in parquet_batches(file, ("id", "vector"), _BLOCK_BYTES):
        column = batch.column("vector")
        if not hasattr(column, "flatten") or column.null_count:
            raise ValueError(f"the column vector is {column.type}, expected a list of numbers in every row")
        flat = column.flatten().to_numpy(zero_copy_only=False)
        lengths = {len(row) for row in column}
        if len(lengths) > 1 or flat.dtype.kind not in "fiu":
            raise ValueError(
                f"the column vector is {column.type}, expected equally many numbers in every row"
            )
        ids = [_id(id_) for id_ in batch.column("id").to_pylist()]
        yield Block(ids, _floats(flat.reshape(len(ids), -1)))

"""Pairs for a query: a table that says which of two pictures is the better answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.errors import UsageError
from lookalike.evaluation.labels import Pictures, read
from lookalike.sources.tables.rows import csv_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COLUMNS = ("query", "better", "worse")
_TABLES = (".csv", ".tsv")


class Triple(NamedTuple):
    """The ids of a query and of two pictures, the first of which is the better answer."""

    query: str
    better: str
    worse: str


def table_of(labels: object) -> Path | None:
    """The table of pairs that is given in place of labels: one with the columns query, better and worse.

    Raises:
        UsageError: it is a table that can't be read.
    """
    if not isinstance(labels, str | os.PathLike) or not os.fspath(labels).lower().endswith(_TABLES):
        return None
    file = Path(labels)
    return file if file.is_file() and set(COLUMNS) <= set(_rows(file)[0]) else None


def read_pairs(file: Path, root: str, ids: Sequence[str]) -> list[Triple]:
    """The pairs of a table, in its order.

    Args:
        file: CSV or TSV with the columns query, better and worse, UTF-8: ids, or paths from the folder,
            from the table or from here.
        root: the folder of the pictures.
        ids: of its pictures.

    Raises:
        UsageError: it can't be read, names what is no picture of the folder, or a line has a picture twice.
    """
    head, *lines = _rows(file)
    places = [head.index(column) for column in COLUMNS]
    named = [(number, [row[place] for place in places]) for number, row in enumerate(lines, 2) if any(row)]
    if not named:
        raise UsageError(f"{file} has no pairs; expected lines below {','.join(COLUMNS)}")
    id_of = _ids_of({name for _, names in named for name in names}, file, root, ids)
    triples: list[Triple] = []
    for number, names in named:
        unknown = [name for name in names if name not in id_of]
        if unknown:
            raise UsageError(
                f"{file}, line {number}: {unknown[0]!r} is no picture of {root}; expected an id such as "
                f"{ids[0]!r}, or a path that leads to one"
            )
        triple = Triple(*(id_of[name] for name in names))
        if len(set(triple)) < len(triple):
            raise UsageError(f"{file}, line {number}: a picture stands there twice; expected three pictures")
        triples.append(triple)
    return triples


def as_rows(triples: Sequence[Triple], ids: Sequence[str]) -> NDArray[np.intp]:
    """The rows of triples all of whose pictures are there, ndarray of shape (t, 3)."""
    row_of = {id_: row for row, id_ in enumerate(ids)}
    there = [[row_of[id_] for id_ in triple] for triple in triples if all(id_ in row_of for id_ in triple)]
    return np.array(there, np.intp).reshape(-1, len(COLUMNS))


def _rows(file: Path) -> list[list[str]]:
    """The lines of a table, the head first; every line has as many cells as the head."""
    rows = [[cell.strip() for cell in row] for row in csv_rows(file)]
    head = [name.lower() for name in rows[0]] if rows else []
    width = len(head)
    return [head, *((row + [""] * width)[:width] for row in rows[1:])]


def _ids_of(names: set[str], file: Path, root: str, ids: Sequence[str]) -> dict[str, str]:
    """The ids that names stand for, as labels have them: every name is taken for a label of its picture."""
    own = {name: frozenset([name]) for name in names}
    beside = {os.path.join(os.path.abspath(file.parent), name): frozenset([name]) for name in names}  # noqa: PTH100, PTH118
    try:
        known = read(beside | own, Pictures(root, list(ids)))
    except UsageError:  # not one is known: the first of them is told with its line
        return {}
    return {name: id_ for id_, several in zip(known.ids, known.sets, strict=True) for name in several}

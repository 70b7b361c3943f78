"""The most similar pictures for every picture of a gallery, with their fields, as a page or as a file."""

from __future__ import annotations

import csv
import json
import time
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike.indexes import distances
from lookalike.indexes.exact import Found
from lookalike.indexes.knn_join import Rows, Task, nearest
from lookalike.reports import Progress
from lookalike.search.stages import (
    check_fields,
    checked_k,
    checked_score,
    distance_of,
    distinct_fields,
    value_of,
)
from lookalike.sources.tables.parquet import pyarrow
from lookalike.stores import where as filtering
from lookalike.system.files import check_file as check_place
from lookalike.system.files import replacing
from lookalike.system.text import guarded
from lookalike.views import pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.gallery.reader import Reader
    from lookalike.stores.where import WhereLike
    from lookalike.types import Batch, Floats, Record, Store, Value, Where

    Answer: TypeAlias = tuple[str, Sequence["Neighbor"]]
    Line: TypeAlias = tuple[Any, ...]
    Columns: TypeAlias = Mapping[str, str]

ON_A_PAGE = 200
"""Pictures that a page of neighbours shows."""

_LOOKED_UP, _WRITTEN = 256, 16_384
"""Answers whose fields are looked up, and lines that are written to Parquet, at once."""


class Neighbor(NamedTuple):
    """One of the pictures that are most similar to another.

    id: of the picture.
    score: larger is closer, as in `lookalike.Hit`.
    distance: smaller is closer.
    """

    id: str
    score: float
    distance: float


def neighbors(
    gallery: Reader,
    k: int = 3,
    *,
    where: WhereLike = None,
    distinct: str | None = None,
    unique: bool = False,
    min_score: float | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Iterator[tuple[str, list[Neighbor]]]:
    """The k most similar for every picture of a gallery, in the order of ids.

    A picture is left out of its own answer; another of the same vector is not. Of equally similar
    pictures the one whose id comes first is better. All pairs are compared exactly.

    Args:
        gallery: the gallery.
        k: how many for each.
        where: only pictures that pass this filter, on either side; as for `Gallery.search`.
        distinct: a field; for each picture only the best of each value, its own left out: with
            several pictures a product, the most similar other products.
        unique: only one of pictures whose files are identical, its own left out.
        min_score: leave out neighbours of a smaller score.
        progress: called now and then while pairs are compared.

    Raises:
        UsageError: k is below 1, or absurdly large, or min_score no number.
        FilterError: the filter can't be read, or names an unknown field, as `distinct` may.
        MissingExtra: the gallery's metric is scikit-learn's, which is not installed.

    >>> for id, hits in neighbors(gallery, k=3):  # doctest: +SKIP
    ...     print(id, [hit.id for hit in hits])
    """
    k = checked_k(k)
    store = gallery.store
    distances.check(store.header.space.metric)
    fields = distinct_fields(distinct, unique=unique)
    check_fields(fields, store)
    conditions = filtering.conditions(where, store)
    least = checked_score(min_score)
    answers = _found(store, k, where=conditions, fields=fields, progress=progress)
    return ((id_, [one for one in near if one.score >= least]) for id_, near in answers)


class Collection:
    """The pictures of a gallery: their ids, and their vectors, each of equal ones held once.

    Pictures of equal vectors have equal neighbours but for themselves. Placeholders are such, and
    thousands of them would all tie with each other.

    Args:
        rows: where to keep vectors.
        fields: pictures are taken for equal only if these are equal, too.
    """

    def __init__(self, rows: Rows, fields: Sequence[str] = ()) -> None:
        self.rows = rows
        self.ids: list[str] = []
        self.members: list[list[int]] = []
        self.row_of: list[int] = []
        self._fields = fields
        self._numbers: list[dict[Value | bytes, int]] = [{} for _ in fields]
        self._codes: list[list[int]] = [[] for _ in fields]
        self._known: dict[int, int] = {}

    def add(self, batch: Batch) -> None:
        """Take in some pictures with their vectors."""
        fresh: list[int] = []
        for i, record in enumerate(batch.records):
            codes = self._code(record)
            key = hash((batch.vectors[i].tobytes(), *codes))
            row = self._known.get(key)
            if row is None or not self._same(row, batch.vectors, i, fresh):
                row = len(self.members)
                self._known[key] = row
                self.members.append([])
                fresh.append(i)
                for column, code in zip(self._codes, codes, strict=True):
                    column.append(code)
            self.members[row].append(len(self.ids))
            self.row_of.append(row)
            self.ids.append(record.id)
        self.rows.append(batch.vectors if len(fresh) == len(batch.records) else batch.vectors[fresh])

    @property
    def codes(self) -> list[NDArray[np.int64]]:
        """For each field a number a row, equal where the values are; no value is equal to no other."""
        codes = [np.array(column, np.int64) for column in self._codes]
        return [np.where(code < 0, -1 - np.arange(len(code)), code) for code in codes]

    def _code(self, record: Record) -> list[int]:
        values = [value_of(record, field) for field in self._fields]
        return [
            -1 if value is None else numbers.setdefault(value, len(numbers))
            for value, numbers in zip(values, self._numbers, strict=True)
        ]

    def _same(self, row: int, vectors: Floats, i: int, fresh: Sequence[int]) -> bool:
        """Whether a known row, perhaps of this very batch, is this vector: equal hashes may differ."""
        new = row - len(self.rows)
        known = vectors[fresh[new]] if new >= 0 else self.rows.take(np.array([row]))[0]
        return np.array_equal(known, vectors[i])


def _found(
    store: Store,
    k: int,
    *,
    where: Where,
    fields: Sequence[str],
    progress: Callable[[Progress], object] | None,
) -> Iterator[tuple[str, list[Neighbor]]]:
    """Yield what `neighbors` returns, of arguments that are checked."""
    space = store.header.space
    collection = Collection(Rows(space.dim, store.count(), space.row_type), fields)
    try:
        for batch in store.scan(where=where):
            collection.add(batch)
        task = Task(collection.rows, space.metric, k, collection.codes)
        started = time.monotonic()

        def show(share: float) -> None:
            if progress is not None:
                n = len(collection.ids)
                progress(Progress(round(share * n), n, 0, time.monotonic() - started))

        answers = nearest(task, progress=show)
        for picture, answer in _in_order(collection, task, answers):
            scores = answer.scores.tolist()
            others = [collection.ids[i] for i in answer.keys.tolist()]
            yield (
                collection.ids[picture],
                [Neighbor(i, s, distance_of(s, space.metric)) for i, s in zip(others, scores, strict=True)],
            )
    finally:
        collection.rows.close()


def _in_order(collection: Collection, task: Task, answers: Iterator[Found]) -> Iterator[tuple[int, Found]]:
    """Each picture with its answer in pictures; rows come in the order of their first pictures."""
    kept: dict[int, Found] = {}
    for picture, row in enumerate(collection.row_of):
        members = collection.members[row]
        answer = next(answers) if members[0] == picture else kept[row]
        if len(members) > 1:
            kept[row] = answer
        if members[-1] == picture:
            kept.pop(row, None)
        yield picture, _pictures(collection, task, picture, answer)


def _pictures(collection: Collection, task: Task, picture: int, answer: Found) -> Found:
    """The k best pictures of an answer in rows, and of the picture's own row."""
    members, keys = collection.members, answer.keys.tolist()
    own = collection.row_of[picture]
    twins = [i for i in members[own][: task.k + 1] if i != picture] if _may_have_twins(task, own) else []
    if not twins and all(len(members[key]) == 1 for key in keys):
        return Found(np.array([members[key][0] for key in keys], np.int64), answer.scores)
    groups = [members[key][: task.k] if _may_have_twins(task, key) else members[key][:1] for key in keys]
    scores = np.repeat(answer.scores, [len(group) for group in groups])
    others = np.array([*chain.from_iterable(groups), *twins], np.int64)
    scores = np.concatenate([scores, np.repeat(task.own_score(own), len(twins))])
    order = np.lexsort((others, -scores))[: task.k]
    return Found(others[order], scores[order])


def _may_have_twins(task: Task, row: int) -> bool:
    """Whether several pictures of one row may stand in one answer: not if they share a value."""
    return all(code[row] < 0 for code in task.codes)


class Facts:
    """Fields of the pictures of a gallery, looked up as answers come.

    Args:
        store: of the gallery.
        fields: their names, which the store has.
    """

    def __init__(self, store: Store, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        self.types = {name: type_ for name, type_ in store.fields().items() if name in fields}
        self._store = store

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: those of a picture, then those of its neighbour."""
        return (*self.fields, *(f"neighbor_{name}" for name in self.fields))

    def beside(
        self, answers: Iterable[Answer]
    ) -> Iterator[tuple[Answer, dict[str, tuple[Value | None, ...]]]]:
        """Yield each answer with the values of every picture in it, by id; None where one has no value."""
        answers = iter(answers)
        while some := list(islice(answers, _LOOKED_UP)):
            ids = list(dict.fromkeys(id_ for own, found in some for id_ in (own, *(n.id for n in found))))
            records = self._store.get(ids) if self.fields else []
            values = {
                record.id: tuple(_plain(value_of(record, name)) for name in self.fields)
                for record in records
                if record is not None
            }
            none = (None,) * len(self.fields)
            for own, found in some:
                yield (own, found), {id_: values.get(id_, none) for id_ in (own, *(n.id for n in found))}


def page(gallery: Reader, answers: Sequence[Answer], facts: Facts) -> str:
    """Return a self-contained page of the first pictures, a row for each with its neighbours."""
    rows = []
    for (id_, found), values in facts.beside(answers[:ON_A_PAGE]):
        cards = [_card(gallery, n.id, facts, values[n.id], n.score) for n in found]
        rows.append(pages.Row(_card(gallery, id_, facts, values[id_]), cards, label="Picture"))
    notes = [f"only the first {ON_A_PAGE} pictures are shown"] if len(answers) > ON_A_PAGE else []
    empty = (card.title for row in rows for card in (row.query, *row.hits) if card and card.thumbnail is None)
    unread = gallery.access.unread(dict.fromkeys(empty))
    notes += [gallery.access.note(unread)] if unread else []
    return pages.results_page(rows, title="Similar pictures", notes=notes)


def _card(
    gallery: Reader, id_: str, facts: Facts, values: Sequence[Value | None], score: float | None = None
) -> pages.Card:
    fields = [(name, str(v)) for name, v in zip(facts.fields, values, strict=True) if v not in (None, "")]
    return pages.Card(id_, gallery.thumbnail(id_), score=score, fields=fields)


def _plain(value: Value | bytes | None) -> Value | None:
    return None if isinstance(value, bytes) else value


def write(file: Path, answers: Iterable[Answer], facts: Facts | None = None) -> int:
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


def _lines(answers: Iterable[Answer], facts: Facts | None) -> Iterator[Line]:
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
        while some := list(islice(lines, _WRITTEN)):
            arrays = [
                pa.array(column, kind)
                for column, kind in zip(zip(*some, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(some)
    return count

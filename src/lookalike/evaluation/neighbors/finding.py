"""From a gallery to its rows, and from positions back to ids."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lookalike.evaluation.neighbors.neighbor import Neighbor
from lookalike.indexes.exact import Found
from lookalike.indexes.pairs import Task, nearest
from lookalike.indexes.rows import Rows
from lookalike.reports import Progress
from lookalike.search.distinct import distance_of, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.types import Batch, Floats, Record, Store, Value, Where


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


def found(
    store: Store,
    k: int,
    *,
    exact: bool,
    where: Where,
    fields: Sequence[str],
    progress: Callable[[Progress], object] | None,
) -> Iterator[tuple[str, list[Neighbor]]]:
    """What `lookalike.evaluation.neighbors.neighbors` says, of arguments that are checked."""
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

        answers = nearest(task, exact=exact, progress=show)
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

"""Fields of pictures beside their neighbours, and the first of them as a page."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lookalike.search.distinct import value_of
from lookalike.views import pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.evaluation.neighbors.neighbor import Neighbor
    from lookalike.gallery.reader import Reader
    from lookalike.types import Store, Value

    Answer = tuple[str, Sequence[Neighbor]]

_TOGETHER = 256
ON_A_PAGE = 200
"""Pictures that a page of neighbours shows."""


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
        while some := list(islice(answers, _TOGETHER)):
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

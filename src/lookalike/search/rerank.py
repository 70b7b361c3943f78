"""Ranking the nearest pictures anew by how alike a text of their metadata is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import FilterError, UsageError
from lookalike.search.distinct import value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.search.distinct import Ranked
    from lookalike.types import Record, Store

    Chosen = Sequence[tuple[Ranked, Record]]

CANDIDATES = 20
"""How many of the nearest are ranked anew, if no more are wanted."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """By which text.

    field: a field of the metadata.
    text: what its values are compared with; None for the query's own value.
    """

    field: str
    text: str | None

    @classmethod
    def parse(cls, wish: str, store: Store) -> Rerank:
        """Understand `category`, or `category=Shoes` for a query that has no metadata.

        Raises:
            FilterError: the gallery has no such field.
        """
        field, equals, text = wish.partition("=")
        known = store.fields()
        if field not in known:
            raise FilterError(f"the gallery has no field {field!r}; it has {', '.join(known)}")
        return cls(field, text if equals else None)

    def depth(self, k: int) -> int:
        """How many of the nearest are looked at for k hits."""
        return max(k, CANDIDATES)

    def order(self, chosen: Chosen, query: Record | None, label: str) -> list[tuple[Ranked, Record]]:
        """The candidates, those of the likest text first, of equal ones the nearer first.

        Args:
            chosen: candidates, nearest first.
            query: the record of the query, if it is in the gallery.
            label: the query in words.

        Returns:
            The same; their score is the likeness, 0 to 1 (0 for one without such a text), and stands
            among its parts under the field's name, beside that of the vector.

        Raises:
            UsageError: the query has no text to compare with.
        """
        from rapidfuzz import fuzz

        text = self.text if self.text is not None else _text(query, self.field)
        if not text:
            raise UsageError(
                f"{label} has no {self.field!r} to rank by; tell one: {self.field}=TEXT, or ask with a "
                "picture of the gallery that has it"
            )
        ranked = []
        wanted = _words(text)
        for candidate, record in chosen:
            own = _words(_text(record, self.field))
            likeness = fuzz.token_sort_ratio(wanted, own) / 100 if own else 0.0
            # A field may be called as a part that is there already.
            name = f"{self.field} text" if self.field in candidate.parts else self.field
            parts = {**candidate.parts, name: likeness}
            ranked.append((candidate._replace(score=likeness, parts=parts), record))
        return sorted(ranked, key=lambda pair: -pair[0].score)  # stable: the nearer stays before


def _text(record: Record | None, field: str) -> str:
    """The text of a field; empty where there is none."""
    value = None if record is None else value_of(record, field)
    return "" if value is None or isinstance(value, bytes) else str(value)


def _words(text: str) -> str:
    """A text for comparing: without case and punctuation, unless it is nothing else."""
    from rapidfuzz import utils

    return utils.default_process(text) or text.strip().lower()

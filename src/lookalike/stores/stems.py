"""Words as FTS5 sees them, for a store that searches text by other means and is to find the same.

SQLite itself makes them, in a table in memory that is emptied at once: no store can be apart from
the embedded one by a rule of its own for case, accents or endings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.stores import words
from lookalike.stores.sqlite import library
from lookalike.system import forks

library.load()

import sqlite3  # noqa: E402  # bound to the SQLite it was built for

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLES = f"""
CREATE VIRTUAL TABLE texts USING fts5 (words, tokenize = '{words.TOKENIZER}', detail = full);
CREATE VIRTUAL TABLE stems USING fts5vocab (texts, instance);
"""


class Stemmer:
    """Turns texts into stems; several threads may share one."""

    def __init__(self) -> None:
        self._mutex = forks.lock()
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.executescript(_TABLES)

    def stems(self, texts: Sequence[str]) -> list[str]:
        """The stems of each text in their order, with a blank between them."""
        found: list[list[tuple[int, str]]] = [[] for _ in texts]
        with self._mutex:
            self._connection.execute("BEGIN")
            try:
                rows = ((row, text) for row, text in enumerate(texts) if text)
                self._connection.executemany("INSERT INTO texts (rowid, words) VALUES (?, ?)", rows)
                for row, place, stem in self._connection.execute("SELECT doc, offset, term FROM stems"):
                    found[row].append((place, stem))
            finally:
                self._connection.execute("ROLLBACK")
        return [" ".join(stem for _, stem in sorted(places)) for places in found]

    def phrase(self, text: str) -> str | None:
        """A user's words as stems; None where there is no word in them."""
        return self.stems([" ".join(words.split(text))])[0] or None

    def close(self) -> None:
        """Let go of the table."""
        self._connection.close()

"""Pictures by words: class scores, and the words of paths and metadata.

Of one term, c is the sum of a picture's scores of the term's classes (at most 1, and 0 where it is
below .05), and t is 1 where the picture's words hold the term as a phrase, .5 where the last word of the
phrase only begins one of them (`geburt` Geburtstag), else 0. The term is satisfied where either is
above 0, and its score is 1 − (1 − c)(1 − t/2). A picture's score is the geometric mean over all
terms, every one of which must be satisfied; its parts are the means of c and t. By one part only,
the other counts as absent, and by text alone the score is t. Equal scores are ordered by id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.stores import words
from lookalike.stores.records import LEAST, UNIT, check_terms
from lookalike.stores.sqlite import filters
from lookalike.types import Match

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from lookalike.types import Term, Value, Where


def find(
    connection: sqlite3.Connection,
    terms: Sequence[Term],
    k: int,
    *,
    where: Where,
    only: str | None,
    numbers: Mapping[str, int],
) -> list[Match]:
    """The k best pictures that satisfy every term.

    Args:
        connection: in a snapshot.
        terms: what to find.
        k: how many.
        where: the filter.
        only: `classes` or `text` to go by one part.
        numbers: class numbers by class id.

    Raises:
        UsageError: more terms than can be joined, or an unknown part.
    """
    check_terms(terms, only)
    if not terms or k == 0:
        return []
    values: list[Value] = []
    last = connection.execute("SELECT max(part) FROM postings").fetchone()[0]
    places = ",".join(map(str, range((last or 0) + 1)))
    parts = [_term(term, only, numbers, places, values) for term in terms]
    condition, bound = filters.expression(where, filters.fields(connection))
    tables = " ".join(
        f"{'FROM' if i == 0 else 'JOIN'} ({part}) AS term{i}{' USING (row)' if i else ''}"
        for i, part in enumerate(parts)
    )
    score = " * ".join(f"(1 - (1 - term{i}.c) * (1 - term{i}.t / 2.0))" for i in range(len(parts)))
    classes = " + ".join(f"term{i}.c" for i in range(len(parts)))
    text = " + ".join(f"term{i}.t" for i in range(len(parts)))
    if only == "text":
        score = " * ".join(f"term{i}.t" for i in range(len(parts)))
    found = connection.execute(
        f"SELECT id, {score} AS score, {classes}, {text} {tables} JOIN pictures USING (row) "
        f"WHERE {condition} ORDER BY score DESC, id LIMIT ?",
        [*values, *bound, k],
    )
    n = len(terms)
    return [Match(id_, score ** (1 / n), c / n, t / n) for id_, score, c, t in found]


def _term(term: Term, only: str | None, numbers: Mapping[str, int], places: str, values: list[Value]) -> str:
    """A subselect of (row, c, t) of the pictures that satisfy a term."""
    sources = []
    classes = sorted(numbers[id_] for id_ in term.classes if id_ in numbers)
    if classes and only != "text":
        sources.append(
            f"SELECT row, min(sum(score), {UNIT}) / {UNIT}.0 AS c, 0 AS t FROM postings "
            f"WHERE part IN ({places}) AND class IN ({','.join(map(str, classes))}) "
            f"GROUP BY row HAVING sum(score) >= {LEAST}"
        )
    if only != "classes":
        for phrase, counts in ((words.phrase(term.text), 1.0), (words.beginning(term.text), words.BEGUN)):
            if phrase is not None:
                sources.append(f"SELECT rowid AS row, 0.0 AS c, {counts} AS t FROM words WHERE words MATCH ?")
                values.append(phrase)
    if not sources:
        return "SELECT NULL AS row, 0.0 AS c, 0 AS t WHERE FALSE"
    return f"SELECT row, max(c) AS c, max(t) AS t FROM ({' UNION ALL '.join(sources)}) GROUP BY row"

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

from lookalike.errors import StoreCorrupt
from lookalike.stores import words
from lookalike.stores.records import LEAST, UNIT, check_terms
from lookalike.stores.sqlite import codec, filters, schema
from lookalike.stores.sqlite import tables as reading
from lookalike.types import Match

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from lookalike.types import Term, Value, Where

# Each part is looked up behind the one before: over all postings that would take as long as reading them.
_PARTS = """
WITH RECURSIVE parts (part) AS (
    SELECT min(part) FROM postings
    UNION ALL
    SELECT (SELECT min(part) FROM postings WHERE postings.part > parts.part) FROM parts WHERE part IS NOT NULL
)
SELECT part FROM parts WHERE part IS NOT NULL LIMIT ?
"""
_SHARE = (
    f"CASE WHEN typeof(sum(score)) = 'integer' AND sum(score) > 0 THEN min(sum(score), {UNIT}) / {UNIT}.0 "
    "ELSE 1e9 END"
)
"""Of the classes of a term; more than there can be where a score is no number, so that it is seen."""

_HELD = 1000
"""How many of the best are held to the scores kept with the pictures."""

_ROUNDING = 1e-9
_DISAGREEMENT = f"the postings of class scores do not agree with the pictures; {schema.ADVICE}"


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
    places = ",".join(map(str, _parts(connection)))
    parts = [_term(term, only, numbers, places, values) for term in terms]
    condition, bound = filters.compiled(connection, where)
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
        f"SELECT row, id, {score} AS score, {classes}, {text} {tables} JOIN pictures USING (row) "
        f"WHERE {condition} ORDER BY score DESC, id LIMIT ?",
        [*values, *bound, min(k, schema.LAST_ROW)],
    ).fetchall()
    reading.ids_of(connection, [row for row, *_ in found[:_HELD]])
    if only != "text":
        _require_classes(connection, {row: c for row, _, _, c, _ in found[:_HELD]}, terms, numbers)
    n = len(terms)
    return [Match(id_, score ** (1 / n), c / n, t / n) for _, id_, score, c, t in found]


def _parts(connection: sqlite3.Connection) -> list[int]:
    """The parts of the postings that there are.

    Raises:
        StoreCorrupt: one of them has no pictures.
    """
    last = codec.part(connection.execute("SELECT max(row) FROM pictures").fetchone()[0] or 0)
    found = [part for (part,) in connection.execute(_PARTS, (last + 2,))]
    if not all(type(part) is int and 0 <= part <= last for part in found):
        raise StoreCorrupt(_DISAGREEMENT)
    return found


def _require_classes(
    connection: sqlite3.Connection,
    found: Mapping[int, float],
    terms: Sequence[Term],
    numbers: Mapping[str, int],
) -> None:
    """Raise `StoreCorrupt` unless the class scores of what was found are those of the pictures themselves.

    Args:
        connection: in a snapshot.
        found: by row the sum over all terms of what the postings gave.
        terms: what was looked for.
        numbers: class numbers by class id.
    """
    meant = [{numbers[id_] for id_ in term.classes if id_ in numbers} for term in terms]
    for part in codec.chunks(list(found)):
        lines = connection.execute(
            f"SELECT row, scores FROM pictures WHERE row IN ({codec.marks(part)})", part
        )
        for row, content in lines:
            pairs = codec.unpack_scores(content)
            sums = (
                min(sum(score for number, score in pairs if number in classes), UNIT) for classes in meant
            )
            own = sum(total / UNIT for total in sums if total >= LEAST)
            if not abs(own - found[row]) < _ROUNDING:
                raise StoreCorrupt(_DISAGREEMENT)


def _term(term: Term, only: str | None, numbers: Mapping[str, int], places: str, values: list[Value]) -> str:
    """A subselect of (row, c, t) of the pictures that satisfy a term."""
    sources = []
    classes = sorted(numbers[id_] for id_ in term.classes if id_ in numbers)
    if classes and only != "text":
        sources.append(
            f"SELECT row, {_SHARE} AS c, 0 AS t FROM postings "
            f"WHERE part IN ({places}) AND class IN ({','.join(map(str, classes))}) "
            f"GROUP BY row HAVING sum(score) NOT BETWEEN 1 AND {LEAST - 1}"
        )
    if only != "classes":
        for phrase, counts in ((words.phrase(term.text), 1.0), (words.beginning(term.text), words.BEGUN)):
            if phrase is not None:
                sources.append(f"SELECT rowid AS row, 0.0 AS c, {counts} AS t FROM words WHERE words MATCH ?")
                values.append(phrase)
    if not sources:
        return "SELECT NULL AS row, 0.0 AS c, 0 AS t WHERE FALSE"
    return f"SELECT row, max(c) AS c, max(t) AS t FROM ({' UNION ALL '.join(sources)}) GROUP BY row"

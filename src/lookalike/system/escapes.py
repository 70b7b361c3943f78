r"""Text of strangers, made harmless for who shows it: on a terminal, in a page, a plot, or a spreadsheet.

Names of files, fields and classes are exact where programs read them (JSON, ids, Python's own strings). Where
people see them, what would act instead of being shown is written out, by `visible`: control characters, the
marks that turn the direction of writing, lines' ends, half surrogate pairs. In tables that spreadsheets open,
what one would compute gets an apostrophe before it, by `guarded`; `unguarded` gives back the text.
"""

from __future__ import annotations

import os
import re
from typing import IO, TYPE_CHECKING

from lookalike.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["guarded", "quoted", "unguarded", "visible", "write_csv"]

_COMPUTED = re.compile(r"'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def quoted(word: str) -> str:
    r"""Return a word as a shell takes it; one that can't be shown is spelled as Bash and Zsh read it.

    >>> quoted("a b"), quoted("new\nline")
    ("'a b'", "$'new\\x0aline'")
    """
    import shlex

    return shlex.quote(word) if word.isprintable() else "$'" + "".join(map(_spelled, word)) + "'"


def guarded(cell: str) -> str:
    """Return a cell for a CSV file that no spreadsheet takes for a formula; a number stays one.

    >>> guarded("=1+1"), guarded("-1.5"), guarded("it's")
    ("'=1+1", '-1.5', "it's")
    """
    return f"'{cell}" if _COMPUTED.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unguarded(cell: str) -> str:
    """Return the text that `guarded` was given.

    >>> unguarded("'=1+1"), unguarded("-1.5"), unguarded("it's")
    ('=1+1', '-1.5', "it's")
    """
    return cell[1:] if _GUARDED.match(cell) else cell


def write_csv(file: IO[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows of texts, which are guarded, and of numbers as CSV."""
    import csv

    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [guarded(cell) if isinstance(cell, str) else cell for cell in row]
        # Not every Python quotes a cell for that, and none reads it back unless it is quoted.
        odd = any("\r" in cell for cell in cells if isinstance(cell, str))
        (quoted if odd else plain).writerow(cells)


def _spelled(character: str) -> str:
    if character in {"'", "\\"}:
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))

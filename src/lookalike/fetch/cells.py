"""Addresses out of a table's cell, in the shapes people have."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Only where an address follows: one may hold a comma, a semicolon or a bar itself.
_START = re.compile(r"(?<=[\s|,;\"'])(?=https?://)", re.IGNORECASE)
_BETWEEN = " \t\r\n\f\v\u00a0|,;\"'"
_AROUND = "[](){} \"',"
_NOTHING = {"", "nan", "none", "null", "n/a", "na", "-"}
_LONGEST = 1_000_000  # characters of a list that are read
_WIDEST = 30_000  # characters; Python's CSV reader refuses a field of 131,072 bytes


def addresses(cell: object) -> list[str]:
    """Every address of a cell, in order, each once.

    A cell is one address, a list of them (of JSON or Parquet), a list written as JSON or as Python
    writes it, or several with commas, bars, semicolons or spaces between.

    >>> addresses('["http://a/1.jpg", "http://a/2.jpg"]')
    ['http://a/1.jpg', 'http://a/2.jpg']
    >>> addresses("http://a/1.jpg|http://a/2,5.jpg")
    ['http://a/1.jpg', 'http://a/2,5.jpg']
    """
    if isinstance(cell, str):
        return _clean(_split(cell.strip()))
    if isinstance(cell, list | tuple):
        return _clean(item for item in cell if isinstance(item, str))
    return []


def _split(text: str) -> list[str]:
    return _listed(text) if text.startswith(("[", "(", "{")) else _apart(text)


def _apart(text: str) -> list[str]:
    *others, last = _START.split(text)
    return [*(other.rstrip(_BETWEEN) for other in others), last]


def _listed(text: str) -> list[str]:
    for read in (json.loads, ast.literal_eval):
        try:
            with warnings.catch_warnings(action="ignore"):  # of what Python thinks of the text
                found = read(text[:_LONGEST])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | tuple):
            return [item for item in found if isinstance(item, str)]
    return _apart(text.strip(_AROUND))  # nearly a list: without quotes, or cut off


def _clean(found: Iterable[str]) -> list[str]:
    stripped = (url.strip().strip("\"'") for url in found)
    return list(dict.fromkeys(url for url in stripped if url.lower() not in _NOTHING))


def text(cell: object) -> str:
    """A cell as text: lists and objects as JSON, nothing as "", and no more than a CSV reader takes."""
    if cell is None or cell != cell:  # NaN is not itself  # noqa: PLR0124
        return ""
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False, default=str)[:_WIDEST]
    return str(cell)[:_WIDEST]

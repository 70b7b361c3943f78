"""Addresses in a table: which column has them, and a cell in the shapes people have."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IMAGE_COLUMNS = (
    "image",
    "images",
    "image_url",
    "image_urls",
    "img",
    "picture",
    "photo",
    "url",
    "urls",
    "link",
)
"""The usual names of a column with the addresses, in the order they are looked for."""

# Only where an address follows: one may hold a comma, a semicolon or a bar itself.
_START = re.compile(r"(?<=[\s|,;\"'])(?=https?://)", re.IGNORECASE)
_BETWEEN = " \t\r\n\f\v\u00a0|,;\"'"
_AROUND = "[](){} \"',"
_NOTHING = {"", "nan", "none", "null", "n/a", "na", "-"}
_LONGEST = 1_000_000  # characters of a list that are read


def image_column(columns: Sequence[str], told: str | None) -> str:
    """The column with the addresses: the one told, one with a usual name, or the only one.

    Raises:
        UsageError: there is none, or it can't be said which.
    """
    if told is not None:
        return existing_column(columns, told)
    lower = {name.lower(): name for name in reversed(columns)}
    found = next((lower[name] for name in IMAGE_COLUMNS if name in lower), None)
    if found is not None:
        return found
    if len(columns) == 1:
        return columns[0]
    raise UsageError(f"which column has the addresses? Tell it with --image; {_there_are(columns)}")


def existing_column(columns: Sequence[str], name: str) -> str:
    """A column by its name. Raises `UsageError` if the table lacks it."""
    if name not in columns:
        raise UsageError(f"the table has no column {name!r}; {_there_are(columns)}")
    return name


def _there_are(columns: Sequence[str]) -> str:
    return f"it has: {', '.join(columns) or 'none'}"


def addresses(cell: object) -> list[str]:
    """Every address of a cell, in order, each once.

    A cell is one address, a list of them (of JSON or Parquet), a list written as JSON or as Python
    writes it, or several with commas, bars, semicolons or spaces between. A path may begin with a bracket.

    >>> addresses('["http://a/1.jpg", "http://a/2.jpg"]')
    ['http://a/1.jpg', 'http://a/2.jpg']
    >>> addresses("http://a/1.jpg|http://a/2,5.jpg")
    ['http://a/1.jpg', 'http://a/2,5.jpg']
    >>> addresses("(1).png")
    ['(1).png']
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
    inner = text.strip(_AROUND)
    # Nearly a list, without quotes or cut off; or a path.
    return _apart(inner) if "://" in inner or not inner else [text]


def _clean(found: Iterable[str]) -> list[str]:
    stripped = (url.strip().strip("\"'") for url in found)
    return list(dict.fromkeys(url for url in stripped if url.lower() not in _NOTHING))

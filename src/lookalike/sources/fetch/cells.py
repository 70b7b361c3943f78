"""Cells of a table as text."""

from __future__ import annotations

import json

_WIDEST = 30_000  # characters; Python's CSV reader refuses a field of 131,072 bytes


def text(cell: object) -> str:
    """A cell as text: lists and objects as JSON, nothing as "", and no more than a CSV reader takes."""
    if cell is None or cell != cell:  # NaN is not itself  # noqa: PLR0124
        return ""
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False, default=str)[:_WIDEST]
    return str(cell)[:_WIDEST]

"""Numbers that the user sets by environment variables."""

from __future__ import annotations

import os
import re

from lookalike.errors import UsageError


def positive(name: str, default: int) -> int:
    """Return the number that a variable gives, or the default where it is not set.

    Raises:
        UsageError: it is not a positive whole number.
    """
    text = os.environ.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]+(_[0-9]+)*", text) or not (number := int(text)):
        raise UsageError(f"{name} is {text!r}: expected a positive whole number, such as {default}")
    return number

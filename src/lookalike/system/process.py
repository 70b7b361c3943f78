"""This process: numbers of its environment, its standard error."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@contextmanager
def without(*parts: bytes) -> Iterator[None]:
    """Hold back standard error, and in the end let out the lines that have none of these in them.

    The whole process's is meant, whoever writes to it. `without(b"")` lets nothing out.
    """
    if sys.stderr is None:  # a program without a console
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not any(part in line for part in parts):
                    os.write(2, line)

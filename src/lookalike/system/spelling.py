"""Names of files as text, the same in every locale.

Python decodes the names of files by the encoding of the locale. Where that is not UTF-8, as in the locale `C`
with Python's UTF-8 mode off, `entwürfe` comes out as something else than the eight letters that an editor
writes into a file, or another process sees. Lookalike takes names for UTF-8 everywhere.
"""

from __future__ import annotations

import os
import sys

_PLAIN = sys.getfilesystemencoding().lower() in {"utf-8", "utf8"}


def as_text(path: str) -> str:
    """Return a path as the operating system spells it as text; bytes that are not UTF-8 are surrogates."""
    if _PLAIN or path.isascii():
        return path
    try:
        return os.fsencode(path).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # not from the system: it is text already
        return path


def as_path(text: str) -> str:
    """Return the path that `as_text` made this text of."""
    if _PLAIN or text.isascii():
        return text
    try:
        return os.fsdecode(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # half of a surrogate pair, which no file is called by
        return text

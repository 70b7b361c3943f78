r"""Text of strangers and of the system: harmless where it is shown, without secrets, in one spelling.

Names of files, fields and classes are exact where programs read them (JSON, ids, Python's own strings). Where
people see them, `lookalike.errors.visible` writes out what would act instead of being shown. In tables that
spreadsheets open, what one would compute gets an apostrophe before it, by `guarded`; `unguarded` drops it.

Of addresses a user and a password are left out; the value of a query parameter whose name says that it is a
secret is replaced by a short digest, so that two addresses stay two: `?id=5&token=~9f2c01d3a7b4`.

Python decodes the names of files by the encoding of the locale. Where that is not UTF-8, as in the locale `C`
with Python's UTF-8 mode off, `entwürfe` comes out as something else than the eight letters that an editor
writes into a file, or another process sees. Names are UTF-8 everywhere here, by `as_text` and `as_path`.
"""

from __future__ import annotations

import os
import re
import sys
from hashlib import blake2b
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

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


_DIGEST = (
    6  # bytes: of a million addresses that differ in their secrets alone, two are the same 1 time in 500
)
_MARK = "~"
_LONGEST = 300  # characters of a password with slashes in it

_PASSWORD = (  # strings, which re compiles when they are first needed: an id or a path needs none
    r"(?<!github):/{1,3}[^/\s:]*:[^/\s]*@"  # or, where / may be in a password and : is before no port:
    rf"|(?:(?<=ftp|ssh|smb)|(?<=ftps)):/{{1,3}}[^/\s:\[]*:(?!\d+(?:[/\s]|$))\S{{0,{_LONGEST}}}@"
)
_WEB_USER = rf"(?i)(?<=http)(s?):/{{1,3}}(?:[^/?#\s]*@|[^/\s:\[@?#]*:(?!\d*(?:[/?#\s]|$))\S{{0,{_LONGEST}}}@)"
_PARAMETER = r"(?<=[?&;#])([^=&;#?\s]{{1,100}})=({value})"
_IN_ADDRESS = _PARAMETER.format(value=r"(?:[^&#;]|;(?![^=&;#\s]{1,100}=))+")
_IN_TEXT = _PARAMETER.format(value=r"(?:[^&#;\s]|;(?![^=&;#\s]{1,100}=))+")
_REPLACED = rf"{_MARK}[0-9a-f]{{{2 * _DIGEST}}}"
_KEPT_OUT = rf"=({_REPLACED})(?=[&;#]|$)"

_NAMES = frozenset(
    {
        *("auth", "authorization", "awsaccesskeyid", "bearer", "credential", "credentials", "googleaccessid"),
        *(
            "hdnea",
            "hdnts",
            "hmac",
            "jwt",
            "key",
            "keypairid",
            "pass",
            "passwd",
            "passphrase",
            "policy",
            "pwd",
        ),
        *("sas", "session", "sessionid", "sid", "sig", "ticket"),
    }
)
_ENDS = ("accesskey", "apikey", "password", "privatekey", "secret", "secretkey", "signature", "token")
_BEGINNINGS = ("xamz", "xgoog")


def redact(address: str) -> str:
    """Return an address without its secrets; one that has none, or has been redacted, is returned as it is.

    >>> redact("https://me:hunter2@example.org/a.jpg?id=5")
    'https://example.org/a.jpg?id=5'
    >>> redact("https://example.org/a.jpg?id=5&token=abc") == redact("https://example.org/a.jpg?id=5&token=abd")
    False
    """
    return _redacted(address, _IN_ADDRESS) if "://" in address else address


def redact_text(text: str) -> str:
    """Return a text without the secrets of the addresses in it, those with a slash too few included."""
    return _redacted(text, _IN_TEXT) if ":/" in text else text


def has_user(address: str) -> bool:
    """Whether an address has a password in it, or one of the web a user."""
    return bool(re.search(_PASSWORD, address) or re.search(_WEB_USER, address))


def has_secret_parameter(address: str) -> bool:
    """Whether a parameter of an address is a secret."""
    return any(_is_secret(match) for match in re.finditer(_IN_ADDRESS, address))


def was_redacted(address: str) -> bool:
    """Whether a secret was taken out of this address: it can't be read any more."""
    return "://" in address and bool(re.search(_KEPT_OUT, address))


def _redacted(text: str, parameters: str) -> str:
    if "@" in text:
        text = re.sub(_PASSWORD, "://…@", re.sub(_WEB_USER, r"\1://", text))
    return re.sub(parameters, _hidden, text) if "=" in text else text


def _hidden(match: re.Match[str]) -> str:
    if not _is_secret(match) or re.fullmatch(_REPLACED, match[2]):
        return match[0]
    digest = blake2b(match[2].encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
    return f"{match[1]}={_MARK}{digest}"


def _is_secret(match: re.Match[str]) -> bool:
    name = re.sub(r"[^a-z0-9]", "", unquote(match[1]).lower())
    return name in _NAMES or name.endswith(_ENDS) or name.startswith(_BEGINNINGS)


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

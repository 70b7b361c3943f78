"""Addresses without their secrets, as they are kept, shown and written down.

A user and a password are left out; the value of a query parameter whose name says that it is a secret is
replaced by a short digest, so that two addresses stay two: `?id=5&token=~9f2c01d3a7b4`.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from urllib.parse import unquote

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

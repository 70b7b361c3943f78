"""File names of ids: one for each, safe on every file system, whatever the id is."""

from __future__ import annotations

import re
from hashlib import blake2b

ENDINGS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WebP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "HEIC": ".heic",
    "RAW": ".raw",
}
"""The ending of each format that `lookalike.images.recognise` tells."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.,+@=() -]|^[. -]")
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)\s*(\.|$)", re.IGNORECASE | re.ASCII)
_LONGEST = 120  # characters; file systems end at 255 bytes, and some programs at 260 for a path
_DIGEST = 8  # bytes


def stem(id_: str) -> str:
    """The name of an id's file without its ending.

    What is not safe everywhere is written as in an address: `a/b` becomes `a%2Fb`, which can be
    read back (`urllib.parse.unquote`). A long id is cut, and a digest keeps it apart from others.
    """
    name = _UNSAFE.sub(_escaped, id_)
    if _RESERVED.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return name if len(name) <= _LONGEST else with_digest(id_, name)


def with_digest(id_: str, name: str) -> str:
    """A name that no other id has, even where upper and lower case are the same."""
    # A tilde is never part of an escaped id, nor is half an escape.
    return f"{re.sub('%[0-9A-F]?$', '', name[: _LONGEST - 40])}~{digest(id_)}"


def digest(text: str) -> str:
    """Sixteen characters that stand for a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))

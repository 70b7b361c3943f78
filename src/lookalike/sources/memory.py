"""Pictures that are not files of their own: in memory, or one of many in a file."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.images.given import Picture
    from lookalike.types import Value


class Memory(NamedTuple):
    """A picture that is not a file, under the id it is to have; or why there is none.

    size, mtime_ns: of the file that it is one of many in, if it came out of such a file.
    metadata: what is known of it from there.
    known: never looked up before it is written.
    anew: never, for it is described whenever it is given.
    thumbnail: always kept, for there is no file to make one of.
    """

    id: str
    picture: Picture
    source: str = "array"
    fault: str = ""
    size: int = 0
    mtime_ns: int = 0
    metadata: Mapping[str, Value] = MappingProxyType({})
    known: None = None
    anew: Literal[False] = False
    thumbnail: Literal[True] = True

"""Files that are not in a gallery: those that people want to know of, and those that are merely counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from lookalike.reports import Skip

_OTHERS = ("not a picture", "a symbolic link to a folder", "a named pipe", "a socket", "a device")
"""How the reasons begin that say what a file is; any other says what is wrong with a picture."""

_UNREAD = "which is not supported"

_KINDS = (("video", "video", "videos"), ("raw", "raw", "raw"))


def is_other(skip: Skip) -> bool:
    """Whether a file is no picture at all: a text or a video is no news, a picture of a kind not read is."""
    return skip.reason.startswith(_OTHERS) and not skip.reason.endswith(_UNREAD)


def others_in_words(skips: Collection[Skip]) -> str:
    """Return how many files of which kinds there are.

    >>> from lookalike.reports import Skip
    >>> others_in_words([Skip("a.mov", "not a picture: a video"), Skip("a.txt", "not a picture: text")])
    '2 other files (1 video, 1 other)'
    """
    counts = Counter(_kind(skip.reason) for skip in skips)
    files = f"{len(skips):,} other {'file' if len(skips) == 1 else 'files'}"
    if set(counts) <= {""}:
        return files
    named = [
        f"{counts[kind]:,} {one if counts[kind] == 1 else many}" for kind, one, many in _KINDS if counts[kind]
    ]
    rest = [f"{counts['']:,} other"] if counts[""] else []
    return f"{files} ({', '.join(named + rest)})"


def _kind(reason: str) -> str:
    return next((kind for kind, _, _ in _KINDS if kind in reason), "")

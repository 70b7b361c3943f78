"""What of a picture's id and metadata can be found by words, and how a user's words look for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from lookalike.types import Value

TOKENIZER = "porter unicode61 remove_diacritics 2"
"""What FTS5 makes of words: case, accents and endings do not count."""

BEGUN = 0.5
"""What a text counts that has the beginning of a word alone; one that has the word counts 1."""

_LEAST_BEGINNING = 3  # letters: shorter ones begin half of all words

_EQUIPMENT = frozenset({"camera", "lens"})
_CHUNK = re.compile(r"[^\W_]+")
_NUMBER_EDGE = re.compile(r"(?<=\d)(?=\D)|(?<=\D)(?=\d)")
_CAMEL_EDGE = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])")


def split(text: str) -> list[str]:
    """The words of a path or a name.

    >>> split("2024/BeachDay_07.jpg")
    ['2024', 'Beach', 'Day', '07', 'jpg']
    """
    return [word for chunk in _CHUNK.findall(text) for word in _pieces(chunk)]


def of_path(id_: str) -> str:
    """The words of an id; what was taken apart (`IMG1234`) is there as a whole too, at the end."""
    chunks = _CHUNK.findall(id_)
    wholes = [chunk for chunk in chunks if len(_pieces(chunk)) > 1]
    return " ".join(split(id_) + wholes)


def of_metadata(metadata: Mapping[str, Value], own: AbstractSet[str] = frozenset()) -> str:
    """The words of the text among metadata, but for a camera's that the picture itself names.

    Whoever looks for an apple does not mean every picture of a telephone.

    Args:
        metadata: of a picture.
        own: the fields whose values are the picture's, and not the user's.
    """
    left_out = _EQUIPMENT & own
    texts = (value for name, value in sorted(metadata.items()) if name not in left_out)
    return joined(text for text in texts if isinstance(text, str))


def joined(texts: Iterable[str]) -> str:
    """Texts as one, with a break that no phrase crosses by accident of order."""
    return "\n".join(" ".join(split(text)) for text in texts)


def phrase(text: str) -> str | None:
    """A user's words as one quoted phrase of FTS5; None where there is no word in them."""
    words = split(text)
    return '"' + " ".join(words) + '"' if words else None


def beginning(text: str) -> str | None:
    """Return a user's words as a phrase of FTS5 whose last word may go on; None where that is too short."""
    whole = phrase(text) if may_go_on(text) else None
    return None if whole is None else f"{whole} *"


def may_go_on(text: str) -> bool:
    """Whether the last word is long enough to be taken for the beginning of a longer one."""
    return len((split(text) or [""])[-1]) >= _LEAST_BEGINNING


def _pieces(chunk: str) -> list[str]:
    if chunk.isdigit() or (chunk.isalpha() and (chunk.islower() or chunk.istitle() or chunk.isupper())):
        return [chunk]
    return [word for part in _NUMBER_EDGE.split(chunk) for word in _CAMEL_EDGE.split(part)]

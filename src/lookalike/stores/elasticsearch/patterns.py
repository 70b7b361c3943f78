"""A text contained in another, whatever its case, as a regular expression of Lucene's.

The server folds the letters of ASCII (`case_insensitive`), and no others: every other character that folds
to what is looked for is named. One that folds to several (`ß` to `ss`) may begin before it, or go on behind.
"""

from __future__ import annotations

import re
from functools import cache

from lookalike.errors import FilterError
from lookalike.stores.containing import spellings, unfolded

_RESERVED = re.compile(r'[.?+*|{}\[\]()"\\#@&<>~^$-]')
_LONGEST = 1000
"""What the server takes (`index.max_regex_length`)."""


def containing(wanted: str) -> str:
    """Return the expression of the texts that contain a text, as `lookalike.stores.containing.contains` says.

    Raises:
        FilterError: it is too long for the server.
    """
    pattern = f".*{_either([_anywhere(text) for text in spellings(wanted)])}.*" if wanted else ".*"
    if len(pattern) > _LONGEST:
        raise FilterError(f"{wanted!r:.60} is too long for ~ in Elasticsearch; look for a part of it")
    return pattern


def _anywhere(text: str) -> str:
    """What matches a folded text, which may begin within a character."""
    options = [_from(text, 0)]
    for folded, characters in _several().items():
        for tail in (folded[start:] for start in range(1, len(folded))):
            if text.startswith(tail):
                options.append(_any(characters) + _from(text, len(tail)))
            elif tail.startswith(text):
                options.append(_any(characters))
    return _either(options)


def _from(text: str, start: int) -> str:
    """What matches a folded text from there to its end, which may be within a character."""
    if start == len(text):
        return ""
    if len(text) > _LONGEST:
        return text  # too long anyway
    others = (other for other in unfolded().get(text[start], "") if not other.isascii())
    options = [_any(text[start] + "".join(others)) + _from(text, start + 1)]
    for folded, characters in _several().items():
        if text.startswith(folded, start):
            options.append(_any(characters) + _from(text, start + len(folded)))
        elif folded.startswith(text[start:]):
            options.append(_any(characters))
    return _either(options)


@cache
def _several() -> dict[str, str]:
    """The characters that fold to several, by what they fold to."""
    return {folded: characters for folded, characters in unfolded().items() if len(folded) > 1}


def _any(characters: str) -> str:
    return _either([_RESERVED.sub(r"\\\g<0>", character) for character in characters])


def _either(options: list[str]) -> str:
    return options[0] if len(options) == 1 else f"({'|'.join(options)})"

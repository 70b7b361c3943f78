"""Whether a text contains another, whatever the case of its letters: the `~` of filters.

Letters are compared as Unicode folds them, so that `STRASSE` is in `Hauptstraße`. A letter with an accent
may be one character or several, as file systems differ: both spellings of what is looked for are.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache


def contains(value: object, wanted: str) -> bool:
    """Return whether a text contains another; what is no text contains nothing.

    >>> contains("Grüße aus der Hauptstraße", "STRASSE")
    True
    """
    if not isinstance(value, str):
        return False
    folded = value.casefold()
    return any(spelling in folded for spelling in spellings(wanted))


@lru_cache(maxsize=64)
def spellings(wanted: str) -> tuple[str, ...]:
    """Return the spellings of a text that are looked for, folded, each once."""
    forms = (unicodedata.normalize(form, wanted).casefold() for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys(forms))


@cache
def unfolded() -> dict[str, str]:
    """Return what folds to each folded text, as characters in one string; no letter but those that change."""
    found: dict[str, str] = {}
    for number in range(0x20000):  # none above has a case
        character = chr(number)
        if (folded := character.casefold()) != character:
            found[folded] = found.get(folded, "") + character
    return found

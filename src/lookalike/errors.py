"""The error tree. Every error lookalike raises on purpose is below `LookalikeError`.

    LookalikeError
    ├── UsageError              an argument that can't be meant: an unknown operator, a negative k
    │   └── FilterError         a `where` condition that can't be read or does not fit its field
    ├── ImageError              bytes that are not a picture, or one too large to open
    │   └── Unreadable          a file whose bytes can't be had: gone, refused, a pipe
    ├── DownloadError           an address that gave no picture
    ├── ModelError              a model that can't be used
    │   ├── UnknownModel        no model of that name
    │   ├── UnknownLayer        the model has no such layer
    │   ├── WeightsMissing      the weights are not on this machine, or are not the expected ones
    │   └── ModelMismatch       the gallery was made with another model
    ├── StoreError              a gallery that can't be used
    │   ├── NotFound            no gallery there, or no picture of that id in it
    │   ├── StoreBusy           another process is writing to it
    │   │   └── StoreChanged    it was replaced by one of another model while it was asked
    │   ├── StoreCorrupt        it is damaged, or is no gallery of ours
    │   ├── NotTrusted          it names what lies outside of its folder, and may not reach there
    │   └── StoreUnavailable    it can't be reached, read or written
    └── MissingExtra            an optional dependency is not installed

A message says what happened, what was expected, and what to do.
"""

from unicodedata import category

_JOINERS = "\u200c\u200d"
"""Invisible, and harmless: emoji and several scripts need them."""


def visible(text: str) -> str:
    r"""Return a text with everything that is not shown as a character written as `\x1b`, `\u202e` ….

    Done twice it is the same as done once.

    >>> visible("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    blank = category(character) == "Zs"  # such as the wide one between Japanese words
    if character.isprintable() or blank or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


class LookalikeError(Exception):
    """The base of every error that lookalike raises on purpose."""

    def __str__(self) -> str:
        """The message, with all but line ends written out that would act on a terminal: names are in it."""
        return "\n".join(map(visible, super().__str__().split("\n")))


class UsageError(LookalikeError):
    """An argument that can't be meant."""


class FilterError(UsageError):
    """A `where` condition that can't be read, or does not fit the type of its field."""


class ImageError(LookalikeError):
    """Bytes that are not a picture, are a broken one, or are one over the limits."""


class Unreadable(ImageError):
    """A file whose bytes can't be had now: gone, no permission, a failing disk, not a file at all."""


class DownloadError(LookalikeError):
    """An address that gave no picture: no answer, the wrong answer, or too large a one."""


class ModelError(LookalikeError):
    """A model that can't be used."""


class UnknownModel(ModelError):
    """No model of that name is known."""


class UnknownLayer(ModelError):
    """The model has no layer of that name or number."""


class WeightsMissing(ModelError):
    """A model's weights are not on this machine, or are not the expected ones."""


class ModelMismatch(ModelError):
    """A gallery was made with another model: its vectors can't be compared with this one's."""


class StoreError(LookalikeError):
    """A gallery that can't be used."""


class NotFound(StoreError):
    """There is no gallery at that place, or no picture of that id in it."""


class StoreBusy(StoreError):
    """Another process is writing to the gallery."""


class StoreChanged(StoreBusy):
    """The gallery was replaced by one of another model while it was asked."""


class StoreCorrupt(StoreError):
    """The gallery is damaged, or was not made by lookalike."""


class NotTrusted(StoreError):
    """A gallery names what lies outside of its folder, and this user has not said to trust it."""


class StoreUnavailable(StoreError):
    """The gallery can't be reached, read or written."""


class MissingExtra(LookalikeError):
    """An optional dependency is not installed; the message names the extra that brings it."""

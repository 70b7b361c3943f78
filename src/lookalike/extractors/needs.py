"""What it would take to load a model by its name, told without loading it."""

from __future__ import annotations

from typing import NamedTuple

from lookalike.extractors.names import Name

_BUILT_IN = {"efficientnet-lite0", "toy"}
_RANDOM = "none"


class Needs(NamedTuple):
    """What loading a model takes beyond what comes with lookalike and is in the user's cache.

    files: absolute paths.
    other: anything else, in words; "" for nothing.
    """

    files: tuple[str, ...] = ()
    other: str = ""


def needs(name: str) -> Needs:
    """Tell what it would take to load a model.

    Raises:
        UsageError, UnknownModel: as `lookalike.extractors.load` says.

    >>> needs("keras:VGG16?weights=/tmp/vgg.h5").files
    ('/tmp/vgg.h5',)
    """
    parsed = Name.parse(name)
    if parsed.is_path:
        return _file(name, parsed.model)
    if parsed.scheme in _BUILT_IN:
        return Needs()
    if parsed.scheme == "keras":
        return _of_keras(parsed)
    return Needs(other=f"the package that brings {parsed.scheme!r}")


def _of_keras(name: Name) -> Needs:
    from lookalike.extractors import runtime
    from lookalike.extractors.keras import recipes

    weights = dict(name.options).get("weights", "imagenet")
    if weights not in {"imagenet", _RANDOM}:
        return _file(weights, weights)
    built = runtime.cache_folder() / "models" / recipes.of_application(name).key / "model.xml"
    here = weights == _RANDOM or built.is_file()
    return Needs() if here else Needs(other="weights that are not on this machine yet")


def _file(told: str, path: str) -> Needs:
    """A file; one that is not told by its whole path would be another in every folder."""
    return Needs((path,)) if told.startswith("/") else Needs(other="a file of the current folder")

"""What it would take to load a model by its name, told without loading it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from lookalike.errors import NotTrusted
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


class Gate(Protocol):
    """Who decides what a gallery's header may name."""

    @property
    def advice(self) -> str:
        """The command that trusts the gallery."""

    def may_load(self, name: str) -> bool:
        """Whether a model may be loaded, whatever that takes."""

    def may_open(self, path: str) -> bool:
        """Whether a file, by its absolute path, may be opened."""


def require_model(name: str, gate: Gate) -> None:
    """Make sure that the model in a gallery's header may be loaded.

    Raises:
        NotTrusted: it is a file outside of the folder, needs a download, or comes from another package.
    """
    if gate.may_load(name):
        return
    if what := refused(name, gate):
        raise NotTrusted(
            f"the gallery names the model {name!r}, which needs {what}, and it is not trusted to: "
            f"{gate.advice} allows it, or --model names the model"
        )


def refused(name: str, gate: Gate) -> str:
    """Return what a model needs that only a trusted gallery may name; "" for nothing."""
    need = needs(name)
    file = next((file for file in need.files if not gate.may_open(file)), None)
    return need.other if file is None else f"the file {file}"


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

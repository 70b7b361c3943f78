"""The name of an extractor, `MODEL[@LAYER][+POOL][?OPTIONS]`, and what loading it would take."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias, cast
from urllib.parse import quote, unquote

from lookalike.errors import NotTrusted, UsageError

Pool: TypeAlias = Literal["avg", "max"]

CARD = "model.json"
"""What the card of a trained model is called in its folder; `model.xml` and others lie beside it."""

# A model that is a file may have any character but `?` in its path, so its ending is looked for first.
_FILE = re.compile(r"[^?]*\.(?:onnx|xml|keras|h5)(?=[@+?]|\Z)", re.IGNORECASE)
_REST = re.compile(
    r"(?:@(?P<layer>[^?]+?))?(?:\+(?P<pool>[^+@?]*))?(?:\?(?P<options>.*))?", re.DOTALL
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """A model, where it is cut, how a map is pooled, and what was changed of its own settings.

    model: `efficientnet-lite0`, `keras:VGG16`, or the absolute path of a file or of a trained model's
        folder.
    layer: a layer's name or number; `features`, `classes`; None for what the model recommends.
    pool: how a map becomes one number a channel; None leaves every number of the map.
    options: (key, value) pairs, sorted by key.
    """

    model: str
    layer: str | None = None
    pool: Pool | None = None
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Name:
        """Take a name apart; a path becomes absolute, so that it is found from elsewhere.

        Raises:
            UsageError: it has no model, an unknown pooling, or options that are not `key=value`.

        >>> Name.parse("keras:MobileNet@conv_pw_6_relu+avg?alpha=0.5").layer
        'conv_pw_6_relu'
        """
        path = _path(text)
        model = re.split("[@+?]", text, maxsplit=1)[0] if path is None else path
        rest = _REST.fullmatch(text[len(model) :])
        if rest is None or not model:
            raise UsageError(f"{text!r} is no model's name; expected MODEL[@LAYER][+avg|+max][?key=value&…]")
        model = model if path is None else _absolute(model)
        return cls(model, rest["layer"], _pool(rest["pool"], text), _options(rest["options"], text))

    @property
    def is_path(self) -> bool:
        """Whether the model is a file, told by its ending, or the folder of a trained one."""
        return os.path.isabs(self.model) or _FILE.fullmatch(self.model) is not None  # noqa: PTH117 - quick

    @property
    def scheme(self) -> str:
        """What the loader is registered under: `keras` of `keras:VGG16`, else the whole model."""
        return self.model.partition(":")[0]

    def __str__(self) -> str:
        layer = f"@{self.layer}" if self.layer else ""
        pool = f"+{self.pool}" if self.pool else ""
        options = "&".join(f"{_quoted(key)}={_quoted(value, '/:,')}" for key, value in self.options)
        return f"{self.model}{layer}{pool}{'?' if options else ''}{options}"


def _path(text: str) -> str | None:
    """The path that a name begins with; None if that is a model known by name."""
    if file := _FILE.match(text):
        return file[0]
    # The path of a folder may have any character, so the longest that holds a trained model is meant.
    ends = [*(place.start() for place in re.finditer("[@+?]", text)), len(text)]
    for end in reversed(ends):
        if end and os.path.isfile(_absolute(f"{text[:end]}/{CARD}")):  # noqa: PTH113 - no error if too long
            return text[:end]
    # One that is not there any more is missed by its path, and not looked for among the known models.
    return text[: ends[0]] if text.startswith(("/", "~")) else None


def _absolute(path: str) -> str:
    """Links stay as they are: what a link leads to may change, and the link still be meant."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - a Path would follow links


def _pool(text: str | None, name: str) -> Pool | None:
    if text not in {None, "avg", "max"}:
        raise UsageError(f"{name!r} pools by {text!r}; a map is pooled by +avg or +max")
    return cast("Pool | None", text)


def _options(text: str | None, name: str) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    pairs = [part.partition("=") for part in text.split("&")]
    options = {_unquoted(key): _unquoted(value) for key, equals, value in pairs if key and equals}
    if len(options) != len(pairs):
        raise UsageError(f"{name!r} has options that are not key=value pairs, each key once, joined by &")
    return tuple(sorted(options.items()))


def _quoted(text: str, safe: str = "/") -> str:
    return quote(text, safe, errors="surrogateescape")  # the name of a file may have any bytes


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape")


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

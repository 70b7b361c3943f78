"""The name of an extractor: `MODEL[@LAYER][+POOL][?OPTIONS]`, taken apart and put together."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast
from urllib.parse import quote, unquote

from lookalike.errors import UsageError

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

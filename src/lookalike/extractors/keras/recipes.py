"""What decides a network that Keras builds, read off a name, without Keras."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lookalike.errors import ModelError, UsageError, WeightsMissing
from lookalike.extractors import settings
from lookalike.extractors.cards import Card
from lookalike.extractors.keras import applications

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.extractors.keras.applications import Application, Argument
    from lookalike.extractors.names import Name

OWN = ("weights", "seed")
"""Options of a name that are neither of a card nor of a constructor."""

_NO_FILES = ("imagenet", "none")

_GRAPH = "2"  # raised when networks are exported otherwise, so that cached ones are built again
_LONGEST_STEM = 40  # characters: a folder's name has its limit


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network to build.

    kind: one of `keras.applications`, or a `file`.
    network: the name of its constructor, or the absolute path of the file.
    arguments: (name, value) pairs for the constructor, but for those that are Keras' own defaults.
    weights: `imagenet`, `none`, or the absolute path of a file; of a file, empty.
    seed: of random weights.
    size: (width, height) if another one is wanted than the network's own.
    content: hexadecimal SHA-256 of the file that is read, if one is.
    """

    kind: Literal["application", "file"]
    network: str
    arguments: tuple[tuple[str, Argument], ...] = ()
    weights: str = ""
    seed: int = 0
    size: tuple[int, int] | None = None
    content: str = ""

    @property
    def key(self) -> str:
        """A name for the network in the cache."""
        state = asdict(self) | {"graph": _GRAPH}
        if self.content:  # wherever the file lies
            state |= {"weights": "", "network": "" if self.kind == "file" else self.network}
        digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
        stem = re.sub(r"[^\w.-]", "_", Path(self.network).stem)[:_LONGEST_STEM]
        return f"keras-{stem}-{digest[:16]}"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """What `dataclasses.asdict` made, after a journey through JSON."""
        size = tuple(values["size"]) if values["size"] else None
        arguments = tuple((key, value) for key, value in values["arguments"])
        return cls(**{**values, "size": size, "arguments": arguments})


def of_application(name: Name) -> Recipe:
    """The recipe of `keras:NETWORK?…`.

    Raises:
        UnknownModel: Keras has no such network.
        UsageError: an option that is not known, or whose value can't be read.
        WeightsMissing: the file of weights can't be read.
    """
    network = applications.find(name.model.partition(":")[2])
    given = dict(name.options)
    arguments = {
        key: _argument(network, key, given[key]) for key in given if key not in (*settings.OPTIONS, *OWN)
    }
    changed = {key: value for key, value in arguments.items() if value != network.arguments[key]}
    weights, seed = given.get("weights", "imagenet"), _whole(name, "seed", given.get("seed", "0"))
    content = ""
    if weights not in _NO_FILES:
        weights = _absolute(weights)
        content = _content(weights)
    if weights != "none" and "seed" in given:
        raise UsageError(f"{name} has a seed, which only random weights need; expected weights=none with it")
    ordered = tuple(sorted(changed.items()))
    size = size_of(name, network.side)
    return Recipe("application", network.name, ordered, weights, seed, size, content)


def of_file(path: Path, size: tuple[int, int] | None) -> Recipe:
    """The recipe of a `.keras` or `.h5` file.

    Raises:
        ModelError: the file can't be read.
    """
    try:
        content = _content(str(path))
    except WeightsMissing as error:
        raise ModelError(str(error)) from error
    return Recipe("file", str(path), size=size, content=content)


def anywhere(name: Name) -> Name:
    """A name that means the same in another folder: its file of weights has an absolute path."""
    options = [(key, _absolute(value) if key == "weights" else value) for key, value in name.options]
    return replace(name, options=tuple(options))


def own_options(name: Name) -> list[str]:
    """The options of a name that a recipe has seen to."""
    return [key for key, _ in name.options if key not in settings.OPTIONS]


def size_of(name: Name, side: int = 0) -> tuple[int, int] | None:
    """(width, height) of the option `size`; None if it is not there, or is the usual side.

    Raises:
        UsageError: an option of a card can't be read; that is better known before anything is built.
    """
    usual = (side or 1, side or 1)
    anything = Card(name.model, "none", usual, layers=("input",), features="input", licence="none")
    size = settings.overridden(anything, name.options, own=own_options(name)).size
    return None if size == usual else size


def _argument(network: Application, key: str, text: str) -> Argument:
    if key not in network.arguments:
        raise UsageError(f"{network.name} has no option {key!r}; there are {_there_are(network)}")
    default = network.arguments[key]
    try:
        return _value(text, default)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise UsageError(
            f"{network.name} can't be built with {key}={text}; expected {_kind(default)}"
        ) from error


def _value(text: str, default: Argument) -> Argument:
    if isinstance(default, bool):
        if text.lower() not in {"true", "false"}:
            raise ValueError(text)
        return text.lower() == "true"
    if isinstance(default, int):
        return int(text)
    if isinstance(default, float):
        return float(Fraction(text))
    return None if text == "none" else text


def _kind(default: Argument) -> str:
    if isinstance(default, bool):
        return "true or false"
    return "a whole number" if isinstance(default, int) else "a number"


def _there_are(network: Application) -> str:
    own = [
        f"{key}={'none' if value is None else str(value).lower()}" for key, value in network.arguments.items()
    ]
    return ", ".join(["weights=imagenet", "seed=0", *own, *settings.OPTIONS])


def _whole(name: Name, key: str, text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise UsageError(f"{name} has {key}={text}; expected a whole number from 0")
    return int(text)


def _absolute(weights: str) -> str:
    return weights if weights in _NO_FILES else str(Path(weights).expanduser().absolute())


def _content(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsMissing(f"can't read {path}: {error.strerror}; expected a file of Keras") from error

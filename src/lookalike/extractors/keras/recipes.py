"""The networks of `keras.applications`, and what decides one that Keras builds, read without Keras."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lookalike.errors import ModelError, UnknownModel, UsageError, WeightsMissing
from lookalike.extractors import cards
from lookalike.extractors.cards import Card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.extractors.cards import Channels
    from lookalike.extractors.names import Name

Argument: TypeAlias = bool | int | float | str | None
Scaling: TypeAlias = Literal["caffe", "tf", "torch", "inside"]


@dataclass(frozen=True, slots=True)
class Pixels:
    """What is done to pixels, 0 to 255, before a network: (x - mean) / scale in this order of colours."""

    channels: Channels
    mean: tuple[float, ...]
    scale: tuple[float, ...]


PIXELS: dict[Scaling, Pixels] = {
    "caffe": Pixels("BGR", (103.939, 116.779, 123.68), (1.0,)),
    "tf": Pixels("RGB", (127.5,), (127.5,)),
    "torch": Pixels("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "inside": Pixels("RGB", (0.0,), (1.0,)),
}
"""Keras' own names for them; `inside` stands for networks that begin with layers that do it."""

EVERYWHERE: dict[str, Argument] = {
    "include_top": True,
    "pooling": None,
    "classes": 1000,
    "classifier_activation": "softmax",
}
"""Arguments of every constructor, with their defaults."""

_INSIDE: dict[str, Argument] = {"include_preprocessing": True}
_MOBILE_V3: dict[str, Argument] = {**_INSIDE, "alpha": 1.0, "minimalistic": False, "dropout_rate": 0.2}


@dataclass(frozen=True, slots=True)
class Application:
    """One network.

    name: of its constructor in `keras.applications`.
    scaling: what is done to the pixels.
    side: width and height of its input by default, in pixels.
    licence: of the weights that Keras offers for it.
    more: arguments of its constructor beside those of every one, with their defaults.
    """

    name: str
    scaling: Scaling
    side: int
    licence: str
    more: tuple[tuple[str, Argument], ...] = ()

    @property
    def arguments(self) -> dict[str, Argument]:
        """The arguments its constructor takes from a name's options, with their defaults."""
        return EVERYWHERE | dict(self.more)


def _family(
    scaling: Scaling, licence: str, sides: dict[str, int], more: dict[str, Argument] | None = None
) -> list[Application]:
    arguments = tuple((more or {}).items())
    return [Application(name, scaling, side, licence, arguments) for name, side in sides.items()]


_EFFICIENT_SIDES = (224, 240, 260, 300, 380, 456, 528, 600)

_ALL = [
    *_family("caffe", "CC BY 4.0, Visual Geometry Group, Oxford", {"VGG16": 224, "VGG19": 224}),
    *_family("caffe", "MIT, Kaiming He", {"ResNet50": 224, "ResNet101": 224, "ResNet152": 224}),
    *_family("tf", "Apache-2.0", {"ResNet50V2": 224, "ResNet101V2": 224, "ResNet152V2": 224}),
    *_family("tf", "Apache-2.0", {"InceptionV3": 299, "InceptionResNetV2": 299}),
    *_family("tf", "MIT, François Chollet", {"Xception": 299}),
    *_family("tf", "Apache-2.0", {"MobileNet": 224}, {"alpha": 1.0, "depth_multiplier": 1, "dropout": 0.001}),
    *_family("tf", "Apache-2.0", {"MobileNetV2": 224}, {"alpha": 1.0}),
    *_family("inside", "Apache-2.0", {"MobileNetV3Small": 224, "MobileNetV3Large": 224}, _MOBILE_V3),
    *_family("torch", "BSD-3-Clause", {f"DenseNet{depth}": 224 for depth in (121, 169, 201)}),
    *_family("tf", "Apache-2.0", {"NASNetMobile": 224, "NASNetLarge": 331}),
    *_family(
        "inside", "Apache-2.0", {f"EfficientNetB{step}": side for step, side in enumerate(_EFFICIENT_SIDES)}
    ),
    *_family(
        "inside",
        "Apache-2.0",
        {f"EfficientNetV2B{step}": side for step, side in enumerate(_EFFICIENT_SIDES[:4])}
        | {"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
        _INSIDE,
    ),
    *_family(
        "inside",
        "MIT, Facebook AI Research",
        {f"ConvNeXt{size}": 224 for size in ("Tiny", "Small", "Base", "Large", "XLarge")},
        _INSIDE,
    ),
]

APPLICATIONS = {application.name: application for application in _ALL}
"""Every network, by name."""


def find(name: str) -> Application:
    """The network of this name, however its letters are written.

    Raises:
        UnknownModel: there is none; the message offers near ones.

    >>> find("vgg16").side
    224
    """
    exact = {known.lower(): known for known in APPLICATIONS}
    known = exact.get(name.lower())
    if known is None:
        near = [exact[match] for match in get_close_matches(name.lower(), exact, n=3, cutoff=0.4)]
        raise UnknownModel(
            f"Keras has no network {name!r}; did you mean {' or '.join(near)}?"
            if near
            else f"Keras has no network {name!r}; there are {', '.join(APPLICATIONS)}"
        )
    return APPLICATIONS[known]


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
    network = find(name.model.partition(":")[2])
    given = dict(name.options)
    arguments = {
        key: _argument(network, key, given[key]) for key in given if key not in (*cards.OPTIONS, *OWN)
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
    return [key for key, _ in name.options if key not in cards.OPTIONS]


def size_of(name: Name, side: int = 0) -> tuple[int, int] | None:
    """(width, height) of the option `size`; None if it is not there, or is the usual side.

    Raises:
        UsageError: an option of a card can't be read; that is better known before anything is built.
    """
    usual = (side or 1, side or 1)
    anything = Card(name.model, "none", usual, layers=("input",), features="input", licence="none")
    size = cards.overridden(anything, name.options, own=own_options(name)).size
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
    return ", ".join(["weights=imagenet", "seed=0", *own, *cards.OPTIONS])


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

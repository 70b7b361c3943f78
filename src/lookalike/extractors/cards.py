"""A model is a file and a card: what a network needs to be used rightly, in JSON beside it.

`NAME.json` lies beside the network (`NAME.xml` and `NAME.bin`, …) and, where its steps have arrays,
`NAME.npz`. A card may be a stranger's: reading one checks everything and runs nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zipfile
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import numpy as np

from lookalike.errors import ModelError, UsageError
from lookalike.extractors import steps as vector_steps
from lookalike.extractors.steps import Layout, Step
from lookalike.system.files import writing
from lookalike.types import Classes, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from lookalike.types import Floats

Resize: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Channels: TypeAlias = Literal["RGB", "BGR"]

FORMAT = 1
LARGEST_SIDE = 4096
"""Pixels on a side of a network's input, at most."""

LARGEST_CARD = 1 << 26
"""Bytes of JSON, at most."""


_LARGEST_ARRAYS = 1 << 30  # bytes of all arrays, unpacked
_ARRAYS = ".npz"
DAMAGES = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, EOFError, MemoryError),
    *(ArithmeticError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
)
"""What Python's readers of JSON, of zip files and of arrays raise for what was not written by them."""

DECODER = (".decoder.xml", ".decoder.bin")
"""How the files of a decoder end: the network that makes pictures of an autoencoder's vectors."""

_FILES = (".xml", ".bin", ".onnx", ".keras", ".h5", _ARRAYS, *DECODER)


@dataclass(frozen=True, slots=True)
class Card:
    """What has to be known of a network.

    name: what users call it.
    weights: hexadecimal SHA-256 of the weights it was made from.
    size: (width, height) of its input in pixels; the whole picture is resized to it.
    layout: of its input, and of its maps.
    channels: the order of colours it wants.
    mean, scale: a pixel x (0 to 255) goes in as (x - mean) / scale; one number, or one a channel.
    resize: the rule, as Pillow's.
    layers: the layers it can be cut at, from the picture on.
    features: the layer of the plain penultimate numbers.
    steps: what makes the recommended vector of them.
    metric: the metric that vector is compared by.
    metrics: of the layers that are usually taken as they are and not at unit length: the metric by which
        they are compared.
    scores: the layer of class probabilities, if there is one.
    classes: what those are of; `imagenet` for the thousand of ILSVRC in their usual order.
    licence: of the weights, and where they come from.
    exact: whether the picture is resized to the letter, from all of its pixels; otherwise a large one is
        first shrunk by whole factors, a JPEG by its decoder: many times faster, cosine ≥ .999.
    top_classes: how many of the largest scores are kept where the vector is the class scores.
    kinds: what makes each of the layers; empty to read it off the network.
    parameters: how many learnt numbers each of the layers has; empty to count the network's.
    training: of a network that was trained here, the record of that: its recipe, what it learnt from,
        and how it went; plain JSON.
    files: hexadecimal SHA-256 of the files beside the card, by their ending.
    """

    name: str
    weights: str
    size: tuple[int, int]
    layers: tuple[str, ...]
    features: str
    licence: str
    layout: Layout = "NCHW"
    channels: Channels = "RGB"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    resize: Resize = "bicubic"
    steps: tuple[Step, ...] = ()
    metric: Metric = "cosine"
    scores: str | None = None
    classes: Literal["imagenet"] | Classes | None = None
    exact: bool = False
    top_classes: int | None = None
    kinds: tuple[str, ...] = ()
    parameters: tuple[int, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    training: Mapping[str, Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("name", "licence", "weights", "features"):
            value = getattr(self, key)
            _expect(isinstance(value, str) and bool(value), f"{key} is missing")
        _expect(all(0 < side <= LARGEST_SIDE for side in self.size), f"size {self.size} is none")
        for key, kind in (("layout", Layout), ("channels", Channels), ("metric", Metric), ("resize", Resize)):
            _expect(getattr(self, key) in get_args(kind), f"{key} is one of {', '.join(get_args(kind))}")
        for key in ("mean", "scale"):
            _expect(len(getattr(self, key)) in {1, 3}, f"{key} is one number, or one a channel")
            _expect(all(map(math.isfinite, getattr(self, key))), f"{key} is made of finite numbers")
        _expect(0.0 not in self.scale, "a scale of 0 can't be divided by")
        top, exact = self.top_classes, self.exact
        _expect(top is None or (type(top) is int and top > 0), "top_classes is a number above 0")
        _expect(type(exact) is bool, "exact is true or false")
        for key in ("kinds", "parameters"):
            _expect(len(getattr(self, key)) in {0, len(self.layers)}, f"{key} are one a layer, or none")
        _expect(all(count >= 0 for count in self.parameters), "parameters are counts")
        _expect(len(set(self.layers)) == len(self.layers), "every layer has a name of its own")
        _expect({self.features, self.scores} - {None} <= set(self.layers), "features and scores are layers")
        for layer, metric in self.metrics.items():
            _expect(layer in self.layers and metric in get_args(Metric), f"metrics has {layer}: {metric}")
        known = self.classes is None or self.classes == "imagenet" or isinstance(self.classes, Classes)
        _expect(known, "classes are the word imagenet, or ids and names")
        _expect((self.scores is None) == (self.classes is None), "scores need classes, and classes scores")

    def known_classes(self) -> Classes | None:
        """The classes of the scores, looked up where the card gives only the vocabulary's name."""
        if self.classes != "imagenet":
            return self.classes
        from lookalike.extractors import vocabulary

        return vocabulary.imagenet()

    def preparation(self) -> str:
        """Everything that decides what the network is fed, as one string."""
        parts = (self.size, self.layout, self.channels, self.mean, self.scale, self.resize)
        return json.dumps((*parts, "exact") if self.exact else parts)


def write(card: Card, path: Path, *, endings: Iterable[str] = (".xml", ".bin")) -> Card:
    """Write a card and its arrays beside a network that is there already.

    Args:
        card: what to write.
        path: of the `.json` file.
        endings: of the network's files.

    Returns:
        The card with the digests of all files beside it, as it was written.
    """
    values, arrays = vector_steps.dump(card.steps)
    if arrays:
        with writing(path.with_suffix(_ARRAYS)) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **cast("dict[str, Any]", arrays))
    own = (*endings, *([_ARRAYS] if arrays else []))
    card = replace(card, files={ending: _sha256(path.with_suffix(ending)) for ending in own})
    content = {f.name: getattr(card, f.name) for f in fields(card)} | {"format": FORMAT, "steps": values}
    if isinstance(card.classes, Classes):
        content["classes"] = asdict(card.classes)
    # Whoever reads it meanwhile finds all of it, or none.
    with writing(path) as part:
        part.write_bytes(_encoded(content))
    return card


def _encoded(content: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8; escaped where a name, of a class or a folder, comes from a file whose name is none."""
    with suppress(UnicodeEncodeError):
        return f"{json.dumps(content, indent=1, ensure_ascii=False)}\n".encode()
    return f"{json.dumps(content, indent=1)}\n".encode()


def read(path: Path, *, unchanged: Collection[str] = ()) -> Card:
    """Read a card, and hold the files beside it to the digests it names.

    Args:
        path: of the `.json` file.
        unchanged: the endings of files that are known to have been checked as they are now.

    Raises:
        ModelError: it can't be read, says what no card says, or a file is not the one it describes.
    """
    try:
        return _read(path, unchanged)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except DAMAGES as error:
        raise ModelError(f"{path} is no card of a model: {error}; expected what lookalike writes") from error


def _read(path: Path, unchanged: Collection[str]) -> Card:
    _expect(path.stat().st_size <= LARGEST_CARD, f"{path} is too large")
    content = json.loads(path.read_text(encoding="utf-8"))
    _expect(isinstance(content, dict), f"{path} holds no object")
    _expect(content.pop("format", None) == FORMAT, f"{path} is not of format {FORMAT}")
    for key, kind in (("files", dict), ("size", list), ("layers", list), ("mean", list), ("scale", list)):
        _expect(isinstance(content.get(key), kind), f"{key} is missing, or of the wrong type")
    files = {str(key): str(value) for key, value in content["files"].items()}
    _check_files(path, files, unchanged)
    content["steps"] = vector_steps.load(content["steps"], _arrays(path.with_suffix(".npz"), files))
    if isinstance(content.get("classes"), dict):
        content["classes"] = _classes(content["classes"])
    for key in ("mean", "scale"):
        content[key] = tuple(map(float, content[key]))
    for key, make in (("layers", str), ("kinds", str), ("parameters", int)):
        content[key] = tuple(map(make, content.get(key, ())))
    content["metrics"] = dict(content.get("metrics", {}))
    training = content.get("training")
    _expect(training is None or isinstance(training, dict), "training is an object, or is left out")
    width, height = content["size"]
    return Card(**content | {"size": (int(width), int(height)), "files": files})


def _check_files(path: Path, files: Mapping[str, str], unchanged: Collection[str]) -> None:
    for ending, expected in files.items():
        _expect(ending.lower() in _FILES, f"no model has a file {ending!r}")
        beside = path.with_suffix(ending)
        same = ending in unchanged or _sha256(beside) == expected
        _expect(same, f"{beside} is damaged, or is not the file {path.name} describes")


def _arrays(path: Path, files: Iterable[str]) -> dict[str, Floats]:
    if ".npz" not in files:
        return {}
    with zipfile.ZipFile(path) as packed:
        size = sum(entry.file_size for entry in packed.infolist())
    _expect(size <= _LARGEST_ARRAYS, f"{path} unpacks to {size} bytes, more than any model needs")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _classes(content: Mapping[str, Any]) -> Classes:
    ids, names = tuple(map(str, content["ids"])), tuple(map(str, content["names"]))
    _expect(len(set(ids)) == len(names) > 0, "every class needs an id of its own and a name")
    return Classes(ids, names)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _expect(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    if not condition:
        raise ModelError(f"a model's card that can't be used: {message}")


OPTIONS = {
    "scale": "a number or a fraction as 1/255, or three by commas: pixels are multiplied by it",
    "mean": "a number, or three by commas in the network's order of channels: taken off the pixels before",
    "channels": "RGB or BGR",
    "resize": ", ".join(get_args(Resize)),
    "size": "140 or 140x120 (width x height)",
    "top-classes": "how many of the largest class scores are kept",
}
"""The options, and what each takes."""


def overridden(card: Card, options: Iterable[tuple[str, str]], *, own: Iterable[str] = ()) -> Card:
    """A card with the settings that stand behind a model's name.

    `scale` or `mean` given replaces the network's own scaling altogether: pixels, 0 to 255, go in as
    (x - mean) * scale, mean 0 and scale 1 unless given. A `resize` that is given is followed to the
    letter: pictures are decoded whole, and not shrunk by whole factors before.

    Args:
        card: the network's own.
        options: (key, value) pairs, as `Name.options`.
        own: more options, which the loader has seen to itself.

    Raises:
        UsageError: an unknown option, or a value that can't be read; the message lists what there is.
    """
    given = dict(options)
    own = tuple(own)
    changes: dict[str, Any] = {}
    if {"scale", "mean"} & given.keys():
        changes = {"mean": (0.0,), "scale": (1.0,)}
    for key, value in given.items():
        if key in own:
            continue
        if key not in OPTIONS:
            raise UsageError(_unknown(card, key, own))
        try:
            changes |= _READERS[key](value)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise UsageError(
                f"{card.name} can't be used with {key}={value}; expected {OPTIONS[key]}"
            ) from error
    return replace(card, **changes) if changes else card


def _unknown(card: Card, key: str, own: tuple[str, ...]) -> str:
    known = [f"{option} ({what})" for option, what in OPTIONS.items()] + list(own)
    return f"{card.name} has no option {key!r}; there are {', '.join(known)}"


def _numbers(text: str) -> tuple[float, ...]:
    parts = [part.partition("/") for part in text.split(",")]
    numbers = tuple(float(above) / float(below or "1") for above, _, below in parts)
    if len(numbers) not in {1, 3} or not all(map(math.isfinite, numbers)):
        raise ValueError(text)
    return numbers


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text, re.ASCII)
    if found is None:
        raise ValueError(text)
    width, height = int(found[1]), int(found[2] or found[1])
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise ValueError(text)
    return width, height


def _one_of(text: str, kind: Any) -> str:
    if text not in get_args(kind):
        raise ValueError(text)
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


# A card divides by its scale, as most papers write it; in a name one multiplies, as Keras' `rescale` does.
_READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "scale": lambda text: {"scale": tuple(1 / number for number in _numbers(text))},
    "mean": lambda text: {"mean": _numbers(text)},
    "channels": lambda text: {"channels": _one_of(text, Channels)},
    "resize": lambda text: {"resize": _one_of(text, Resize), "exact": True},
    "size": lambda text: {"size": _size(text)},
    "top-classes": lambda text: {"top_classes": _count(text)},
}

"""A card for a network that has none: what its graph shows, and plain assumptions for the rest.

The graph shows the size and layout of its input, its layers, and, on two test pictures, which output
is class scores. It does not show what pixels it was trained on. Pixels from 0 to 1 are assumed unless
its first operations tell otherwise: of the ranges in use they lie within, or close to, every other one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors import cards, listing, runtime
from lookalike.extractors.cards import LARGEST_SIDE, Card
from lookalike.extractors.runtime import Engine, cut, fitted
from lookalike.extractors.steps import Flatten, Layout, Normalise, Pool
from lookalike.extractors.trials import files_of, has_numbers_elsewhere
from lookalike.types import Classes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lookalike.extractors.steps import Step

ENDINGS = (".onnx", ".xml", ".keras", ".h5")
"""How the file of a network ends."""


def described(
    path: Path,
    guess: Callable[[], tuple[Card, tuple[str, ...]]],
    model: Any = None,
    *,
    keep: bool = True,
) -> tuple[Card, tuple[str, ...]]:
    """The card of a file, written first if there is none; its weights are the file's digest.

    Args:
        path: of the model.
        guess: makes a card, and notes on what was assumed, where there is none.
        model: the `openvino.Model`, for the numbers that an ONNX file keeps elsewhere.
        keep: whether a card is written where there is none.

    Returns:
        The card, and notes for the user; none where there was a card.

    Raises:
        ModelError: the card is damaged, or describes another file.
    """
    weights = _digest(path, model)
    kept = runtime.cache_folder() / "cards" / f"{weights[:32]}.json"
    for place in (path.with_suffix(".json"), kept):
        if (card := _card(place, path)) is not None:
            return replace(card, weights=weights), ()
    card, notes = guess()
    card = replace(card, weights=weights)
    return card, (*_written(card, path, kept), *notes) if keep else notes


def _card(place: Path, path: Path) -> Card | None:
    """The card at a place; None if there is none, or one of another model, or no card at all."""
    try:
        small = place.stat().st_size <= cards.LARGEST_CARD
        content = json.loads(place.read_text(encoding="utf-8")) if small else None
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not {"format", "features"} <= content.keys():
        return None  # others, too, keep JSON beside a network: its architecture, its labels
    files = content.get("files")
    if isinstance(files, dict) and files.keys() - {".npz"} and path.suffix not in files:
        return None
    try:
        return cards.read(place)
    except ModelError as error:
        raise ModelError(
            f"{error}; if the model was changed on purpose, delete {place} and a new one is written"
        ) from error


def _written(card: Card, path: Path, kept: Path) -> tuple[str, ...]:
    """Write a card beside a model, or else into the cache; a note on where."""
    beside = path.with_suffix(".json")
    try:
        if beside.exists():
            raise FileExistsError(beside)
        cards.write(card, beside, endings=[file.suffix for file in files_of(path)])
    except OSError:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            cards.write(card, kept, endings=())
        except OSError:
            return (f"{path.name} has no card, and none could be written; this was assumed:",)
        return (
            f"{path.name} had no card; {kept} was written, copy it to {beside} and correct it if needed:",
        )
    return (f"{path.name} had no card; {beside} was written, correct it if needed:",)


def _digest(path: Path, model: Any) -> str:
    """Hexadecimal SHA-256 of a model's files, and of the numbers that an ONNX file keeps elsewhere."""
    state = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as opened:
            state.update(hashlib.file_digest(opened, "sha256").digest())
    if model is not None and path.suffix.lower() == ".onnx" and has_numbers_elsewhere(path):
        for op in model.get_ordered_ops():
            if op.get_type_name() == "Constant":
                state.update(op.get_friendly_name().encode() + op.data.tobytes())
    return state.hexdigest()


_SIZE = 224  # pixels on a side, where the network takes any
_ARITHMETIC = {"Add": 0, "Subtract": 0, "Multiply": 1, "Divide": 1}
_PASSING = {"Convert", "Transpose", "Reshape", "Pad", "Identity", *_ARITHMETIC}
_FAR = 30  # operations between a network's output and its last matrix, at most


def guess(model: Any, name: str) -> tuple[Card, tuple[str, ...]]:
    """A card for an `openvino.Model`, and what was assumed for it, in words.

    Raises:
        ModelError: the network has not one input, or takes no picture.
    """
    bare = _bare_card(model, name)
    network = fitted(model, bare)
    ports = listing.ports(network)
    layers = _layers(network)
    ends = [op.input(0).get_source_output() for op in network.get_results()]
    named = [_name_of(port, layers, ports) for port in ends]
    outputs = list(dict.fromkeys(name for name in named if name is not None))
    if not outputs:
        raise ModelError(f"{name} gives nothing that follows from a picture; expected a vector or a map")
    scores = _scores(model, bare, outputs)
    features = _features(outputs, scores, layers, ports)
    shape = listing.shape_of(ports[features], listing.ports(model)[features])
    layout = listing.layout_of(ports[features], bare.layout)
    card = Card(
        name=name,
        weights="unknown",
        size=bare.size,
        layers=tuple(layers),
        features=features,
        licence="unknown",
        layout=bare.layout,
        scale=(_range(network),),
        resize="bilinear",
        steps=() if features == scores else _steps(shape, layout),
        scores=scores,
        classes=_classes(ports[scores]) if scores else None,
    )
    card = listing.completed(card, network)
    return card, _notes(card, model.inputs[0].get_partial_shape(), shape, outputs)


def _bare_card(model: Any, name: str) -> Card:
    """What the input alone shows: a card with a size and a layout that the network takes."""
    if len(model.inputs) != 1:
        names = ", ".join(str(port.get_node().get_friendly_name()) for port in model.inputs)
        raise ModelError(
            f"{name} has {len(model.inputs)} inputs ({names or 'none'}); expected one, a picture: "
            "export it with that input alone"
        )
    shape = model.inputs[0].get_partial_shape()
    faults = []
    for layout in _layouts(shape):
        height, width = (shape[2], shape[3]) if layout == "NCHW" else (shape[1], shape[2])
        card = Card(
            name=name,
            weights="unknown",
            size=(_side(width, name), _side(height, name)),
            layers=("input",),
            features="input",
            licence="unknown",
            layout=layout,
        )
        try:
            fitted(model, card)
        except ModelError as error:
            faults.append(error)
        else:
            return card
    if faults:
        raise faults[0]
    raise ModelError(
        f"{name} takes an input of shape {shape}; expected a picture, [n,3,height,width] or "
        "[n,height,width,3]: export it with that input"
    )


def _layouts(shape: Any) -> list[Layout]:
    """The layouts an input's shape allows."""
    if shape.rank.is_dynamic:
        return ["NCHW", "NHWC"]
    if len(shape) != 4:
        return []
    three = [size.is_dynamic or size.get_length() == 3 for size in shape]
    found: list[Layout] = ["NCHW"] if three[1] else []
    # Where both fit, known channels go before unknown ones.
    if three[3]:
        found.insert(0 if three[1] and shape[1].is_dynamic and shape[3].is_static else len(found), "NHWC")
    return found


def _side(size: Any, name: str) -> int:
    """A side of the input in pixels: the only one it takes, or the usual one within what it takes."""
    side = size.get_length() if size.is_static else max(_SIZE, size.get_min_length())
    if size.is_dynamic and size.get_max_length() > 0:
        side = min(side, size.get_max_length())
    if not 0 < side <= LARGEST_SIDE:
        raise ModelError(f"{name} takes pictures of {side} pixels on a side; expected 1 to {LARGEST_SIDE}")
    return int(side)


def _layers(network: Any) -> list[str]:
    """The names of all outputs of operations that follow from the picture, in the order they run."""
    following: set[str] = set()
    names: dict[str, None] = {}
    for op in network.get_ordered_ops():
        kind, name = op.get_type_name(), op.get_friendly_name()
        below = {port.get_source_output().get_node().get_friendly_name() for port in op.inputs()}
        if kind != "Parameter" and not below & following:
            continue
        following.add(name)
        if kind in {"Result", "ShapeOf"}:
            continue
        if op.get_output_size() == 1:
            if kind == "Parameter" or op.get_element_type().is_real():
                names[name] = None
        else:
            names |= {min(port.get_names()): None for port in op.outputs() if port.get_names()}
    return list(names)


def _name_of(port: Any, layers: list[str], ports: dict[str, Any]) -> str | None:
    """The name under which an output is a layer."""
    own = port.get_node().get_friendly_name()
    near = [own, *sorted(port.get_names())]
    return next((name for name in near if name in layers and ports[name] == port), None)


def _scores(model: Any, card: Card, outputs: list[str]) -> str | None:
    """The output that gives probabilities of test pictures: rows of numbers, none below 0, of sum 1."""
    network = fitted(model, card)
    ports = listing.ports(network)
    rows = [name for name in outputs if (size := _length(ports[name])) is not None and size > 1]
    if not rows:
        return None
    shapes = [(_length(ports[name]) or 0,) for name in rows]
    width, height = card.size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    engine = Engine(cut(network, [ports[name] for name in rows], card), "f32")
    found = engine.run([noise, np.full_like(noise, 99)], shapes)
    for name, numbers in zip(rows, found, strict=True):
        if (numbers >= 0).all() and np.allclose(numbers.sum(axis=1), 1, atol=1e-3):
            return name
    return None


def _length(port: Any) -> int | None:
    """How many numbers an output has for one picture, if they are a row: its other axes have one place."""
    shape = port.get_partial_shape()
    if shape.is_dynamic:
        return None
    sizes = [int(size) for size in shape.to_shape()]
    longest = max(sizes, default=1)
    return longest if int(np.prod(sizes)) == longest else None


def _features(outputs: list[str], scores: str | None, layers: list[str], ports: dict[str, Any]) -> str:
    """The first output that is not class scores; of a classifier alone, what its last matrix is fed with."""
    others = [output for output in outputs if output != scores]
    if others:
        return others[0]
    node = ports[outputs[0]].get_node()
    for _ in range(_FAR):
        above = [port.get_source_output() for port in node.inputs()]
        above = [port for port in above if _name_of(port, layers, ports)]
        if not above:
            break
        if node.get_type_name() == "MatMul":
            return _name_of(above[0], layers, ports) or outputs[0]
        node = above[0].get_node()
    return outputs[0]


def _steps(shape: tuple[int, ...], layout: Layout) -> tuple[Step, ...]:
    return (Pool("avg", layout) if len(shape) == 3 else Flatten(), Normalise())


def _classes(port: Any) -> Classes:
    count = _length(port) or 0
    return Classes(tuple(map(str, range(count))), tuple(f"class {number}" for number in range(count)))


def _range(network: Any) -> float:
    """What pixels are divided by: 1 where the network itself brings them down from 0–255, else 255."""
    node = network.get_parameters()[0]
    if not node.get_element_type().is_real():
        return 1.0
    for _ in range(len(_PASSING)):
        users = list(node.output(0).get_target_inputs())
        if len(users) != 1 or users[0].get_node().get_type_name() not in _PASSING:
            break
        node = users[0].get_node()
        size = _constant_size(node)
        if size is None:
            continue
        if node.get_type_name() == "Divide":
            size = 1 / size if size else 0.0
        if _ARITHMETIC[node.get_type_name()]:
            return 1.0 if 0 < size < 0.1 else 255.0
        return 1.0 if size > 5 else 255.0
    return 255.0


def _constant_size(node: Any) -> float | None:
    """The mean size of the constant that an arithmetic operation takes."""
    if node.get_type_name() not in _ARITHMETIC:
        return None
    for port in node.inputs():
        source = port.get_source_output().get_node()
        if source.get_type_name() == "Convert":  # of a number kept in float16
            source = source.input(0).get_source_output().get_node()
        if source.get_type_name() == "Constant":
            return float(np.abs(source.data).mean())
    return None


def _notes(card: Card, given: Any, shape: tuple[int, ...], outputs: list[str]) -> tuple[str, ...]:
    width, height = card.size
    size = "as the network takes" if given.is_static else "assumed where the network takes any"
    pixels = (
        "0 to 255, as its first layers suggest" if card.scale == (1.0,) else "0 to 1 (scale 255), assumed"
    )
    pooled = ", its mean a channel" if len(shape) == 3 else ""
    words = f"class scores: {card.scores}, under numbers for names"
    without = f"class scores: none, as no output ({', '.join(outputs)}) sums to 1; a softmax would"
    return (
        f"input: {width}x{height} pixels, {card.layout}, {size}",
        f"pixels: RGB, assumed; {pixels}; resized {card.resize}, assumed",
        f"vector: layer {card.features}{pooled}, {shape} numbers",
        words if card.scores else without,
    )

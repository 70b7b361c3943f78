"""The layers of a network as its card lists them: found by name or number, each with what it computes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import ModelError, UnknownLayer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.extractors.cards import Card
    from lookalike.extractors.steps import Layout

_SHOWN = 100  # names in an error message

# Where OpenVINO's operations have the channels of what they make.
_TELLING: dict[str, Layout] = {
    "Convolution": "NCHW",
    "GroupConvolution": "NCHW",
    "ConvolutionBackpropData": "NCHW",
    "GroupConvolutionBackpropData": "NCHW",
    "MaxPool": "NCHW",
    "AvgPool": "NCHW",
    "MatMul": "NHWC",
}
_TURNED: dict[tuple[int, ...], Layout] = {(0, 2, 3, 1): "NHWC", (0, 3, 1, 2): "NCHW"}
_REARRANGING = {"Reshape", "Squeeze", "Unsqueeze", "ShapeOf"}


class Layer(NamedTuple):
    """A layer a network can be cut at.

    number: its place in the card's list, from 0.
    name: its name.
    type: what makes it.
    shape: of its output for one picture; -1 where the network decides that while it runs.
    parameters: how many learnt numbers it has.
    """

    number: int
    name: str
    type: str
    shape: tuple[int, ...]
    parameters: int


def ports(model: Any) -> dict[str, Any]:
    """Every output of every operation of an `openvino.Model`, by its names.

    The names of tensors, of which one may have several, go before the operations' own.
    """
    operations = model.get_ordered_ops()
    results = [op for op in operations if op.get_type_name() == "Result"]
    others = [op for op in operations if op.get_type_name() != "Result" and op.get_output_size()]
    found = {op.get_friendly_name(): op.output(0) for op in others}
    found |= {name: port for op in others for port in op.outputs() for name in port.get_names()}
    for op in results:
        source = op.input(0).get_source_output()
        found |= dict.fromkeys(op.output(0).get_names(), source)
    return found


def layout_of(port: Any, otherwise: Layout) -> Layout:
    """Where the channels of a map lie: told by the nearest operation above that has them in one place.

    The layout of a network's input does not tell it: exporters turn maps round on the way.

    Args:
        port: a layer's output.
        otherwise: what holds where no operation tells.
    """
    while True:
        node = port.get_node()
        kind = node.get_type_name()
        if kind in _TELLING:
            return _TELLING[kind]
        if kind == "Transpose":
            return _TURNED.get(_order(node), otherwise)
        rank = len(port.get_partial_shape()) if port.get_partial_shape().rank.is_static else 0
        above = [] if kind in _REARRANGING else [source.get_source_output() for source in node.inputs()]
        above = [source for source in above if _is_map(source, rank)]
        if not above:
            return otherwise
        port = above[0]


def shape_of(port: Any, before: Any) -> tuple[int, ...]:
    """The shape of a layer's output for one picture.

    Args:
        port: the output, in the network that takes one picture.
        before: the same output in the network as it was; it tells an axis of pictures from others.

    Raises:
        ModelError: the network mixes the parts of a picture with the axis of pictures.
    """
    sizes = tuple(size.get_length() if size.is_static else -1 for size in port.get_partial_shape())
    if not sizes or sizes[0] == 1:
        return sizes[1:]
    first = before.get_partial_shape()[0]
    if first.is_dynamic or first.get_length() == 1:
        raise ModelError(
            f"the layer {before.get_node().get_friendly_name()!r} makes {sizes[0]} rows of one picture; "
            "expected one, so this network can't be used at that size of picture"
        )
    return sizes  # no axis of pictures: with one picture, all of it is that picture's


def listed(card: Card, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Layer]:
    """The card's layers, with types and parameters from the card, or counted where it has none.

    Args:
        card: names them.
        before: the `ports` of the network as it was.
        after: the `ports` of the network that takes one picture.
    """
    kinds = card.kinds or [str(after[name].get_node().get_type_name()) for name in card.layers]
    parameters = card.parameters or _parameters(card.layers, after)
    shapes = [_shape_or_unknown(after[name], before[name]) for name in card.layers]
    return list(map(Layer, range(len(shapes)), card.layers, kinds, shapes, parameters))


def completed(card: Card, model: Any) -> Card:
    """A card that says of each layer what makes it, and how many learnt numbers it has."""
    found = ports(model)
    layers = listed(card, found, found)
    kinds, parameters = (
        tuple(column) for column in zip(*((x.type, x.parameters) for x in layers), strict=True)
    )
    return replace(card, kinds=kinds, parameters=parameters)


def find(card: Card, wanted: str, found: Mapping[str, Any] | None = None) -> str:
    """The name of a layer asked for by name, by number, or as `features` or `classes`.

    Args:
        card: names the layers.
        wanted: what was asked for.
        found: the network's `ports`, which may know a layer by more names than the card.

    Raises:
        UnknownLayer: there is none; the message lists what there is.
    """
    aliases = {"features": card.features, "classes": card.scores}
    name = wanted if wanted in card.layers else aliases.get(wanted)
    if name is not None:
        return name
    count = len(card.layers)
    if wanted.removeprefix("-").isdecimal() and len(wanted) < 9 and -count <= int(wanted) < count:
        return card.layers[int(wanted)]
    known = found or {}
    other = next((name for name in card.layers if wanted in known and known[name] == known[wanted]), None)
    if other is None:
        raise UnknownLayer(_unknown(card, wanted))
    return other


def _order(transpose: Any) -> tuple[int, ...]:
    source = transpose.input(1).get_source_output().get_node()
    return tuple(map(int, source.data)) if source.get_type_name() == "Constant" else ()


def _is_map(port: Any, rank: int) -> bool:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic or len(shape) != rank:
        return False
    node = port.get_node()
    if node.get_type_name() == "Convert":  # of a constant kept in float16
        node = node.input(0).get_source_output().get_node()
    return bool(node.get_type_name() != "Constant")


def _unknown(card: Card, wanted: str) -> str:
    if wanted == "classes":
        return f"{card.name} has no class scores, so there is no {wanted!r}; take another layer"
    count = len(card.layers)
    shown = card.layers
    if count > _SHOWN:
        from difflib import get_close_matches

        shown = (*(get_close_matches(wanted, card.layers, n=5) or card.layers[:_SHOWN]), "…")
    return (
        f"{card.name} has no layer {wanted!r}; it has {', '.join(shown)}, or their numbers from 0 to "
        f"{count - 1} (-1 is the last)"
    )


def _shape_or_unknown(port: Any, before: Any) -> tuple[int, ...]:
    try:
        return shape_of(port, before)
    except ModelError:
        return (-1,)


def _parameters(names: Sequence[str], found: Mapping[str, Any]) -> list[int]:
    """How many learnt numbers feed each layer, and no layer before it."""
    seen: set[str] = set()
    return [_constants(found[name].get_node(), seen) for name in names]


def _constants(node: Any, seen: set[str]) -> int:
    """The sizes of all constants below a node that were not seen yet, together."""
    total, open_nodes = 0, [node]
    while open_nodes:
        node = open_nodes.pop()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        if node.get_type_name() == "Constant":
            shape = node.output(0).get_shape()
            # A number alone is a bound or an exponent, and whole numbers are axes and shapes.
            total += node.get_element_type().is_real() * bool(len(shape)) * _product(shape)
        open_nodes += [port.get_source_output().get_node() for port in node.inputs()]
    return total


def _product(shape: Sequence[int]) -> int:
    result = 1
    for size in shape:
        result *= int(size)
    return result

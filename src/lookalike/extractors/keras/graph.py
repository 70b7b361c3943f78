"""From a Keras model to an `openvino.Model` in which every layer is an output of its own name.

OpenVINO's converter loses the names of inner layers, so each layer's output is declared, by its
number; afterwards its tensor gets the layer's name, and the network can be cut there without Keras.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors import runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUGHLY = 1e-2  # of a layer's length: far above rounding, far below any operation done wrongly
_CHECKED = 32  # layers looked at; what is wrong in one is wrong in all that follow
_IDENTITIES = {"Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise"}


class NotExportable(ModelError):
    """OpenVINO can't run this network as Keras does; Keras itself can."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a Keras model in its own order.

    names, kinds, parameters: one a layer.
    outputs: the symbolic tensor that each layer gives in this model; of several, the first.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    parameters: tuple[int, ...]
    outputs: tuple[Any, ...]

    def penultimate(self) -> str:
        """The layer below the last one that learns; the last of all in a network without one.

        That is what a classifier reads, and not, as in some networks the last but one, its scores.
        """
        learning = [index for index, count in enumerate(self.parameters) if count]
        index = learning[-1] if learning else 0
        inputs = self.outputs[index]._keras_history.operation.input  # noqa: SLF001 - no other way up
        while index and not isinstance(inputs, list | tuple | dict):
            below = inputs._keras_history.operation  # noqa: SLF001
            # An operation without a layer, as keras.ops.relu, can't be cut at.
            if type(below).__name__ not in _IDENTITIES and below.name in self.names:
                return str(below.name)
            inputs = below.input
        return self.names[index - 1]


def layers_of(model: Any) -> Layers:
    """What a functional or sequential Keras model is made of.

    Raises:
        ModelError: it is neither, or it is not built yet.
    """
    nodes = getattr(getattr(model, "_functional", model), "_nodes_by_depth", None)
    if not model.built or not nodes:
        raise ModelError(
            f"the Keras model {model.name!r} is no graph of layers; expected a functional or a built "
            "sequential model: build it with keras.Input"
        )
    # A layer that is shared by models, or is one, has outputs in each; only this model's are meant.
    made: dict[str, Any] = {}
    for depth in sorted(nodes, reverse=True):  # from the picture on: of several uses, the first
        for node in nodes[depth]:
            made.setdefault(node.operation.name, node.outputs[0])
    layers = [layer for layer in model.layers if layer.name in made]
    return Layers(
        tuple(layer.name for layer in layers),
        tuple(type(layer).__name__ for layer in layers),
        tuple(layer.count_params() if layer.built else 0 for layer in layers),
        tuple(made[layer.name] for layer in layers),
    )


def picture_shape(model: Any) -> tuple[int | None, int | None]:
    """(width, height) that a Keras model takes; None for a side that is free.

    Raises:
        ModelError: it does not take one colour picture.
    """
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        raise ModelError(
            f"the Keras model {model.name!r} takes {' and '.join(map(str, shapes))}; "
            "expected one colour picture, (None, height, width, 3)"
        )
    _, height, width, _ = shapes[0]
    return width, height


def weights_digest(model: Any) -> str:
    """Hexadecimal SHA-256 of all numbers a Keras model has learnt, in their order."""
    state = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(weight.numpy())
        state.update(f"{array.shape}{array.dtype}".encode())
        state.update(array.data.cast("B") if array.size else b"")
    return state.hexdigest()


def hasten() -> None:
    """Let OpenVINO's converter look up each variable once; it asks five times, through all of them.

    That is two thirds of the time that a network of a thousand layers takes.
    """
    runtime.openvino()
    from openvino.frontend.tensorflow import node_decoder

    decoder = node_decoder.TFGraphNodeDecoder
    decoder.get_variable = staticmethod(cache(decoder.get_variable))


def convert(model: Any, layers: Layers, size: tuple[int, int]) -> Any:
    """A Keras model as an `openvino.Model` that takes (1, height, width, 3), every layer an output.

    Args:
        model: with TensorFlow's backend.
        layers: of it.
        size: (width, height) of a picture.

    Raises:
        NotExportable: OpenVINO has not all of its operations, or gives other numbers than Keras.
    """
    run = _traced(model, layers.outputs, size)
    try:
        converted = runtime.openvino().convert_model(run)
        sources = _named(converted, layers)
        _check(converted, sources, run, size)
    except NotExportable:
        raise
    except Exception as error:  # the converter raises whatever its plug-ins do
        raise NotExportable(f"{model.name} can't be exported to OpenVINO: {_gist(error)}") from error
    return converted


def _traced(model: Any, outputs: Sequence[Any], size: tuple[int, int]) -> Any:
    import keras
    import tensorflow as tf

    whole = keras.Model(model.inputs[0], list(outputs))
    dtype = model.inputs[0].dtype
    width, height = size

    def run(picture: Any) -> dict[str, Any]:
        found = whole(tf.cast(picture, dtype), training=False)
        found = found if isinstance(found, list | tuple) else [found]
        return {_key(i): tf.cast(tf.identity(x), "float32") for i, x in enumerate(found)}

    signature = tf.TensorSpec((1, height, width, 3), "float32", name="picture")
    return tf.function(run, input_signature=[signature]).get_concrete_function()


def _named(converted: Any, layers: Layers) -> list[Any]:
    """Give the layers' names to the tensors of a converted model; the tensors, in order."""
    results: dict[str, Any] = {}
    for result in converted.get_results():
        source = result.input_value(0)
        results |= dict.fromkeys({result.get_friendly_name(), *source.get_names()}, source)
    # What comes in goes out unchanged, and has kept no name of an output.
    picture = converted.inputs[0].get_node().output(0)
    sources = [results.get(_key(index), picture) for index in range(len(layers.names))]
    strange = [
        name
        for name, kind, source in zip(layers.names, layers.kinds, sources, strict=True)
        if source == picture and kind not in {"InputLayer", *_IDENTITIES}
    ]
    if strange:
        raise NotExportable(f"OpenVINO lost the layers {', '.join(strange[:5])}")
    for source in sources:
        source.get_tensor().set_names(set())
    for name, source in zip(layers.names, sources, strict=True):
        source.get_tensor().add_names({name})
        source.get_node().set_friendly_name(name)
    return sources


def _check(converted: Any, sources: Sequence[Any], run: Any, size: tuple[int, int]) -> None:
    """One picture of noise through both, looked at in some layers from the picture to the last."""
    import tensorflow as tf

    width, height = size
    noise = np.random.default_rng(0).uniform(-1, 1, (1, height, width, 3)).astype(np.float32)
    expected = run(tf.constant(noise))
    openvino = runtime.openvino()
    checked = sorted({len(sources) - 1, *range(0, len(sources), max(1, len(sources) // _CHECKED))})
    copy = openvino.Model([sources[index] for index in checked], converted.get_parameters(), "check").clone()
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    found = runtime.compile_model(copy, config)(noise)
    for place, index in enumerate(checked):
        wanted = np.asarray(expected[_key(index)])
        error = float(np.linalg.norm((found[place] - wanted).ravel()))
        if not error <= _ROUGHLY * float(np.linalg.norm(wanted.ravel())) + 1e-6:
            raise NotExportable(f"OpenVINO gives other numbers than Keras in layer {index}")


def _key(index: int) -> str:
    return f"{index:05}"


def _gist(error: Exception) -> str:
    """What OpenVINO says it can't convert, or else the last thing it says."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
    telling = [line for line in lines if line.startswith("No conversion rule")]
    return (telling or lines[-1:] or [type(error).__name__])[0][:200]

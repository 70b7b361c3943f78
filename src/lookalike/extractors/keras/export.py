"""A Keras model made an `openvino.Model` that has every layer as an output, and its card.

OpenVINO's converter loses the names of inner layers, so each layer's output is declared, by its number;
afterwards its tensor gets the layer's name, and the network can be cut there without Keras. Names of layers
that Keras makes up count up from what the process built before, its random numbers are the process's, and
TensorFlow stays in memory: reasons to build networks in a child (see `child`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError, UsageError, WeightsMissing
from lookalike.extractors import runtime
from lookalike.extractors.cards import Card
from lookalike.extractors.keras import recipes, safety
from lookalike.extractors.keras.safety import WHAT, first_line
from lookalike.extractors.steps import Flatten, Normalise
from lookalike.system import imports
from lookalike.system.process import without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.extractors.keras.recipes import Recipe


_CHATTER = (b"oneDNN custom operations are on", b"All log messages before absl::InitializeLog()")
"""What TensorFlow says when it is loaded, whatever level of messages it is asked for."""


def keras() -> Any:
    """The library, with whatever backend it is set to.

    Raises:
        MissingExtra: it, or its backend, is not installed.
    """
    # Both are read once, when TensorFlow is imported. It leaves oneDNN off on processors where that makes a
    # training half as fast again (benches/classifier.py on a Zen 3).
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        # TensorFlow brings an SQLite without full-text search, which is the one of the whole process if
        # it is loaded first: a gallery could not be opened beside a model.
        import sqlite3  # noqa: F401

        with nullcontext() if "keras" in sys.modules else without(*_CHATTER):
            import keras as library

            if library.backend.backend() == "tensorflow":
                import tensorflow as tf  # noqa: F401
    except ImportError as error:
        raise imports.missing(WHAT, "keras") from error
    return library


def exports() -> bool:
    """Whether the Keras of this process has the backend that models are exported from."""
    return bool(keras().backend.backend() == "tensorflow")


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


_TRAINING = {"dropout", "dropout_rate"}  # arguments that nothing but training is different with

SIDE = 224
"""Pixels on a side, where a model takes any."""


def built(recipe: Recipe) -> tuple[Any, Card]:
    """A Keras model and its card.

    Raises:
        UsageError: the network can't be built with these arguments.
        WeightsMissing: its weights can't be had, or do not fit.
        ModelError: a file that is no model, or one that can't be used.
        MissingExtra: Keras is not installed.
    """
    model = _opened(recipe) if recipe.kind == "file" else _constructed(recipe)
    layers = layers_of(model)
    if recipe.kind == "file":
        return model, card_of_file(model, layers, recipe.network, recipe.content, recipe.size)
    return model, _card_of_application(model, layers, recipe)


def exported(recipe: Recipe) -> tuple[Any, Card]:
    """The `openvino.Model` of a recipe and its card.

    Raises:
        NotExportable: OpenVINO can't run it; and all that `built` raises.
    """
    model, card = built(recipe)
    return convert(model, layers_of(model), card.size), card


def card_of_file(
    model: Any, layers: Layers, network: str, weights: str, size: tuple[int, int] | None
) -> Card:
    """What a Keras model shows of itself: pixels from 0 to 255, and no class names.

    Args:
        model: of Keras.
        layers: of it.
        network: what to call it; the name of a file.
        weights: hexadecimal digest.
        size: (width, height) that is wanted, where the model takes any.

    Raises:
        ModelError: it takes no colour picture, or none of that size.
    """
    return Card(
        name=Path(network).name,
        weights=weights,
        size=_size(model, size),
        layers=layers.names,
        features=layers.penultimate(),
        licence="unknown",
        layout="NHWC",
        kinds=layers.kinds,
        parameters=layers.parameters,
    )


def _card_of_application(model: Any, layers: Layers, recipe: Recipe) -> Card:
    network = recipes.find(recipe.network)
    pixels = recipes.PIXELS[network.scaling]
    arguments = network.arguments | dict(recipe.arguments)
    scores = _head(layers, arguments)
    licences = {"imagenet": f"{network.licence}; trained on ImageNet, as Keras offers it"}
    licences["none"] = f"random numbers, seed {recipe.seed}"
    return Card(
        name=f"keras:{network.name}",
        weights=_weights(model, recipe),
        size=recipe.size or (network.side, network.side),
        layers=layers.names,
        features=layers.penultimate() if arguments["include_top"] else layers.names[-1],
        licence=licences.get(recipe.weights, "unknown: the user's own file"),
        layout="NHWC",
        channels=pixels.channels,
        mean=pixels.mean,
        scale=pixels.scale,
        steps=(Flatten(), Normalise()),
        scores=scores,
        classes="imagenet" if scores else None,
        kinds=layers.kinds,
        parameters=layers.parameters,
    )


def _weights(model: Any, recipe: Recipe) -> str:
    """A digest of the weights, and of arguments that change a network's numbers and not its weights."""
    digest = weights_digest(model)
    told = [(key, value) for key, value in recipe.arguments if key not in _TRAINING]
    return hashlib.sha256(f"{digest}{told}".encode()).hexdigest() if told else digest


def _head(layers: Layers, arguments: dict[str, Any]) -> str | None:
    """The layer of the thousand probabilities of ImageNet, where the network has one."""
    whole = arguments["include_top"] and arguments["classes"] == 1000
    return layers.names[-1] if whole and arguments["classifier_activation"] == "softmax" else None


def _constructed(recipe: Recipe) -> Any:
    library = keras()
    network = recipes.find(recipe.network)
    arguments = dict(recipe.arguments)
    width, height = recipe.size or (network.side, network.side)
    shape = (height, width, 3) if recipe.size or not arguments.get("include_top", True) else None
    constructor = getattr(library.applications, network.name)
    library.utils.set_random_seed(recipe.seed)
    weights = recipe.weights if recipe.weights == "imagenet" else None
    with _failures(network.name):
        model = constructor(weights=weights, input_shape=shape, **arguments)
    if recipe.content:
        _load_weights(model, recipe.weights)
    return model


@contextlib.contextmanager
def _failures(network: str) -> Any:
    """Say what Keras says in errors of ours."""
    try:
        yield
    except Exception as error:  # a download that fails raises no less
        said = first_line(error)
        if isinstance(error, ValueError | TypeError) and "file" not in said:
            raise UsageError(f"{network} can't be built so: {said}") from error
        raise WeightsMissing(
            f"the ImageNet weights of {network} can't be had: {said}; Keras downloads them once, so connect "
            "this machine to the internet, or give ?weights=FILE, or ?weights=none for random ones"
        ) from error


def _load_weights(model: Any, path: str) -> None:
    safety.check_hdf5(Path(path))
    try:
        model.load_weights(path)
    except Exception as error:  # whatever is in the file
        raise WeightsMissing(
            f"{path} does not fit {model.name}: {first_line(error)}; "
            "expected its weights, and the same include_top, alpha and other options as they were made with"
        ) from error


def _opened(recipe: Recipe) -> Any:
    path = Path(recipe.network)
    safety.check(path)
    library = keras()
    try:
        return library.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever is in the file
        raise ModelError(
            f"{path} can't be opened by Keras: {first_line(error)}; save the model again"
        ) from error


def _size(model: Any, wanted: tuple[int, int] | None) -> tuple[int, int]:
    width, height = picture_shape(model)
    size = wanted or (width or SIDE, height or SIDE)
    if (width or size[0], height or size[1]) != size:
        raise ModelError(
            f"{model.name} takes pictures of {width}x{height} pixels, not of {size[0]}x{size[1]}; "
            "leave the size out"
        )
    return size

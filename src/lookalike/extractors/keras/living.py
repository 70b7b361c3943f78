"""A Keras model of the user's process: exported there where that is possible."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError
from lookalike.extractors.keras import backend, building, graph
from lookalike.extractors.keras.fallback import KerasExtractor
from lookalike.extractors.names import Name
from lookalike.extractors.network import OpenVinoExtractor

if TYPE_CHECKING:
    from lookalike.extractors.keras import Preprocess
    from lookalike.types import Extractor, Precision


def live(
    model: Any,
    *,
    layer: str | int | None,
    preprocess: Preprocess | None,
    size: tuple[int, int] | None,
    normalize: bool | None,
    precision: Precision | None,
) -> Extractor:
    """The extractor of a model that is there; see `lookalike.extractors.keras.live`."""
    if not isinstance(model, backend.keras().Model):
        raise ModelError(
            f"{type(model).__name__} is no model; expected a name, the path of a file, or a Keras model"
        )
    layers = graph.layers_of(model)
    card = building.card_of_file(model, layers, model.name, _digest(model, layers, preprocess), size)
    card = replace(card, features=layers.names[-1])
    name = Name(f"keras-live:{_word(model.name)}", None if layer is None else str(layer))
    try:
        converted = _exported(model, layers, card.size)
    except graph.NotExportable as error:
        return KerasExtractor(
            model,
            card,
            name,
            precision,
            normalize=normalize,
            preprocess=preprocess,
            notes=(f"{error}; it runs through Keras, many times slower",),
        )
    return OpenVinoExtractor(converted, card, name, precision, normalize=normalize, preprocess=preprocess)


def _exported(model: Any, layers: graph.Layers, size: tuple[int, int]) -> Any:
    if not backend.exports():
        raise graph.NotExportable(
            f"{model.name} can't be exported to OpenVINO, for Keras runs on "
            f"{backend.keras().backend.backend()} here, and not on TensorFlow"
        )
    return graph.convert(model, layers, size)


def _digest(model: Any, layers: graph.Layers, preprocess: Preprocess | None) -> str:
    """Of everything that decides the model's numbers; not of names, which Keras makes up anew each time."""
    parts = [graph.weights_digest(model), _source(preprocess)]
    parts += [str(tuple(tensor.shape)) for tensor in layers.outputs]
    parts += [_settings(layer) for layer in model.layers]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _settings(layer: Any) -> str:
    try:
        settings = layer.get_config()
    except NotImplementedError:  # a layer of the user's own need not have it
        settings = {}
    settings = {key: value for key, value in settings.items() if key != "name"}
    return type(layer).__name__ + json.dumps(settings, sort_keys=True, default=lambda it: type(it).__name__)


def _source(function: Any) -> str:
    if function is None:
        return ""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function))}"


def _word(text: str) -> str:
    """A model's name without what means something in ours."""
    return re.sub(r"[^\w.-]", "_", text)

"""A Keras model of the user's process: exported there where that is possible."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors import listing, network
from lookalike.extractors.keras import backend, building, graph
from lookalike.extractors.keras.fallback import KerasExtractor
from lookalike.extractors.names import Name
from lookalike.extractors.network import OpenVinoExtractor

if TYPE_CHECKING:
    from lookalike.extractors.keras import Preprocess
    from lookalike.types import Extractor, Precision

_NAMES = {"name", "keras_history", "input_layers", "output_layers"}


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
    card = building.card_of_file(model, layers, model.name, "unknown", size)
    weights = _digest(model, layers, _effect(preprocess, card.size))
    card = replace(card, features=layers.names[-1], weights=weights)
    name = Name(f"keras-live:{_word(model.name)}", None if layer is None else str(layer))
    if name.layer is not None and name.layer not in layers.names and name.layer.endswith(("+avg", "+max")):
        name = Name.parse(str(name))
    made: OpenVinoExtractor | KerasExtractor
    try:
        converted = _exported(model, layers, card.size)
    except graph.NotExportable as error:
        made = KerasExtractor(
            model,
            card,
            name,
            precision,
            normalize=normalize,
            preprocess=preprocess,
            notes=(f"{error}; it runs through Keras, many times slower",),
        )
    else:
        made = OpenVinoExtractor(converted, card, name, precision, normalize=normalize, preprocess=preprocess)
    # Names that Keras makes up count on from what the process built before; places stay.
    place = str(card.layers.index(listing.find(card, name.layer or card.features)))
    made.digest = network.digest(card, place, made.steps)
    return made


def _exported(model: Any, layers: graph.Layers, size: tuple[int, int]) -> Any:
    if not backend.exports():
        raise graph.NotExportable(
            f"{model.name} can't be exported to OpenVINO, for Keras runs on "
            f"{backend.keras().backend.backend()} here, and not on TensorFlow"
        )
    return graph.convert(model, layers, size)


def _digest(model: Any, layers: graph.Layers, effect: str) -> str:
    """Of everything that decides the model's numbers; not of names, which Keras makes up anew each time."""
    parts = [graph.weights_digest(model), effect]
    parts += [str(tuple(tensor.shape)) for tensor in layers.outputs]
    parts += [_settings(layer) for layer in model.layers]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _settings(layer: Any) -> str:
    try:
        settings = layer.get_config()
    except NotImplementedError:  # a layer of the user's own need not have it
        settings = {}
    nameless = _nameless(settings)
    return type(layer).__name__ + json.dumps(nameless, sort_keys=True, default=lambda it: type(it).__name__)


def _nameless(value: Any) -> Any:
    """Settings without names, those of models in models too."""
    if isinstance(value, dict):
        return {str(key): _nameless(part) for key, part in value.items() if key not in _NAMES}
    return [_nameless(part) for part in value] if isinstance(value, list | tuple) else value


def _effect(preprocess: Preprocess | None, size: tuple[int, int]) -> str:
    """What a function makes of two pictures of noise, bright and dark: its source would not tell settings."""
    if preprocess is None:
        return ""
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3))
    noise[1] //= 4
    state = hashlib.sha256()
    for pixels in noise:
        state.update(network.preprocessed(preprocess, pixels).tobytes())
    return state.hexdigest()


def _word(text: str) -> str:
    """A model's name without what means something in ours."""
    return re.sub(r"[^\w.-]", "_", text)

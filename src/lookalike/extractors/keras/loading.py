"""Extractors of Keras networks: by name or file, through the cache, and of models in memory."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ModelError
from lookalike.extractors import infer_card, listing, network, runtime
from lookalike.extractors.infer_card import described
from lookalike.extractors.keras import child, export, recipes
from lookalike.extractors.keras.export import NotExportable
from lookalike.extractors.keras.fallback import KerasExtractor
from lookalike.extractors.names import Name
from lookalike.extractors.network import OpenVinoExtractor
from lookalike.extractors.steps import Flatten, Normalise, Pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.extractors.cards import Card
    from lookalike.types import Extractor, Precision

    Preprocess = Callable[[NDArray[np.float32]], NDArray[np.generic]]

_SCALING = {"Rescaling", "Normalization"}
_FIRST = 4  # layers that a network may begin with before it scales its pixels


def application(name: Name, precision: Precision | None, *, normalize: bool | None) -> Extractor:
    """The extractor of `keras:NETWORK`; see `lookalike.extractors.keras.load`."""
    name = recipes.anywhere(name)
    recipe = recipes.of_application(name)
    own = recipes.own_options(name)
    try:
        model, card = child.network(recipe)
    except NotExportable as error:
        model, card = export.built(recipe)
        made = partial(KerasExtractor, model, card, name, precision, normalize=normalize)
        return made(own_options=own, notes=(_slow(error),))
    return OpenVinoExtractor(model, card, name, precision, normalize=normalize, own_options=own)


def file(path: Path, name: Name, precision: Precision | None, *, normalize: bool | None) -> Extractor:
    """The extractor of a `.keras` or `.h5` file; see `lookalike.extractors.keras.open_file`."""
    recipe = recipes.of_file(path, recipes.size_of(name))
    try:
        model, bare = child.network(recipe)
        card, notes = described(path, lambda: _guess(model, bare))
        if card.size != bare.size and recipe.size is None:
            model, _ = child.network(replace(recipe, size=card.size))
    except NotExportable as error:
        model, bare = export.built(recipe)
        card, notes = described(path, lambda: _assumed(model, bare))
        notes = (_slow(error), *notes)
        return KerasExtractor(model, card, name, precision, normalize=normalize, notes=notes)
    return OpenVinoExtractor(model, card, name, precision, normalize=normalize, notes=notes)


def _guess(model: Any, bare: Card) -> tuple[Card, tuple[str, ...]]:
    """A card for an exported file, and what was assumed for it."""
    ports = listing.ports(model)
    last = bare.layers[-1]
    end = runtime.openvino().Model([ports[last]], model.get_parameters(), bare.name)
    guess, notes = infer_card.guess(end.clone(), bare.name)
    features = bare.features if guess.scores else last
    shape = listing.shape_of(ports[features], ports[features])
    first = Pool("avg", "NHWC") if len(shape) == 3 else Flatten()
    card = replace(
        bare,
        features=features,
        scale=guess.scale,
        resize=guess.resize,
        scores=last if guess.scores else None,
        classes=guess.classes,
        steps=() if features == last and guess.scores else (first, Normalise()),
    )
    vector = f"vector: layer {features}, {shape} numbers{', its mean a channel' * (len(shape) == 3)}"
    return card, tuple(vector if note.startswith("vector:") else note for note in notes)


def _assumed(model: Any, bare: Card) -> tuple[Card, tuple[str, ...]]:
    """A card for a file that Keras has to run itself: as `_guess`, without its looks into the graph."""
    inside = not _SCALING.isdisjoint(bare.kinds[:_FIRST])
    rank = len(export.layers_of(model).outputs[-1].shape)
    first = Pool("avg", "NHWC") if rank == 4 else Flatten()
    steps, scale = (first, Normalise()), (1.0 if inside else 255.0,)
    card = replace(bare, features=bare.layers[-1], scale=scale, resize="bilinear", steps=steps)
    width, height = card.size
    return card, (
        f"input: {width}x{height} pixels, NHWC",
        f"pixels: RGB, {'0 to 255' if inside else '0 to 1 (scale 255)'}, assumed; resized bilinear, assumed",
        f"vector: layer {card.features}",
        "class scores: none, assumed",
    )


def _slow(error: NotExportable) -> str:
    return f"{error}; it runs through Keras, many times slower"


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
    if not isinstance(model, export.keras().Model):
        raise ModelError(
            f"{type(model).__name__} is no model; expected a name, the path of a file, or a Keras model"
        )
    layers = export.layers_of(model)
    card = export.card_of_file(model, layers, model.name, "unknown", size)
    weights = _digest(model, layers, _effect(preprocess, card.size))
    card = replace(card, features=layers.names[-1], weights=weights)
    name = Name(f"keras-live:{_word(model.name)}", None if layer is None else str(layer))
    if name.layer is not None and name.layer not in layers.names and name.layer.endswith(("+avg", "+max")):
        name = Name.parse(str(name))
    made: OpenVinoExtractor | KerasExtractor
    try:
        converted = _exported(model, layers, card.size)
    except export.NotExportable as error:
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


def _exported(model: Any, layers: export.Layers, size: tuple[int, int]) -> Any:
    if not export.exports():
        raise export.NotExportable(
            f"{model.name} can't be exported to OpenVINO, for Keras runs on "
            f"{export.keras().backend.backend()} here, and not on TensorFlow"
        )
    return export.convert(model, layers, size)


def _digest(model: Any, layers: export.Layers, effect: str) -> str:
    """Of everything that decides the model's numbers; not of names, which Keras makes up anew each time."""
    parts = [export.weights_digest(model), effect]
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

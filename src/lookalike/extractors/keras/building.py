"""A network built by Keras after a recipe, exported, and described by a card; runs in a process of its own.

Names of layers that Keras makes up count up from what the process built before, its random numbers
are the process's, and TensorFlow stays in memory: reasons to do it in a child (see `child`).
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError, UsageError, WeightsMissing
from lookalike.extractors.cards import Card
from lookalike.extractors.keras import applications, backend, graph, safety
from lookalike.extractors.keras.backend import first_line
from lookalike.extractors.steps import Flatten, Normalise

if TYPE_CHECKING:
    from lookalike.extractors.keras.graph import Layers
    from lookalike.extractors.keras.recipes import Recipe

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
    layers = graph.layers_of(model)
    if recipe.kind == "file":
        return model, card_of_file(model, layers, recipe.network, recipe.content, recipe.size)
    return model, _card_of_application(model, layers, recipe)


def exported(recipe: Recipe) -> tuple[Any, Card]:
    """The `openvino.Model` of a recipe and its card.

    Raises:
        NotExportable: OpenVINO can't run it; and all that `built` raises.
    """
    model, card = built(recipe)
    return graph.convert(model, graph.layers_of(model), card.size), card


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
    network = applications.find(recipe.network)
    pixels = applications.PIXELS[network.scaling]
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
    digest = graph.weights_digest(model)
    told = [(key, value) for key, value in recipe.arguments if key not in _TRAINING]
    return hashlib.sha256(f"{digest}{told}".encode()).hexdigest() if told else digest


def _head(layers: Layers, arguments: dict[str, Any]) -> str | None:
    """The layer of the thousand probabilities of ImageNet, where the network has one."""
    whole = arguments["include_top"] and arguments["classes"] == 1000
    return layers.names[-1] if whole and arguments["classifier_activation"] == "softmax" else None


def _constructed(recipe: Recipe) -> Any:
    library = backend.keras()
    network = applications.find(recipe.network)
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
    library = backend.keras()
    try:
        return library.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever is in the file
        raise ModelError(
            f"{path} can't be opened by Keras: {first_line(error)}; save the model again"
        ) from error


def _size(model: Any, wanted: tuple[int, int] | None) -> tuple[int, int]:
    width, height = graph.picture_shape(model)
    size = wanted or (width or SIDE, height or SIDE)
    if (width or size[0], height or size[1]) != size:
        raise ModelError(
            f"{model.name} takes pictures of {width}x{height} pixels, not of {size[0]}x{size[1]}; "
            "leave the size out"
        )
    return size

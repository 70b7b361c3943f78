"""Networks by name or file: a recipe, the network from the cache, an extractor of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lookalike.extractors import infer_card, listing, runtime
from lookalike.extractors.card_files import described
from lookalike.extractors.keras import child, recipes
from lookalike.extractors.keras.graph import NotExportable
from lookalike.extractors.network import OpenVinoExtractor
from lookalike.extractors.steps import Flatten, Normalise, Pool

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.extractors.cards import Card
    from lookalike.extractors.keras.fallback import KerasExtractor
    from lookalike.extractors.keras.recipes import Recipe
    from lookalike.extractors.names import Name
    from lookalike.types import Extractor, Precision

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
        model, card = _built(recipe)
        made = partial(_through_keras(), model, card, name, precision, normalize=normalize)
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
        model, bare = _built(recipe)
        card, notes = described(path, lambda: _assumed(model, bare))
        notes = (_slow(error), *notes)
        return _through_keras()(model, card, name, precision, normalize=normalize, notes=notes)
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
    from lookalike.extractors.keras import graph

    inside = not _SCALING.isdisjoint(bare.kinds[:_FIRST])
    rank = len(graph.layers_of(model).outputs[-1].shape)
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


def _built(recipe: Recipe) -> tuple[Any, Card]:
    from lookalike.extractors.keras import building

    return building.built(recipe)


def _through_keras() -> type[KerasExtractor]:
    from lookalike.extractors.keras.fallback import KerasExtractor

    return KerasExtractor

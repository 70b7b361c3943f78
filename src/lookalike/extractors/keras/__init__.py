"""Networks of Keras: those of `keras.applications` by name, files of models, and models that are there.

A network is built once, by Keras in a process of its own, exported to OpenVINO with every layer as
an output, and kept in the user's cache; after that it is cut and run without Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.extractors.keras.loading import Preprocess
    from lookalike.extractors.names import Name
    from lookalike.types import Extractor, Precision

__all__ = ["live", "load", "open_file"]


def load(name: Name, precision: Precision | None = None, *, normalize: bool | None = None) -> Extractor:
    """Any network of keras.applications, cut at any layer: keras:VGG16@fc1, keras:MobileNet@-2.

    Its own preparation of pixels is known, and changed by the options that every model has. More
    options: `weights=imagenet`, `none` or a file of weights; `seed=` of random ones; and the arguments of
    its constructor, as `alpha=0.5` or `include_top=false`. With `include_preprocessing=false` pixels go in
    as they are, 0 to 255, unless `scale` or `mean` says otherwise. A `size=` builds it for that size.

    Args:
        name: `keras:NETWORK[@LAYER][+avg|+max][?…]`.
        precision: of the arithmetic; the best one here by default.
        normalize: whether vectors get unit length; None for the usual of the layer.

    Raises:
        UnknownModel: Keras has no such network.
        UnknownLayer: the network has no such layer.
        UsageError: an option that is not known, or that the network can't be built with.
        WeightsMissing: its weights can't be downloaded, or a file of them does not fit.
        MissingExtra: it is not in the cache yet, and Keras is not installed.
    """
    from lookalike.extractors.keras import loading

    return loading.application(name, precision, normalize=normalize)


def open_file(
    path: Path, name: Name, precision: Precision | None = None, *, normalize: bool | None = None
) -> Extractor:
    """A whole model in a `.keras` or `.h5` file; no code in it runs.

    Args:
        path: of the file; its card lies beside it, or is written there.
        name: what the user typed.
        precision: of the arithmetic; the best one here by default.
        normalize: whether vectors get unit length; None for the usual of the layer.

    Raises:
        ModelError: it is no model, is damaged, holds only weights, or has layers with code.
        UnknownLayer: the model has no such layer.
        MissingExtra: it is not in the cache yet, and Keras is not installed.
    """
    from lookalike.extractors.keras import loading

    return loading.file(path, name, precision, normalize=normalize)


def live(
    model: Any,
    *,
    layer: str | int | None = None,
    preprocess: Preprocess | None = None,
    size: tuple[int, int] | None = None,
    normalize: bool | None = None,
    precision: Precision | None = None,
) -> Extractor:
    """A Keras model that is there already, as it is now; what it learns later is not seen.

    Args:
        model: functional or sequential, one colour picture in.
        layer: where to cut it, by name or number; by default its last layer, as plain numbers.
        preprocess: makes the model's input of pictures (n, height, width, 3), float32, 0 to 255, RGB;
            without it they go in as they are.
        size: (width, height) in pixels, where the model takes any.
        normalize: whether vectors get unit length; None for the usual of the layer.
        precision: of the arithmetic; the best one here by default.

    Raises:
        ModelError: it is no graph of layers, or takes no colour picture.
        UnknownLayer: it has no such layer.
    """
    from lookalike.extractors.keras import loading

    return loading.live(
        model, layer=layer, preprocess=preprocess, size=size, normalize=normalize, precision=precision
    )

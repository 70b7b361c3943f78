"""Extractors: a picture in, a vector out.

`load("efficientnet-lite0")` gives the default model, `@features`, `@classes` or `@LAYER` behind
its name cut it elsewhere; a model of one's own is named by its file, `my-net.onnx@features`, and one
that was trained here by its folder. Other packages bring more by the entry point group
`lookalike.extractors`: a function
`load(name: Name, precision: Precision | None, *, normalize: bool | None = None) -> Extractor`
whose docstring's first line says what it is.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from lookalike import plugins
from lookalike.errors import LookalikeError, ModelError, UnknownModel, UsageError, WeightsMissing
from lookalike.extractors.names import Name

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.extractors.listing import Layer
    from lookalike.types import Extractor, Precision

    Preprocess = Callable[[NDArray[np.float32]], NDArray[np.generic]]

    class Loader(Protocol):
        """What an entry point gives."""

        def __call__(
            self, name: Name, precision: Precision | None, *, normalize: bool | None = None
        ) -> Extractor:
            """Build what the name stands for."""
            ...


__all__ = ["Name", "best_precision", "layers", "load", "models", "notes", "offered"]

DEFAULT = "efficientnet-lite0"

_FOR_TESTS = frozenset({"toy"})


def load(
    model: Any = DEFAULT,
    *,
    layer: str | int | None = None,
    preprocess: Preprocess | None = None,
    size: tuple[int, int] | None = None,
    normalize: bool | None = None,
    precision: Precision | None = None,
) -> Extractor:
    """Build an extractor.

    Args:
        model: `MODEL[@LAYER][+avg|+max][?key=value&…]`, where MODEL may be the path of an `.onnx`,
            `.xml`, `.keras` or `.h5` file, or of a trained model's folder; or a Keras model that is there
            already.
        layer: of a Keras model that is there already: where to cut it; by default its last layer.
        preprocess: of such a model: makes its input of pictures (n, height, width, 3), float32,
            0 to 255, RGB.
        size: of such a model: (width, height) in pixels, where the model takes any.
        normalize: whether vectors get unit length; by default the bare name as the model
            recommends, `@features` and `@classes` not, any other layer does.
        precision: the arithmetic of the network; by default `best_precision()`.

    Raises:
        UnknownModel: no model of that name.
        UnknownLayer: the model has no such layer; the message lists those it has.
        WeightsMissing: its weights are not on this machine, or are not the expected ones.
        ModelError: a file that is no model, or is one that can't be used.
        MissingExtra: the model needs an optional dependency that is not installed.
        UsageError: the name or its options can't be read.

    >>> load("efficientnet-lite0").dim
    1280
    """
    if isinstance(model, os.PathLike):
        model = os.fspath(model)
    if not isinstance(model, str):
        from lookalike.extractors.keras import live

        return live(
            model, layer=layer, preprocess=preprocess, size=size, normalize=normalize, precision=precision
        )
    if not (layer is None and preprocess is None and size is None):
        raise UsageError(
            f"layer, preprocess and size are for a Keras model that is there already; behind a name write "
            f"{model}@LAYER?size=WIDTHxHEIGHT&mean=…&scale=…"
        )
    parsed = Name.parse(model)
    extractor = _loader(parsed)(parsed, precision, normalize=normalize)
    if hasattr(extractor, "reload"):
        extractor.reload = partial(load, str(parsed), normalize=normalize, precision=precision)
    return extractor


def layers(name: str) -> list[Layer]:
    """Every layer a model can be cut at, from the picture on; nothing is compiled for it.

    Args:
        name: of the model; a layer in it is not looked at.

    Raises:
        ModelError: as `load`; or the model can be cut at no other place than where it is.
    """
    parsed = Name.parse(name)
    bare = replace(parsed, layer=None, pool=None, options=_without_top(parsed))
    try:
        extractor = _loader(bare)(bare, None)
    except WeightsMissing:
        if "weights" in dict(bare.options):
            raise
        # Random weights have the same layers.
        options = tuple(sorted([*bare.options, ("weights", "none")]))
        extractor = _loader(bare)(replace(bare, options=options), None)
    found = getattr(extractor, "layers", None)
    if found is None:
        raise ModelError(f"{name} has no layers to choose from; use it as it is")
    return cast("list[Layer]", found())


def notes(extractor: Extractor) -> tuple[str, ...]:
    """What a user should know of how an extractor came about: what was assumed of a foreign file."""
    return tuple(getattr(extractor, "notes", ()))


def models() -> dict[str, str]:
    """The models known by name, each with one line on what it is."""
    return {name: _description(name) for name in offered()}


def offered() -> list[str]:
    """The names of the models that are offered to users; the one for tests can be loaded all the same."""
    return [name for name in plugins.names("lookalike.extractors") if name not in _FOR_TESTS]


def best_precision() -> Precision:
    """`bf16` where the processor computes in it, `f32` elsewhere."""
    from lookalike.extractors import runtime

    return runtime.best_precision()


def _without_top(name: Name) -> tuple[tuple[str, str], ...]:
    """The options that a bare name may have, too."""
    return tuple((key, value) for key, value in name.options if key != "top-classes")


def _loader(name: Name) -> Loader:
    if name.is_path:
        from lookalike.extractors import files

        return files.load
    if name.scheme == DEFAULT:
        # Not by its entry point: importlib.metadata costs a twentieth of a whole search.
        from lookalike.extractors import efficientnet

        return efficientnet.load
    known = plugins.names("lookalike.extractors")
    if name.scheme not in known:
        raise UnknownModel(_unknown(name, offered()))
    return cast("Loader", plugins.load("lookalike.extractors", name.scheme))


def _unknown(name: Name, known: list[str]) -> str:
    from difflib import get_close_matches

    if name.scheme == "keras-live":
        return f"{name.model!r} is a model that was given as it is: give it again, as Gallery.open(model=…)"
    near = get_close_matches(name.model, known, n=3, cutoff=0.4) or known
    return (
        f"there is no model {name.model!r}; did you mean {' or '.join(near) or 'none (none is installed)'}? "
        "A model of your own is named by its file (.onnx, .xml, .keras or .h5), a trained one by its folder"
    )


def _description(name: str) -> str:
    try:
        loader = plugins.load("lookalike.extractors", name)
    except LookalikeError as error:
        return str(error)
    return (loader.__doc__ or "").strip().partition("\n")[0]

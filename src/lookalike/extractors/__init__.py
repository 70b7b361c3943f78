"""Extractors: a picture in, a vector out.

`load("efficientnet-lite0")` gives the default model, `@features`, `@classes` or `@LAYER` behind
its name cut it elsewhere. Other packages bring more by the entry point group
`lookalike.extractors`: a function `load(name: Name, precision: Precision | None) -> Extractor`
whose docstring's first line says what it is.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, cast

from lookalike import registry
from lookalike.errors import LookalikeError, UnknownModel
from lookalike.extractors.names import Name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.types import Extractor, Precision

    Loader = Callable[[Name, Precision | None], Extractor]

__all__ = ["Name", "best_precision", "load", "models"]

DEFAULT = "efficientnet-lite0"


def load(name: str = DEFAULT, *, precision: Precision | None = None) -> Extractor:
    """Build an extractor.

    Args:
        name: `MODEL[@LAYER][+avg|+max][?key=value&…]`.
        precision: the arithmetic of the network; by default `best_precision()`.

    Raises:
        UnknownModel: no model of that name.
        UnknownLayer: the model has no such layer; the message lists those it has.
        WeightsMissing: its weights are not on this machine, or are not the expected ones.
        UsageError: the name or its options can't be read.

    >>> load("efficientnet-lite0").dim
    1280
    """
    parsed = Name.parse(name)
    known = registry.names("lookalike.extractors")
    if parsed.scheme not in known:
        raise UnknownModel(_unknown(parsed, known))
    loader = cast("Loader", registry.load("lookalike.extractors", parsed.scheme))
    return loader(parsed, precision)


def models() -> dict[str, str]:
    """The models known by name, each with one line on what it is."""
    return {name: _description(name) for name in registry.names("lookalike.extractors")}


def best_precision() -> Precision:
    """`bf16` where the processor computes in it, `f32` elsewhere."""
    from lookalike.extractors import runtime

    return runtime.best_precision()


def _unknown(name: Name, known: list[str]) -> str:
    near = get_close_matches(name.model, known, n=3, cutoff=0.4) or known
    return (
        f"there is no model {name.model!r}; did you mean {' or '.join(near) or 'none (none is installed)'}?"
    )


def _description(name: str) -> str:
    try:
        loader = registry.load("lookalike.extractors", name)
    except LookalikeError as error:
        return str(error)
    return (loader.__doc__ or "").strip().partition("\n")[0]

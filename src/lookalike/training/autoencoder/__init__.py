"""Pictures squeezed through a few numbers, and drawn again from them.

What squeezes is a model like any other; what draws, its decoder, lies beside it. Keras is needed to
train, and for nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lookalike.training.autoencoder.reconstruction import Reconstruction, Reconstructions, reconstruct

if TYPE_CHECKING:
    from lookalike.training.autoencoder.training import train_autoencoder

__all__ = ["Reconstruction", "Reconstructions", "reconstruct", "train_autoencoder"]


def __getattr__(name: str) -> object:
    if name == "train_autoencoder":  # loads Keras
        return import_module("lookalike.training.autoencoder.training").train_autoencoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

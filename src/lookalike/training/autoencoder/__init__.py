"""Pictures squeezed through a few numbers, and drawn again from them.

What squeezes is a model like any other; what draws, its decoder, lies beside it. Keras is needed to
train, and for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.system.imports import attributes
from lookalike.training.autoencoder.reconstruction import Reconstruction, Reconstructions, reconstruct

if TYPE_CHECKING:
    from lookalike.training.autoencoder.training import train_autoencoder

__all__ = ["Reconstruction", "Reconstructions", "reconstruct", "train_autoencoder"]


__getattr__ = attributes(__name__, {"train_autoencoder": "training"})  # loads Keras

"""Train on one's own pictures: an autoencoder, a classifier, a ranker.

Each is one call, and what comes out is a folder that every other call takes as its model. Keras and
TensorFlow, the extra `keras`, are needed for all but the ranker.

    from lookalike.training import ClassifierRecipe, train_classifier
    result = train_classifier("photos", ClassifierRecipe(epochs=10), out="my-classes")
    result.history.plot()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.system.imports import attributes
from lookalike.training.recipes import (
    Augmentation,
    AutoencoderRecipe,
    ClassifierRecipe,
    RankerRecipe,
    TrainingRecipe,
)
from lookalike.training.result import Epoch, History, Trained

if TYPE_CHECKING:
    from lookalike.training.autoencoder import train_autoencoder
    from lookalike.training.classifier import train_classifier
    from lookalike.training.ranker import train_ranker
    from lookalike.training.reconstruction import Reconstructions, reconstruct

__all__ = [
    "Augmentation",
    "AutoencoderRecipe",
    "ClassifierRecipe",
    "Epoch",
    "History",
    "RankerRecipe",
    "Reconstructions",
    "Trained",
    "TrainingRecipe",
    "reconstruct",
    "train_autoencoder",
    "train_classifier",
    "train_ranker",
]

# Most of them load Keras, which takes seconds, and need not be there for the others.
_LATER = {
    "Reconstructions": "reconstruction",
    "reconstruct": "reconstruction",
    "train_autoencoder": "autoencoder",
    "train_classifier": "classifier",
    "train_ranker": "ranker",
}


__getattr__ = attributes(__name__, _LATER)

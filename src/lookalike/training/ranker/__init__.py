"""Rankers: what makes pictures of one label score higher, on stored vectors or through the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.system.imports import attributes
from lookalike.training.ranker.training import train_ranker

if TYPE_CHECKING:
    from lookalike.training.ranker.deep import train_deep_ranker

__all__ = ["train_deep_ranker", "train_ranker"]


# It loads Keras, which need not be there for the other one.
__getattr__ = attributes(__name__, {"train_deep_ranker": "deep"})

"""Rankers: what makes pictures of one label score higher, on stored vectors or through the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.training.ranker.training import train_ranker

if TYPE_CHECKING:
    from lookalike.training.ranker.deep import train_deep_ranker

__all__ = ["train_deep_ranker", "train_ranker"]


def __getattr__(name: str) -> object:
    if name == "train_deep_ranker":  # loads Keras, which need not be there for the other one
        from lookalike.training.ranker import deep

        return deep.train_deep_ranker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

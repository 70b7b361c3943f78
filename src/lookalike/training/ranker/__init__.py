"""Rankers: linear maps that make pictures of one label score higher, learned from stored vectors."""

from lookalike.training.ranker.training import train_ranker

__all__ = ["train_ranker"]

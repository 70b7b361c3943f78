"""The gallery: a set of indexed pictures, with the model whose vectors it holds."""

from lookalike.gallery.gallery import Gallery

__all__ = ["Gallery"]

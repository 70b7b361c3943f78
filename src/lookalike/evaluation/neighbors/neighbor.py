"""What a neighbour is."""

from __future__ import annotations

from typing import NamedTuple


class Neighbor(NamedTuple):
    """One of the pictures that are most similar to another.

    id: of the picture.
    score: larger is closer, as in `lookalike.Hit`.
    distance: smaller is closer.
    """

    id: str
    score: float
    distance: float

"""What the codes of a gallery tell: measured, not assumed.

Asked are rows of the gallery, and foreign vectors as well: mixtures of two rows, rows with noise, and noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.indexes import codes as coding
from lookalike.indexes import distances
from lookalike.indexes.approximate import within
from lookalike.indexes.cache import FIRST_SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.indexes.cache import Codes
    from lookalike.indexes.codes import Bounds, Coder, EncodedQuery
    from lookalike.indexes.exact import Found
    from lookalike.types import Floats

NEIGHBOURS = 10

OWN = 128
"""How many rows are asked with."""

FOREIGN = 48
"""How many foreign vectors are: a third of each kind."""

_BEYOND = 1.25
"""How much wider than was seen the spread is taken, where it is wider than that of coins."""

_ESTIMATED_SHARE = 8
"""Codes are worth while if half of the searches estimate no more than this part of all rows."""


def foreign(own: Floats, seed: int) -> Floats:
    """Vectors that are no rows of a gallery: ndarray of shape (FOREIGN, dim), of unit length.

    Args:
        own: rows of the gallery (n, dim), n ≥ 1.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    third = FOREIGN // 3
    one, other = (own[rng.integers(0, len(own), third)] for _ in range(2))
    share = rng.random((third, 1), np.float32)
    noise = distances.normalized(rng.standard_normal((2 * third, own.shape[1]), np.float32))
    one = distances.normalized(one)
    mixed = share * one + (1 - share) * distances.normalized(other)
    return distances.normalized(np.concatenate([mixed, one + noise[:third], noise[third:]]))


def spread(coder: Coder, queries: Floats, near: list[Floats]) -> float:
    """Measure how wide signs scatter, in standard deviations to allow for, as `Bounds` has it.

    Args:
        coder: of the gallery.
        queries: ndarray of shape (q, dim), none of them zero.
        near: for each the rows nearest to it, ndarray of shape (m, dim), none of them zero.
    """
    seen = [
        coding.deviation(count, share, signs)
        for vector, query, rows in zip(queries, coder.queries(queries), near, strict=True)
        for signs, counts, shares in _differing(coder, vector, query, distances.normalized(rows))
        for count, share in zip(counts, shares, strict=True)
    ]
    return max(coding.SPREAD, _BEYOND * max(seen, default=0.0))


def _differing(
    coder: Coder, vector: Floats, query: EncodedQuery, rows: Floats
) -> Iterator[tuple[int, list[int], list[float]]]:
    """Of the first signs and of all: how many, in how many rows differ, in which share on average."""
    away = coder.away(rows)
    reach = 2 - 2 * rows @ distances.normalized(vector[None])[0]
    sights = np.maximum(2 * query.away * away, np.finfo(np.float32).tiny)
    cosines = np.clip((query.away**2 + away**2 - reach) / sights, -1, 1)
    shares = (np.arccos(cosines) / np.pi).tolist()
    codes = coder.encode(rows)[0][:, : len(query.code)]
    signs = np.unpackbits(codes ^ query.code, axis=1)[:, : coder.dim]
    for first in {min(coder.dim, FIRST_SIGNS), coder.dim}:
        yield first, signs[:, :first].sum(axis=1).tolist(), shares


def pays(measured: Bounds, queries: list[EncodedQuery], truth: list[Found], codes: Codes) -> bool:
    """Tell whether a search by codes has to look at few enough rows.

    Args:
        measured: what the codes tell.
        queries: rows of the gallery.
        truth: for each the nearest rows by the cosine, itself among them.
        codes: of the gallery.
    """
    counts = []
    for query, found in zip(queries, truth, strict=True):
        least = float(found.scores[min(NEIGHBOURS, len(found.scores) - 1)])
        positions = within(query, codes, measured, least)
        counts.append(int((codes.firsts[positions] == positions).sum()))  # equal rows are looked at once
    return bool(np.median(counts) * _ESTIMATED_SHARE <= len(codes.keys))

"""Codes: the sign of every coordinate after a random rotation, and the coordinate itself in eight bits.

A search goes through stages, each of which looks at fewer rows more closely. The first 64 bytes of
all signs are compared with the query's by Hamming distance; the best of them by all their signs;
for the best of those the score is estimated from the query's own numbers and the rounded ones, made
right on average in the way of RaBitQ (Gao and others, 2024, https://arxiv.org/abs/2405.12497 and
2409.09913); the best of those are for the caller to score from exact rows. Rotating first matters:
on vectors of real pictures plain signs miss many more. Eight bits rank so well that few rows are to
be read; they cost less time than three, which must be taken apart (benches/search.py).

The rotation is a random flip of signs, then the real Fourier transform: orthogonal for every
number of dimensions, and nothing to store.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike import distances
from lookalike.indexes.cache import width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.indexes.cache import Codes
    from lookalike.types import Floats

    Bits = NDArray[np.uint8]

_COUNTED_BYTES = 1 << 20
_COLD_BYTES = 16 << 20
"""Codes that numpy compares in less time than faiss takes to be imported."""

_LEVELS = 127


@dataclass(frozen=True)
class Coder:
    """Turns vectors into codes.

    mean: ndarray of shape (dim,), taken off before the rotation.
    seed: of the rotation.
    """

    mean: Floats
    seed: int

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return len(self.mean)

    def encode(self, rows: Floats) -> tuple[Bits, Floats]:
        """Codes (n, width + dim) of rows (n, dim): signs, then rounded numbers; and factors (n,).

        The largest number of a row is rounded to ±127; the factor makes the product with a query
        right on average.
        """
        turned = self._spectrum(distances.normalized(rows) - self.mean) * self._scale
        largest = np.abs(turned).max(axis=1)
        steps = np.where(largest > 0, largest, np.float32(1)) / np.float32(_LEVELS)
        levels = np.rint(turned / steps[:, None])
        lengths: Floats = np.einsum("ij,ij->i", turned, turned)
        sums: Floats = np.einsum("ij,ij->i", turned, levels)
        factors = np.divide(lengths, sums, out=np.zeros_like(sums), where=sums > 0)
        numbers = levels.astype(np.int8).view(np.uint8)
        return np.concatenate([self._packed(turned >= 0), numbers], axis=1), factors

    def queries(self, vectors: Floats) -> list[Query]:
        """Queries from vectors (q, dim)."""
        spectrum = self._spectrum(distances.normalized(vectors))
        codes = self._packed(spectrum >= self._mean_spectrum)
        return list(map(Query, codes, spectrum * self._scale))

    @cached_property
    def _signs(self) -> Floats:
        # Not numpy's generator: its streams may change between versions, and the codes stay.
        stream = hashlib.shake_256(b"lookalike rotation %d" % self.seed).digest(-(-self.dim // 8))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8))[: self.dim]
        return np.where(bits, 1, -1).astype(np.float32)

    @cached_property
    def _scale(self) -> Floats:
        """What makes the transform orthogonal."""
        scale = np.full(self.dim, np.sqrt(2 / self.dim), np.float32)
        scale[0] = 1 / np.sqrt(self.dim)
        if self.dim % 2 == 0:
            scale[-1] = scale[0]
        return scale

    @cached_property
    def _mean_spectrum(self) -> Floats:
        return self._spectrum(self.mean[None])

    def _spectrum(self, rows: Floats) -> Floats:
        """The real Fourier transform of rows (n, dim) as dim real numbers, not yet to scale."""
        complex_ = np.fft.rfft(rows * self._signs).astype(np.complex64, copy=False)
        real: Floats = complex_.view(np.float32)[:, 1 : self.dim + 1]
        # The first imaginary part is always 0: its place is taken by the first real one.
        real[:, 0] = complex_[:, 0].real
        return real

    def _packed(self, bits: NDArray[np.bool_]) -> Bits:
        """Bits (n, dim) as bytes (n, width)."""
        codes = np.zeros((len(bits), width(self.dim)), np.uint8)
        codes[:, : -(-self.dim // 8)] = np.packbits(bits, axis=1)
        return codes


class Query(NamedTuple):
    """One query: its signs (width,), and itself rotated (dim,)."""

    code: Bits
    turned: Floats


def scan(
    queries: Sequence[Query], codes: Codes, depth: int, among: NDArray[np.intp] | None = None
) -> NDArray[np.int64]:
    """Positions of the `depth` codes whose first part is nearest to that of each query: (q, depth).

    Args:
        queries: q of them.
        codes: n of them, perhaps mapped from a file.
        depth: at most n, or as many as are among.
        among: positions to look at; all of them unless said otherwise.
    """
    first = np.stack([query.code[: codes.first.shape[1]] for query in queries])
    if among is None:
        return _nearest(first, codes.first, depth)
    return among[_nearest(first, codes.first[among], depth)]


def ranked(query: Query, codes: Codes, positions: NDArray[np.int64], estimated: int) -> NDArray[np.int64]:
    """The `estimated` positions whose signs are nearest, those first whose rows are estimated closest.

    Args:
        query: the query.
        codes: n of them.
        positions: of candidates among them.
        estimated: how many to estimate.
    """
    if estimated < len(positions):
        positions = positions[_nearest(query.code[None], codes.signs(positions), estimated)[0]]
    levels = codes.fine.take(positions, 0).view(np.int8).astype(np.float32)  # (m, dim)
    # Not a matrix product: that would wake other threads, which costs more than they bring.
    products: Floats = np.einsum("ij,j->i", levels, query.turned)
    order: NDArray[np.int64] = positions[np.argsort(-products * codes.factors.take(positions))]
    return order


def expect_more() -> None:
    """Load faiss: worth it from a second search on; a first is over sooner than it is imported."""
    import faiss  # noqa: F401


def _nearest(queries: Bits, codes: Bits, depth: int) -> NDArray[np.int64]:
    """Positions of the codes of least Hamming distance, nearest first: (q, depth)."""
    if "faiss" not in sys.modules and codes.size <= _COLD_BYTES and hasattr(np, "bitwise_count"):
        return np.stack([_nearest_to(query, codes, depth) for query in queries])
    import faiss

    # Counting is faster than a heap, but sets 8 bytes aside for every bit and place.
    variant = "mc" if depth * codes.shape[1] <= _COUNTED_BYTES else "hc"
    threads = faiss.omp_get_max_threads()
    if len(queries) == 1:
        faiss.omp_set_num_threads(1)
    try:
        positions: NDArray[np.int64] = faiss.knn_hamming(queries, codes, depth, variant=variant)[1]
    finally:
        faiss.omp_set_num_threads(threads)
    return positions


def _nearest_to(query: Bits, codes: Bits, depth: int) -> NDArray[np.int64]:
    """The same for one query by numpy alone, in the same order."""
    differing = np.bitwise_count(codes.view(np.uint64) ^ query.view(np.uint64))  # (n, width / 8)
    counts = np.zeros(len(codes), np.uint16)
    for column in differing.T:  # along short rows numpy's own sum takes several times as long
        counts += column
    order: NDArray[np.int64] = np.argsort(counts, kind="stable")[:depth]
    return order

"""Codes: three bits for every coordinate after a random rotation, the signs apart from the rest.

A search goes through stages, each of which looks at fewer rows more closely. The first 64 bytes of
all signs are compared with the query's by Hamming distance; the best of them by all their signs;
for the best of those the score is estimated from the query's own numbers and all three bits, in the
way of RaBitQ (Gao and others, 2024, https://arxiv.org/abs/2405.12497 and 2409.09913); the best of
those are for the caller to score from exact rows. Rotating first matters: on vectors of real
pictures plain signs miss many more.

The rotation is a random flip of signs, then the real Fourier transform: orthogonal for every
number of dimensions, and nothing to store.
"""

from __future__ import annotations

import hashlib
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
_STEP = 0.586


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
        """Codes (n, 3 × width) of rows (n, dim): signs, then the two finer bits; and factors (n,).

        A coordinate is cut into eight steps of .586 times its row's mean size, the best for normal
        numbers; the factor makes the product with a query right on average.
        """
        turned = self._spectrum(distances.normalized(rows) - self.mean) * self._scale
        lengths: Floats = np.einsum("ij,ij->i", turned, turned)
        steps = np.sqrt(lengths / np.float32(self.dim)) * np.float32(_STEP)
        levels = np.floor(turned / np.where(steps > 0, steps, np.float32(1))[:, None])
        numbers = np.clip(levels, -4, 3)
        sums: Floats = np.einsum("ij,ij->i", turned, numbers + np.float32(0.5))
        factors = np.divide(lengths, sums, out=np.zeros_like(sums), where=sums > 0)
        eight: Bits = (numbers + 4).astype(np.uint8)
        bits = [self._packed(np.bitwise_and(eight, np.uint8(bit)) > 0) for bit in (4, 2, 1)]
        return np.concatenate(bits, axis=1), factors

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


def scan(queries: Sequence[Query], codes: Codes, depth: int) -> NDArray[np.int64]:
    """Positions of the `depth` codes whose first part is nearest to that of each query: (q, depth).

    Args:
        queries: q of them.
        codes: n of them, perhaps mapped from a file.
        depth: at most n.
    """
    first = np.stack([query.code[: codes.first.shape[1]] for query in queries])
    return _nearest(first, codes.first, depth)


def ranked(query: Query, codes: Codes, positions: NDArray[np.int64], estimated: int) -> NDArray[np.int64]:
    """The `estimated` positions whose signs are nearest, those first whose rows are estimated closest.

    Args:
        query: the query.
        codes: n of them.
        positions: of candidates among them.
        estimated: how many to estimate.
    """
    signs = codes.signs(positions)  # (m, width)
    if estimated < len(positions):
        near = _nearest(query.code[None], signs, estimated)[0]
        positions, signs = positions[near], signs[near]
    fine, dim = codes.fine.take(positions, 0), len(query.turned)
    levels = np.unpackbits(signs, axis=1, count=dim)  # (m, dim)
    for plane in np.split(fine, 2, axis=1):
        levels += levels  # a shift, but for numpy many times as fast
        levels |= np.unpackbits(plane, axis=1, count=dim)
    # Levels are 0 to 7 and stand for −3.5 to 3.5. Not a matrix product: that would wake other
    # threads, which costs more than they bring.
    products: Floats = np.einsum("ij,j->i", levels.astype(np.float32), query.turned)
    estimates = (products - np.float32(3.5) * query.turned.sum()) * codes.factors[positions]
    order: NDArray[np.int64] = positions[np.argsort(-estimates)]
    return order


def _nearest(queries: Bits, codes: Bits, depth: int) -> NDArray[np.int64]:
    """Positions of the codes of least Hamming distance, nearest first: (q, depth)."""
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

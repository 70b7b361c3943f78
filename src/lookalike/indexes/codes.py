"""One-bit codes: the sign of every coordinate after a random rotation.

A search goes through stages, each of which looks at fewer rows more closely. The first 64 bytes of
all codes are compared with the query's by Hamming distance; the best of them by their whole codes;
the best of those are estimated from the query's own numbers and the row's bits, as in RaBitQ (Gao
and Long, 2024, https://arxiv.org/abs/2405.12497); the best of those are for the caller to score
from exact rows. Rotating first matters: on vectors of real pictures plain signs miss many more.

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

    from lookalike.indexes.cache import Codes, Depth
    from lookalike.types import Floats

    Bits = NDArray[np.uint8]

_COUNTED = 4096


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
        """Codes (n, width) of rows (n, dim), and the factor (n,) that turns bits into estimates."""
        turned = self._spectrum(distances.normalized(rows) - self.mean) * self._scale
        lengths: Floats = np.einsum("ij,ij->i", turned, turned)
        sums = np.abs(turned).sum(axis=1)
        factors = np.divide(lengths, sums, out=np.zeros_like(sums), where=sums > 0)
        return self._packed(turned), factors

    def queries(self, vectors: Floats) -> list[Query]:
        """Queries from vectors (q, dim)."""
        unit = distances.normalized(vectors)
        codes = self._packed(self._spectrum(unit - self.mean))
        return list(map(Query, codes, self._spectrum(unit) * self._scale))

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

    def _spectrum(self, rows: Floats) -> Floats:
        """The real Fourier transform of rows (n, dim) as dim real numbers, not yet to scale."""
        complex_ = np.fft.rfft(rows * self._signs).astype(np.complex64, copy=False)
        real: Floats = complex_.view(np.float32)[:, 1 : self.dim + 1]
        # The first imaginary part is always 0: its place is taken by the first real one.
        real[:, 0] = complex_[:, 0].real
        return real

    def _packed(self, turned: Floats) -> Bits:
        codes = np.zeros((len(turned), width(self.dim)), np.uint8)
        codes[:, : -(-self.dim // 8)] = np.packbits(turned > 0, axis=1)
        return codes


class Query(NamedTuple):
    """One query: its code (width,), and itself rotated (dim,)."""

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


def refine(query: Query, codes: Codes, positions: NDArray[np.int64], depth: Depth) -> NDArray[np.int64]:
    """The positions whose rows are estimated to be closest to a query.

    Args:
        query: the query.
        codes: n of them.
        positions: of candidates among them.
        depth: how many to estimate, and how many of those to keep.
    """
    bits = np.concatenate([codes.first[positions], codes.rest[positions]], axis=1)  # (m, width)
    if depth.estimated < len(positions):
        near = _nearest(query.code[None], bits, depth.estimated)[0]
        positions, bits = positions[near], bits[near]
    if depth.rescored >= len(positions):
        return positions
    signs = np.unpackbits(bits, axis=1, count=len(query.turned)).astype(np.float32)  # (m, dim)
    estimate = (2 * (signs @ query.turned) - query.turned.sum()) * codes.factors[positions]
    kept: NDArray[np.int64] = positions[np.argpartition(-estimate, depth.rescored - 1)[: depth.rescored]]
    return kept


def _nearest(queries: Bits, codes: Bits, depth: int) -> NDArray[np.int64]:
    """Positions of the codes of least Hamming distance, nearest first: (q, depth)."""
    import faiss

    # Counting is faster than a heap, but sets depth × bits aside.
    variant = "mc" if depth <= _COUNTED else "hc"
    positions: NDArray[np.int64] = faiss.knn_hamming(queries, codes, depth, variant=variant)[1]
    return positions

"""Codes: the sign of every coordinate after a random rotation, and the coordinate itself in eight bits.

Signs tell angles: seen from the mean, two vectors at an angle t differ in the share t/pi of their signs,
give or take what chance does to so many. The numbers in eight bits tell the score itself, made
right on average in the way of RaBitQ (Gao and others, 2024, https://arxiv.org/abs/2405.12497 and
2409.09913). Rotating first matters: on vectors of real pictures plain signs miss many more. Eight bits
rank so well that few rows are to be read; they cost less time than three, which must be taken apart
(benches/search.py). `approximate` puts these together to a search.

Seen from the mean of a gallery, from which the signs are taken, a query and a row at a distance r from each
other stand at an angle that the law of cosines gives from their distances to the mean. Of n signs the share
angle/pi differs on average, with the spread of n tosses of a coin. So whatever row lies within r of the
query differs in at most so many signs, but for a chance that is as small as one asks: there is no other
place to look for it. How wide the spread really is, where vectors are less than random, is measured in every
gallery (`calibration`).

The rotation is a random flip of signs, then the real Fourier transform: orthogonal for every
number of dimensions, and nothing to store.
"""

from __future__ import annotations

import hashlib
import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.indexes import distances
from lookalike.indexes.cache import width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.indexes.cache import Bits, Codes
    from lookalike.types import Floats

SPREAD = 4.0
"""Standard deviations that are allowed for: one row in 31,000 that is as far as the last of an answer, and
far fewer of those that are nearer, would be missed."""

_ROUNDING = 6.0
"""Standard deviations that are allowed for the rounding of a row's numbers to eight bits."""

SURE = 1e-6
"""What a cosine may be off by the arithmetic of float32."""

_AT_THE_MEAN = 1e-3
"""Nearer to the mean than this a direction from it says nothing."""

_COLD_BYTES = 16 << 20
"""Codes that numpy compares in less time than faiss takes to be imported."""

_LEVELS = 127

_BLOCK = 2_048
"""Rows whose numbers are widened at once."""

_LEAST_FACTOR = float(np.finfo(np.float32).tiny)
"""Of a row that is the mean itself: only a zero vector has the factor 0."""


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
        right on average. That of a zero vector, which has no direction, is 0.
        """
        directions = distances.normalized(rows)
        turned = self._spectrum(directions - self.mean) * self._scale
        largest = np.abs(turned).max(axis=1)
        steps = np.where(largest > 0, largest, np.float32(1)) / np.float32(_LEVELS)
        levels = np.rint(turned / steps[:, None])
        lengths: Floats = np.einsum("ij,ij->i", turned, turned)
        sums: Floats = np.einsum("ij,ij->i", turned, levels)
        factors = np.divide(lengths, sums, out=np.full_like(sums, _LEAST_FACTOR), where=sums > 0)
        factors[~directions.any(axis=1)] = 0
        numbers = levels.astype(np.int8).view(np.uint8)
        return np.concatenate([self._packed(turned >= 0), numbers], axis=1), factors

    def queries(self, vectors: Floats) -> list[EncodedQuery]:
        """Queries from vectors (q, dim), none of them zero."""
        directions = distances.normalized(vectors)
        spectrum = self._spectrum(directions)
        codes = self._packed(spectrum >= self._mean_spectrum)
        shifts = (directions @ self.mean).tolist()
        away = (math.sqrt(max(0.0, self._square + 1 - 2 * shift)) for shift in shifts)
        return list(map(EncodedQuery, codes, spectrum * self._scale, shifts, away))

    def away(self, rows: Floats) -> Floats:
        """How far rows (n, dim) of unit length lie from the mean: (n,)."""
        away: Floats = np.sqrt(np.maximum(self._square + 1 - 2 * (rows @ self.mean), 0))
        return away

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
    def _square(self) -> float:
        """The squared length of the mean."""
        return float(self.mean @ self.mean)

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


class EncodedQuery(NamedTuple):
    """One query.

    code: its signs, ndarray of shape (width,).
    turned: itself at unit length and rotated, ndarray of shape (dim,).
    shift: its product with the mean.
    away: how far it lies from the mean.
    """

    code: Bits
    turned: Floats
    shift: float
    away: float


def apart(query: EncodedQuery, codes: Codes, among: NDArray[np.intp] | None = None) -> NDArray[np.int32]:
    """In how many of the first signs the query and each code differ: (n,), or (m,) of those among."""
    first = codes.first if among is None else codes.first[among]
    return _differing(query.code[: first.shape[1]], first)


def apart_in_all(
    query: EncodedQuery, codes: Codes, positions: NDArray[np.intp], first: NDArray[np.int32]
) -> NDArray[np.int32]:
    """In how many of all signs the query and some codes differ, in whose first they do in `first`: (m,)."""
    if not codes.rest.shape[1]:
        return first
    return first + _differing(query.code[codes.first.shape[1] :], codes.rest.take(positions, 0))


def estimated(query: EncodedQuery, codes: Codes, positions: NDArray[np.intp]) -> Floats:
    """The cosine of the query and each of some rows, as their rounded numbers tell it: (m,)."""
    products = np.empty(len(positions), np.float32)
    for start in range(0, len(positions), _BLOCK):
        part = slice(start, start + _BLOCK)
        levels = codes.fine.take(positions[part], 0).view(np.int8).astype(np.float32)
        # Not a matrix product: that would wake other threads, which costs more than they bring.
        np.einsum("ij,j->i", levels, query.turned, out=products[part])
    found: Floats = products * codes.factors.take(positions) + np.float32(query.shift)
    return found


def expect_more() -> None:
    """Load faiss: worth it from a second search on; a first is over sooner than it is imported."""
    import faiss  # noqa: F401


def _differing(query: Bits, codes: Bits) -> NDArray[np.int32]:
    """The Hamming distances of one code (width,) and many (n, width): (n,)."""
    if "faiss" not in sys.modules and codes.size <= _COLD_BYTES and hasattr(np, "bitwise_count"):
        return _differing_cold(query, codes)
    import faiss

    query, codes = np.ascontiguousarray(query), np.ascontiguousarray(codes)
    counts = np.empty(len(codes), np.int32)
    to = faiss.swig_ptr
    # Its stub leaves out what SWIG has made.
    faiss.hammings(  # type: ignore[attr-defined]
        to(query), to(codes), 1, len(codes), codes.shape[1], to(counts)
    )
    return counts


def _differing_cold(query: Bits, codes: Bits) -> NDArray[np.int32]:
    """The same by numpy alone."""
    differing = np.bitwise_count(
        np.ascontiguousarray(codes).view(np.uint64) ^ np.ascontiguousarray(query).view(np.uint64)
    )  # (n, width / 8)
    counts = np.zeros(len(codes), np.int32)
    for column in differing.T:  # along short rows numpy's own sum takes several times as long
        counts += column
    return counts


class Bounds(NamedTuple):
    """What was measured in a gallery.

    spread: standard deviations to allow for, as `deviation` has them.
    nearest, farthest: how far its rows lie from the mean, taken at unit length.
    """

    spread: float
    nearest: float
    farthest: float

    def share(self, away: float, cosine: float) -> float:
        """The largest share of signs that differ on average, of rows of at least this cosine with a query.

        Args:
            away: how far the query lies from the mean.
            cosine: −1 to 1.
        """
        if min(away, self.nearest) < _AT_THE_MEAN:
            return 1.0
        reach = 2 - 2 * max(-1.0, cosine - SURE)  # the squared distance of two unit vectors
        # Seen from the mean a ball around the query is widest where the line of sight touches it.
        touching = math.sqrt(max(0.0, away**2 - reach))
        sights = (self.nearest, min(max(touching, self.nearest), self.farthest), self.farthest)
        least = min((away**2 + sight**2 - reach) / (2 * away * sight) for sight in sights)
        return math.acos(max(-1.0, min(1.0, least))) / math.pi

    def most(self, share: float, signs: int) -> int:
        """How many of so many signs differ at most where a share of them differs on average."""
        angle = math.asin(math.sqrt(share)) + self.spread / (2 * math.sqrt(signs))
        return signs if angle >= math.pi / 2 else math.floor(signs * math.sin(angle) ** 2)


def deviation(differing: int, share: float, signs: int) -> float:
    """How many standard deviations more signs differ than do on average.

    On the scale of arcsines, where it is the same for every share (Anscombe, 1948,
    https://doi.org/10.1093/biomet/35.3-4.246).
    """
    return 2 * math.sqrt(signs) * (math.asin(math.sqrt(differing / signs)) - math.asin(math.sqrt(share)))


def rounding(factor: float) -> float:
    """How far a cosine estimated from rounded numbers may be off, by the factor of the row's code.

    A number is off by up to half a step, which the factor is, so by a step over the root of 12 on
    average; and so is the product with a vector of unit length.
    """
    return _ROUNDING * factor / math.sqrt(12)


def least_cosine(score: float, length: float, tolerance: float) -> float:
    """The least cosine with the query that a row of unit length can have at a distance of at most −score.

    Args:
        score: −distance, by the metric `euclidean`.
        length: of the query, above 0.
        tolerance: how far the length of a row may be from 1.
    """
    beyond = length**2 - score**2
    widest = math.sqrt(max(0.0, beyond))
    sizes = (1 - tolerance, min(max(widest, 1 - tolerance), 1 + tolerance), 1 + tolerance)
    return max(-1.0, min((beyond / size + size) / (2 * length) for size in sizes))

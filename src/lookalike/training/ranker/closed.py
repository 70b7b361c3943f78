"""The closed form: a linear map from how vectors differ within labels and between them.

With the scatter within labels Sw and between them Sb, both (dim, dim):

    S = s Sw + (1 - s) (tr Sw / dim) I,   W = S^-1/2
    W Sb W has eigenpairs (l, U),         A = W U sqrt(l / (l + 1))
    vector = [sqrt(1 - b) norm(z W), sqrt(b) norm(z A)], at unit length

W makes differences within labels count less, as far as the share s trusts them, and knows nothing of
which labels there are; A looks along the few directions in which these labels differ, as linear
discriminant analysis does (Fisher, "The use of multiple measurements in taxonomic problems", 1936;
Ioffe, "Probabilistic linear discriminant analysis", 2006, for the factor). A alone would find labels it
has seen still better, and all others worse; hence its small share b, smaller where labels or their pictures
are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.extractors.steps import Concat, Linear, Normalise

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from lookalike.extractors.steps import Step
    from lookalike.types import Floats

    Doubles = NDArray[np.float64]

_MANY_LABELS, _MANY_PICTURES = 40, 10
"""From so many labels on, and so many pictures of each, the directions between them have their full share."""

_NOTHING = 1e-9  # an eigenvalue is none that is so much smaller than the largest


class Strength(NamedTuple):
    """How much of what was learnt is believed.

    within: s above, the share of the scatter within labels in S.
    between: b above, for forty labels of ten pictures and more.
    """

    within: float
    between: float


@dataclass(frozen=True, slots=True, eq=False)
class Scatter:
    """How vectors differ within labels, and between them.

    axes: the eigenvectors of Sw as columns, ndarray of shape (dim, rank).
    sizes: their eigenvalues, ndarray of shape (rank,).
    between: ndarray of shape (labels, dim); Sb is its transpose times itself.
    pictures: of each label, on the mean.
    """

    axes: Doubles
    sizes: Doubles
    between: Doubles
    pictures: float = 0.0

    @classmethod
    def of_labels(cls, vectors: Floats, labels: Sequence[AbstractSet[Hashable]]) -> Scatter:
        """The scatter of labelled pictures; one with several labels counts for each in part.

        Args:
            vectors: ndarray of shape (n, dim).
            labels: of each picture its labels; those without are left out.
        """
        # A set has another order in every process, and sums would differ in their last digits.
        ordered = [sorted(several, key=str) for several in labels]
        names = dict.fromkeys(of for several in ordered for of in several)
        numbers = {name: number for number, name in enumerate(names)}
        memberships = [
            (row, numbers[of], 1 / len(several)) for row, several in enumerate(ordered) for of in several
        ]
        row, label, weight = (np.array(each) for each in zip(*memberships, strict=True))
        weight = weight / weight.sum()  # (memberships,)
        members = vectors[row].astype(np.float64)  # (memberships, dim)
        shares = np.bincount(label, weight, len(numbers))  # (labels,)
        sums = np.zeros((len(numbers), vectors.shape[1]))
        np.add.at(sums, label, members * weight[:, None])
        means = sums / shares[:, None]  # (labels, dim)
        within = (members - means[label]) * np.sqrt(weight)[:, None]
        between = (means - sums.sum(0)) * np.sqrt(shares)[:, None]
        return cls(*_principal(within), between, len(row) / len(numbers))

    @classmethod
    def of_differences(cls, differences: Floats) -> Scatter:
        """The scatter of pictures that belong together, each given less the other: (n, dim)."""
        within = differences.astype(np.float64) / np.sqrt(2 * len(differences))
        return cls(*_principal(within), np.zeros((1, differences.shape[1])))

    def share(self, between: float) -> float:
        """b: what is left of it where labels or their pictures are few."""
        return between * min(1.0, len(self.between) / _MANY_LABELS) * min(1.0, self.pictures / _MANY_PICTURES)

    def map(self, strength: Strength) -> Map:
        """The map of this scatter."""
        # What S has in every direction. W is determined but for a factor, which unit length takes away:
        # it is 1 where nothing is known of Sw.
        rest = (1 - strength.within) * self.sizes.sum() / len(self.axes)
        factors = 1 / np.sqrt(1 + strength.within * self.sizes / rest)  # (rank,)
        pulled = _stretched(self.between, self.axes, factors)  # (labels, dim)
        axes, roots = _principal(pulled)
        # l of the formula is a root over the same factor: infinite where nothing differs within labels.
        weighted = axes * np.sqrt(roots / (roots + rest))  # (dim, directions)
        directions = _stretched(weighted.T, self.axes, factors).T
        return Map(self.axes, factors, directions, self.share(strength.between) if len(roots) else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """What is made of a scatter: W, and beside it A with its share b.

    axes, factors: W stretches along each of these directions by its factor, and leaves all others:
        ndarrays of shape (dim, rank) and (rank,).
    directions: A, ndarray of shape (dim, directions).
    share: b.
    """

    axes: Doubles
    factors: Doubles
    directions: Doubles
    share: float

    @property
    def matrix(self) -> Doubles:
        """W, ndarray of shape (dim, dim), symmetric."""
        matrix: Doubles = np.eye(len(self.axes)) + (self.axes * (self.factors - 1)) @ self.axes.T
        return matrix

    def within(self, vectors: Floats) -> Floats:
        """Vectors (n, dim) times W, at unit length; sooner than by the matrix where the rank is low."""
        axes, factors = self.axes.astype(np.float32), self.factors.astype(np.float32)
        return Normalise().apply(_stretched(vectors, axes, factors))

    def between(self, vectors: Floats) -> Floats:
        """Vectors (n, dim) times A, at unit length: (n, directions)."""
        return Normalise().apply(vectors @ self.directions.astype(np.float32))

    def steps(self) -> tuple[Step, ...]:
        """The map as steps of a card, of vectors (dim,) to such of unit length."""
        plain = (Linear(self.matrix.astype(np.float32)), Normalise())
        if not self.share:
            return plain
        along = (Linear(self.directions.astype(np.float32)), Normalise())
        weights = (float(np.sqrt(1 - self.share)), float(np.sqrt(self.share)))
        return (Concat((plain, along), weights), Normalise())


def _principal(rows: Doubles) -> tuple[Doubles, Doubles]:
    """Eigenvectors (dim, rank) and eigenvalues (rank,) of rows.T @ rows."""
    few = len(rows) < rows.shape[1]
    sizes, turned = np.linalg.eigh(rows @ rows.T if few else rows.T @ rows)
    kept = sizes > _NOTHING * max(sizes[-1], _NOTHING)  # of vectors of unit length
    sizes, turned = sizes[kept], turned[:, kept]
    return (rows.T @ (turned / np.sqrt(sizes)) if few else turned), sizes


def _stretched(rows: NDArray[Any], axes: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
    """Rows (n, dim) times the symmetric matrix that stretches along axes and nowhere else."""
    stretched: NDArray[Any] = rows + ((rows @ axes) * (factors - 1)) @ axes.T
    return stretched

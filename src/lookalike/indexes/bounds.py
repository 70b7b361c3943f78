"""How far the codes of a row may be from a query's if the row scores at least so much.

Seen from the mean of a gallery, from which the signs are taken, a query and a row at a distance r from each
other stand at an angle that the law of cosines gives from their distances to the mean. Of n signs the share
angle/pi differs on average, with the spread of n tosses of a coin. So whatever row lies within r of the
query differs in at most so many signs, but for a chance that is as small as one asks: there is no other
place to look for it. How wide the spread really is, where vectors are less than random, is measured in every
gallery (`calibration`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

SPREAD = 4.0
"""Standard deviations that are allowed for: one row in 31,000 that is as far as the last of an answer, and
far fewer of those that are nearer, would be missed."""

_ROUNDING = 6.0
"""Standard deviations that are allowed for the rounding of a row's numbers to eight bits."""

SURE = 1e-6
"""What a cosine may be off by the arithmetic of float32."""

_AT_THE_MEAN = 1e-3
"""Nearer to the mean than this a direction from it says nothing."""


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

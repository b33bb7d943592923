# SPDX-License-Identifier: GPL-3.0-or-later
"""What impact probabilities need of the normal distribution.

Two short functions in place of scipy, whose wheel would more than double what a simulation pod installs; the tests hold
them against scipy's.
"""

import math
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE: Final = 0.95
"""Of every interval."""
NORMAL_QUANTILE: Final = 1.959963984540054
"""97.5 % of a standard normal distribution lie below."""
# Beyond so many sigma nothing is left: 1e-33.
_FAR: Final = 12.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_PANELS: Final = 24
# A width of zero is as good as this share of the disc's radius.
_LEAST_WIDTH: Final = 1e-7
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def over_disc(mean: Floats, covariance: Floats, radius: float) -> float:
    """The probability that a normal vector in the plane lies within a disc around the origin.

    By quadrature along the wider axis of the ellipse, with the exact integral across it.

    Args:
        mean: (2,).
        covariance: (2, 2), of any rank.
        radius: of the disc; same units.
    """
    variances, axes = np.linalg.eigh(covariance)
    narrow, wide = np.maximum(np.sqrt(np.maximum(variances, 0.0)), _LEAST_WIDTH * radius)
    across, along = axes.T @ mean
    low, high = max(-radius, along - _FAR * wide), min(radius, along + _FAR * wide)
    if low >= high:
        return 0.0
    # Where the chord's end passes the centre line the integrand is steep, and at its own maximum.
    chord = math.sqrt(max(radius**2 - across**2, 0.0))
    steep = narrow * abs(across) / max(chord, narrow)
    knots = {low, high, along}
    for end in (-chord, chord):
        knots |= {end, end - 4.0 * steep, end + 4.0 * steep, end - 20.0 * steep, end + 20.0 * steep}
    edges = np.array(sorted(knot for knot in knots if low <= knot <= high))
    total = sum(_panels(a, b, radius, (across, along), (narrow, wide)) for a, b in pairwise(edges))
    return float(min(max(total, 0.0), 1.0))


def _panels(low: float, high: float, radius: float, mean: tuple[float, float], sigma: tuple[float, float]) -> float:
    """The same between two chords."""
    # In u = radius sin(angle) the chords' ends are smooth.
    edges = np.linspace(math.asin(low / radius), math.asin(high / radius), _PANELS + 1)
    half = 0.5 * np.diff(edges)
    angles = (0.5 * (edges[1:] + edges[:-1]))[:, None] + half[:, None] * _NODES
    u, chord = radius * np.sin(angles), radius * np.cos(angles)
    density = np.exp(-0.5 * ((u - mean[1]) / sigma[1]) ** 2) / (sigma[1] * math.sqrt(2.0 * math.pi))
    within = _between((-chord - mean[0]) / sigma[0], (chord - mean[0]) / sigma[0])
    return float((half[:, None] * _WEIGHTS * density * within * chord).sum())


def _between(low: Floats, high: Floats) -> Floats:
    """Of a standard normal variable, exact in either tail."""
    flipped = low + high < 0.0
    a = np.where(flipped, -high, low) / math.sqrt(2.0)
    b = np.where(flipped, -low, high) / math.sqrt(2.0)
    share: Floats = 0.5 * (_erfc(a) - _erfc(b))
    return share


def wilson(hits: int, samples: int) -> tuple[float, float]:
    """The interval for a share (Wilson 1927, J. Am. Stat. Assoc. 22, 209); without a hit up to 3 / N, never 0.

    The one-sided 95 % bound of no hits in N is 1 - 0.05^(1/N), just below 3 / N (Hanley & Lippman-Hand 1983, JAMA 249,
    1743); where all hit, the share is at least 1 - 3 / N.

    Args:
        hits: from 0 to the samples.
        samples: at least 1.
    """
    if hits == 0:
        return 0.0, min(1.0, 3.0 / samples)
    if hits == samples:
        return max(0.0, 1.0 - 3.0 / samples), 1.0
    share, z2 = hits / samples, NORMAL_QUANTILE**2
    centre = share + z2 / (2.0 * samples)
    half = NORMAL_QUANTILE * math.sqrt(share * (1.0 - share) / samples + z2 / (4.0 * samples**2))
    return (centre - half) / (1.0 + z2 / samples), (centre + half) / (1.0 + z2 / samples)

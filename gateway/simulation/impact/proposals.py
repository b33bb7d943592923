# SPDX-License-Identifier: GPL-3.0-or-later
"""Where clones are drawn from, and what each then weighs.

Importance sampling around virtual impactors (Roa, Farnocchia & Chesley 2021, AJ 162, 277, section 4): each is a
Gaussian, the cloud's own restricted by a pretended observation of the impact. A share of the draws comes from the whole
cloud, so that no weight exceeds one over that share (defensive mixture: Hesterberg 1995, Technometrics 37, 185; with
draws allotted to the parts in proportion and weighed by the whole mixture: Owen & Zhou 2000, J. Am. Stat. Assoc. 95,
135).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.impact.question import TargetMap
from gateway.simulation.impact.target_maps import fitted, probability

Floats = NDArray[np.float64]

WHOLE_CLOUD: Final = 0.2
"""The share of draws from the whole cloud."""
# Proposals as wide as the disc: its rim is drawn often enough for the weights there to stay small.
_WIDTH: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """M Gaussians in k dimensions; the first is the cloud itself.

    Attributes:
        shares: (M,) of the draws; they add up to 1.
        centres: (M, k).
        roots: (M, k, k) lower triangular, from unit variance to each one's.
    """

    shares: Floats
    centres: Floats
    roots: Floats

    @property
    def is_plain(self) -> bool:
        """Whether all draws are the cloud's own."""
        return len(self.shares) == 1

    def draw(self, random: np.random.Generator, count: int) -> Floats:
        """(N, k) members: each part gets its share, to the nearest whole draw."""
        levels = (np.arange(count) + random.random()) / count
        part = np.minimum(np.searchsorted(np.cumsum(self.shares), levels, side="right"), len(self.shares) - 1)
        normal = random.standard_normal((count, self.centres.shape[1]))
        drawn: Floats = self.centres[part] + np.einsum("nij,nj->ni", self.roots[part], normal)
        return drawn

    def weights(self, z: Floats) -> Floats:
        """(N,) the cloud's density over the mixture's, at most 1 / `WHOLE_CLOUD`."""
        logs = np.stack([self._log_density(part, z) for part in range(len(self.shares))])
        logs += np.log(self.shares)[:, None]
        greatest = logs.max(axis=0)
        mixture = greatest + np.log(np.exp(logs - greatest).sum(axis=0))
        weights: Floats = np.exp(-0.5 * (z**2).sum(axis=1) - mixture)
        return weights

    def _log_density(self, part: int, z: Floats) -> Floats:
        """Up to the constant that the cloud's own has too."""
        root = self.roots[part]
        normal = np.linalg.solve(root, (z - self.centres[part]).T)
        log: Floats = -0.5 * (normal**2).sum(axis=0) - np.log(np.diag(root)).sum()
        return log


def whole_cloud(dimensions: int) -> Mixture:
    """Plain draws."""
    return Mixture(np.ones(1), np.zeros((1, dimensions)), np.eye(dimensions)[None])


def around(targets: Sequence[TargetMap], dimensions: int) -> Mixture:
    """Draws around virtual impactors, more around the more probable, and some from the whole cloud."""
    if not targets:
        return whole_cloud(dimensions)
    roots = np.sqrt(np.array([probability(target) for target in targets]))
    shares = (1.0 - WHOLE_CLOUD) * roots / roots.sum()
    parts = [_proposal(target) for target in targets]
    return Mixture(
        np.append(WHOLE_CLOUD, shares),
        np.stack([np.zeros(dimensions), *(centre for centre, _ in parts)]),
        np.stack([np.eye(dimensions), *(root for _, root in parts)]),
    )


def _proposal(target: TargetMap) -> tuple[Floats, Floats]:
    """Centre and root of the covariance (1 + slope^T slope / s^2)^-1, without squaring a slope of 1e9."""
    sharpness_km = _WIDTH * target.capture_km
    _, values, right = np.linalg.svd(target.slope_km / sharpness_km, full_matrices=False)
    root = np.eye(len(target.at)) + right.T @ np.diag(1.0 / np.sqrt(1.0 + values**2) - 1.0) @ right
    # Symmetric square root to a triangular one.
    triangular: Floats = np.linalg.qr(root)[1].T
    return fitted(target, sharpness_km / 3.0), triangular * np.sign(np.diag(triangular))

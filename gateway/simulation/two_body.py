# SPDX-License-Identifier: GPL-3.0-or-later
"""Two-body motion about a body: the pericentre and the time of fall, for ellipses, parabolas and hyperbolas alike.

With alpha = v^2 - 2 GM / r (twice the energy) and h the angular momentum, the pericentre is
q = h^2 / (GM + sqrt(GM^2 + alpha h^2)) (Battin 1999, An Introduction to the Mathematics and Methods of Astrodynamics,
section 3.3). The time from the pericentre to a distance r is the integral of r / sqrt(alpha r^2 + 2 GM r - h^2); with
r = q + s^2 its integrand 2 (q + s^2) / sqrt(alpha (2 q + s^2) + 2 GM) is smooth, and Gauss-Legendre quadrature serves.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Nodes on (-1, 1). Times are good to 1e-8; near an ellipse's apocentre, where the integrand is singular, to 2 %.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
LIGHT_KM_S: Final = 299_792.458


@dataclass(frozen=True, slots=True)
class TwoBody:
    """Motion of a massless object about a body, in one plane and without perturbations.

    Attributes:
        gm_km3_s2: of the body.
        distance_km: from its centre, now.
        radial_km_s: rate of that distance, now; negative while the object approaches.
        alpha_km2_s2: twice the energy: v_infinity^2 where it is positive.
        momentum_km2_s: angular momentum per mass.
    """

    gm_km3_s2: float
    distance_km: float
    radial_km_s: float
    alpha_km2_s2: float
    momentum_km2_s: float

    @classmethod
    def of(cls, position_km: Floats, velocity_km_s: Floats, gm_km3_s2: float) -> "TwoBody":
        """The motion through a state of shapes (3,) and (3,) relative to the body."""
        distance_km = float(np.linalg.norm(position_km))
        return cls(
            gm_km3_s2,
            distance_km,
            float(position_km @ velocity_km_s) / distance_km,
            float(velocity_km_s @ velocity_km_s) - 2.0 * gm_km3_s2 / distance_km,
            float(np.linalg.norm(np.cross(position_km, velocity_km_s))),
        )

    @property
    def pericentre_km(self) -> float:
        """Least distance from the centre; 0 for a straight fall."""
        return self.momentum_km2_s**2 / (self.gm_km3_s2 + self._root)

    @property
    def pericentre_speed_km_s(self) -> float | None:
        """Speed at the least distance; None above the speed of light, where Newton's motion has no meaning."""
        passed = self.gm_km3_s2 + self._root
        return passed / self.momentum_km2_s if passed < LIGHT_KM_S * self.momentum_km2_s else None

    def until_pericentre_s(self) -> float:
        """Seconds from now to the pericentre nearest in time; negative where it is passed."""
        return float(-np.copysign(self._from_pericentre_s(self.distance_km), self.radial_km_s))

    def until_s(self, radius_km: float) -> float | None:
        """Seconds until an approaching object comes down to a distance; None where it does not, or is below it."""
        if self.radial_km_s >= 0.0 or not self.pericentre_km < radius_km < self.distance_km:
            return None
        return self._from_pericentre_s(self.distance_km) - self._from_pericentre_s(radius_km)

    @property
    def _root(self) -> float:
        """GM times the eccentricity; rounding must not make it the root of a negative number for a circle."""
        return float(np.sqrt(max(self.gm_km3_s2**2 + self.alpha_km2_s2 * self.momentum_km2_s**2, 0.0)))

    def _from_pericentre_s(self, distance_km: float) -> float:
        pericentre_km = self.pericentre_km
        end = np.sqrt(max(distance_km - pericentre_km, 0.0))
        squares = (0.5 * end * (_NODES + 1.0)) ** 2
        speed = np.sqrt(self.alpha_km2_s2 * (2.0 * pericentre_km + squares) + 2.0 * self.gm_km3_s2)
        return float(0.5 * end * (_WEIGHTS @ (2.0 * (pericentre_km + squares) / speed)))

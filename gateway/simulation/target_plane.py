# SPDX-License-Identifier: GPL-3.0-or-later
"""An encounter as a two-body hyperbola: speed at infinity and Opik's target plane.

Source: Valsecchi, Milani, Gronchi & Chesley 2003, A&A 408, 1179, section 2: eta along the incoming asymptote, zeta
opposite to the projection of the planet's heliocentric velocity on the plane, xi = eta x zeta.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TargetPlane:
    """Where the incoming asymptote pierces the target plane.

    Attributes:
        xi_km: across the planet's motion.
        zeta_km: along it; positive where the object comes late.
        impact_parameter_km: |B|, their distance from the centre.
        capture_radius_km: impact parameter of a grazing hit.
    """

    xi_km: float
    zeta_km: float
    impact_parameter_km: float
    capture_radius_km: float


@dataclass(frozen=True, slots=True)
class Hyperbola:
    """The unbound two-body orbit about the encountered body.

    Attributes:
        v_infinity_km_s: relative speed far away.
        turn_deg: angle between the incoming and the outgoing asymptote.
        plane: absent where the body has no heliocentric motion to measure zeta by: the Sun.
    """

    v_infinity_km_s: float
    turn_deg: float
    plane: TargetPlane | None


def hyperbola(
    position_km: Floats, velocity_km_s: Floats, motion_km_s: Floats, gm_km3_s2: float, radius_km: float
) -> Hyperbola | None:
    """The hyperbola through a state relative to a body.

    Args:
        position_km: (3,) relative to the body.
        velocity_km_s: (3,) relative to the body.
        motion_km_s: (3,) heliocentric velocity of the body; same axes.
        gm_km3_s2: of the body.
        radius_km: of the body.

    Returns:
        None where the object is bound to the body, or falls straight towards its centre.
    """
    distance_km = float(np.linalg.norm(position_km))
    v_infinity_squared = float(velocity_km_s @ velocity_km_s) - 2.0 * gm_km3_s2 / distance_km
    momentum = np.cross(position_km, velocity_km_s)
    momentum_size = float(np.linalg.norm(momentum))
    if v_infinity_squared <= 0.0 or momentum_size == 0.0:
        return None
    v_infinity_km_s = float(np.sqrt(v_infinity_squared))
    to_pericentre = np.cross(velocity_km_s, momentum) / gm_km3_s2 - position_km / distance_km
    to_pericentre /= np.linalg.norm(to_pericentre)
    ahead = np.cross(momentum, to_pericentre) / momentum_size
    # The eccentricity is sqrt(1 + s^2): rounding does not bring it below 1 for an almost straight fall.
    s = v_infinity_km_s * momentum_size / gm_km3_s2
    eccentricity = float(np.hypot(1.0, s))
    eta = (to_pericentre + s * ahead) / eccentricity
    impact_parameter_km = momentum_size / v_infinity_km_s
    b_km = impact_parameter_km * np.cross(eta, momentum / momentum_size)
    return Hyperbola(
        v_infinity_km_s,
        float(np.degrees(2.0 * np.arcsin(1.0 / eccentricity))),
        _target_plane(b_km, eta, motion_km_s, _grazing_km(v_infinity_squared, gm_km3_s2, radius_km)),
    )


def _grazing_km(v_infinity_squared: float, gm_km3_s2: float, radius_km: float) -> float:
    """Radius * sqrt(1 + v_esc^2 / v_inf^2) (Opik 1976; Valsecchi et al. 2003, eq. 2)."""
    return radius_km * float(np.sqrt(1.0 + 2.0 * gm_km3_s2 / radius_km / v_infinity_squared))


def _target_plane(b_km: Floats, eta: Floats, motion_km_s: Floats, grazing_km: float) -> TargetPlane | None:
    across = motion_km_s - (motion_km_s @ eta) * eta
    size = float(np.linalg.norm(across))
    if size == 0.0:
        return None
    zeta = -across / size
    xi = np.cross(eta, zeta)
    return TargetPlane(float(b_km @ xi), float(b_km @ zeta), float(np.linalg.norm(b_km)), grazing_km)

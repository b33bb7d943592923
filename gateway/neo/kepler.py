# SPDX-License-Identifier: GPL-3.0-or-later
"""Kepler's equation from perihelion in universal variables: one formula for every eccentricity.

Source: Battin, "An Introduction to the Mathematics and Methods of Astrodynamics" (1999), sections 4.5 and
4.6, with the perihelion as starting point (r0 = q, r0 . v0 = 0), so that with alpha = (1 - e) / q

    sqrt(GM) t = q chi + e chi^3 c3(alpha chi^2),    r = q + e chi^2 c2(alpha chi^2).

Nothing is divided by 1 - e or by alpha and every term is positive near the parabola, so nearly parabolic
orbits lose no digits; e = 1 is Barker's equation.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import GM_SUN_AU3_D2

Floats = NDArray[np.float64]

_SQRT_GM: Final = float(np.sqrt(GM_SUN_AU3_D2))
_MAX_NEWTON_STEPS: Final = 60
_CONVERGED: Final = 4.0 * float(np.finfo(np.float64).eps)
_C3_SERIES: Final = 1.0 / np.cumprod([6.0, 20.0, 42.0, 72.0, 110.0, 156.0, 210.0, 272.0, 342.0])  # 1 / (2k + 3)!


def stumpff(z: Floats) -> tuple[Floats, Floats]:
    """The Stumpff functions c2 and c3 (Battin 1999, eq. 4.86) for z <= pi^2, any shape."""
    root = np.sqrt(np.abs(z))
    half = 0.5 * root
    safe_half = np.where(half == 0.0, 1.0, half)
    ratio = np.where(half == 0.0, 1.0, np.where(z > 0.0, np.sin(half), np.sinh(half)) / safe_half)
    c2 = 0.5 * ratio * ratio
    near = np.abs(z) < 1.0
    series = np.polynomial.polynomial.polyval(np.where(near, -z, 0.0), _C3_SERIES)
    safe_root = np.where(near, 1.0, root)
    far = np.where(z > 0.0, safe_root - np.sin(safe_root), np.sinh(safe_root) - safe_root) / safe_root**3
    return c2, np.where(near, series, far)


def time_from_perihelion_d(chi: Floats, q: Floats, e: Floats) -> Floats:
    """Days since perihelion at universal anomaly chi (sqrt(au)); odd in chi."""
    _, c3 = stumpff((1.0 - e) / q * chi * chi)
    return chi * (q + e * chi * chi * c3) / _SQRT_GM


def _first_guess(m: Floats, q: Floats, e: Floats, alpha: Floats) -> Floats:
    """A start from which Newton's iteration cannot miss: the right side is convex in chi >= 0.

    The cubic with c3 = 1/6 bounds a hyperbola's chi from above and is the parabola's exact answer. For an
    ellipse it lies below, and the first Newton step of a convex function lands above; half a revolution caps
    that step.
    """
    k = np.maximum(e, 1e-200) / 6.0
    cubic = 2.0 * np.sqrt(q / (3.0 * k)) * np.sinh(np.arcsinh(1.5 * m / q * np.sqrt(3.0 * k / q)) / 3.0)
    ellipse = alpha > 0.0
    beta = np.sqrt(np.abs(alpha))
    safe_beta = np.where(beta == 0.0, 1.0, beta)
    half_revolution = np.pi / safe_beta
    # Hyperbola: sinh H = (M + H) / e, and an upper bound of H put in on the right gives a better one.
    mean_anomaly = m * safe_beta**3
    logarithmic = np.arcsinh((mean_anomaly + cubic * safe_beta) / np.maximum(e, 1.0)) / safe_beta
    hyperbola = np.where(alpha < 0.0, np.minimum(cubic, logarithmic), cubic)
    return np.where(ellipse, np.minimum(cubic, half_revolution), hyperbola)


def universal_anomaly(time_d: Floats, q: Floats, e: Floats) -> Floats:
    """The universal anomaly chi (sqrt(au)) at a time since perihelion.

    Args:
        time_d: days since perihelion, shape (N,), any sign; whole revolutions are taken off.
        q: perihelion distances in au, shape (N,).
        e: eccentricities, shape (N,), e >= 0.

    Returns:
        chi with the sign of the time, shape (N,). For an ellipse |chi| sqrt(alpha) is the eccentric anomaly.
    """
    alpha = (1.0 - e) / q
    bound = alpha > 0.0
    safe_alpha = np.where(bound, alpha, 1.0)
    period_d = 2.0 * np.pi / (_SQRT_GM * safe_alpha**1.5)
    time_d = np.where(bound, time_d - period_d * np.round(time_d / period_d), time_d)
    m = _SQRT_GM * np.abs(time_d)
    cap = np.where(bound, np.pi / np.sqrt(safe_alpha), np.inf)
    chi = _first_guess(m, q, e, alpha)
    for _ in range(_MAX_NEWTON_STEPS):
        c2, c3 = stumpff(alpha * chi * chi)
        step = (chi * (q + e * chi * chi * c3) - m) / (q + e * chi * chi * c2)
        chi = np.clip(chi - step, 0.0, cap)
        if np.all(np.abs(step) <= _CONVERGED * chi):
            break
    return np.copysign(chi, time_d)

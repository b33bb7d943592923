# SPDX-License-Identifier: GPL-3.0-or-later
"""From orbits to states and back, for every eccentricity by universal variables (`gateway.neo.kepler`).

Frame: heliocentric, ecliptic of J2000, unless a name says ICRF; time scale TDB; GM is the Sun's alone.

What float64 leaves: a Julian date resolves 4.7e-10 d, in which a body at 30 km/s moves 1.2 m; near the
parabola the last bit of e is worth r^2 / q times 1e-16 in position.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gateway.neo.errors import ColumnShapeError, InvalidOrbitError, Violation
from gateway.neo.frames import ecliptic_to_icrf, icrf_to_ecliptic
from gateway.neo.kepler import stumpff, time_from_perihelion_d, universal_anomaly
from gateway.neo.orbits import Orbits, broadcast
from gateway.neo.units import GM_SUN_AU3_D2

__all__ = [
    "Orbits",
    "ecliptic_to_icrf",
    "from_states",
    "icrf_to_ecliptic",
    "perifocal_axes",
    "positions_at_true_anomaly_au",
    "to_states",
    "true_anomaly_deg",
]

Floats = NDArray[np.float64]

_SQRT_GM: Final = float(np.sqrt(GM_SUN_AU3_D2))
_MIN_RADIUS_AU: Final = 1e-6
_MAX_RADIUS_AU: Final = 1e6
_MAX_SPEED_AU_D: Final = 1e3  # six times the speed of light


def perifocal_axes(orbits: Orbits) -> tuple[Floats, Floats]:
    """Unit vectors to perihelion and to true anomaly 90 deg, ecliptic, each of shape (N, 3)."""
    inclination = np.radians(orbits.inclination_deg)
    node = np.radians(orbits.longitude_of_ascending_node_deg)
    argument = np.radians(orbits.argument_of_perihelion_deg)
    cos_i, sin_i = np.cos(inclination), np.sin(inclination)
    cos_n, sin_n = np.cos(node), np.sin(node)
    cos_w, sin_w = np.cos(argument), np.sin(argument)
    to_perihelion = (
        cos_n * cos_w - sin_n * sin_w * cos_i,
        sin_n * cos_w + cos_n * sin_w * cos_i,
        sin_w * sin_i,
    )
    ahead = (-cos_n * sin_w - sin_n * cos_w * cos_i, -sin_n * sin_w + cos_n * cos_w * cos_i, cos_w * sin_i)
    return np.stack(to_perihelion, axis=-1), np.stack(ahead, axis=-1)


def to_states(orbits: Orbits, at_tdb_jd: ArrayLike | None = None) -> Floats:
    """States on the two-body orbits.

    Args:
        orbits: N orbits.
        at_tdb_jd: one time or N times; each orbit's own epoch when left out.

    Returns:
        Shape (N, 6): x, y, z in au and their rates in au/d, heliocentric ecliptic J2000.
    """
    q, e = orbits.perihelion_distance_au, orbits.eccentricity
    chi = universal_anomaly(_since_perihelion_d(orbits, at_tdb_jd), q, e)
    z = (1.0 - e) / q * chi * chi
    c2, c3 = stumpff(z)
    u1, u2 = chi * (1.0 - z * c3), chi * chi * c2
    root_p = np.sqrt(q * (1.0 + e))
    radius = q + e * u2
    to_perihelion, ahead = perifocal_axes(orbits)
    position = (q - u2)[:, None] * to_perihelion + (root_p * u1)[:, None] * ahead
    along = -_SQRT_GM * u1 / radius
    across = _SQRT_GM * root_p * (1.0 - z * c2) / radius
    velocity = along[:, None] * to_perihelion + across[:, None] * ahead
    return np.concatenate([position, velocity], axis=1)


def true_anomaly_deg(orbits: Orbits, at_tdb_jd: ArrayLike | None = None) -> Floats:
    """True anomalies in [-180, 180] degrees, shape (N,), at one time, N times, or each orbit's own epoch."""
    q, e = orbits.perihelion_distance_au, orbits.eccentricity
    chi = universal_anomaly(_since_perihelion_d(orbits, at_tdb_jd), q, e)
    return np.degrees(_true_anomaly_rad(chi, q, e))


def _true_anomaly_rad(chi: Floats, q: Floats, e: Floats) -> Floats:
    z = (1.0 - e) / q * chi * chi
    c2, c3 = stumpff(z)
    return np.arctan2(np.sqrt(q * (1.0 + e)) * chi * (1.0 - z * c3), q - chi * chi * c2)


def positions_at_true_anomaly_au(orbits: Orbits, true_anomaly_deg: ArrayLike) -> Floats:
    """Points of the orbits, shape (N, 3), heliocentric ecliptic au.

    Raises:
        InvalidOrbitError: a true anomaly at or beyond a parabola's or hyperbola's asymptote.
    """
    anomaly = np.broadcast_to(np.radians(np.asarray(true_anomaly_deg, np.float64)), len(orbits))
    denominator = 1.0 + orbits.eccentricity * np.cos(anomaly)
    if not np.all(denominator > 0.0):
        rows = np.flatnonzero(~(denominator > 0.0))
        requirement = "must lie on the orbit, short of the asymptote"
        raise InvalidOrbitError(tuple(Violation("true_anomaly_deg", int(row), requirement) for row in rows))
    radius = orbits.perihelion_distance_au * (1.0 + orbits.eccentricity) / denominator
    to_perihelion, ahead = perifocal_axes(orbits)
    position: Floats = (radius * np.cos(anomaly))[:, None] * to_perihelion
    position += (radius * np.sin(anomaly))[:, None] * ahead
    return position


def _since_perihelion_d(orbits: Orbits, at_tdb_jd: ArrayLike | None) -> Floats:
    at = orbits.epoch_tdb_jd if at_tdb_jd is None else np.asarray(at_tdb_jd, np.float64)
    return np.broadcast_to(at - orbits.perihelion_time_tdb_jd, len(orbits))


def from_states(states: ArrayLike, epoch_tdb_jd: ArrayLike) -> Orbits:
    """The osculating orbits of heliocentric states; of an ellipse's perihelia the nearest in time.

    Where the geometry leaves an angle open it is set: an orbit in the ecliptic has its node at longitude 0,
    an exact circle its perihelion at the body itself.

    Args:
        states: shape (N, 6), au and au/d, ecliptic J2000.
        epoch_tdb_jd: one epoch or N.

    Raises:
        ColumnShapeError: the array is not (N, 6), or the epochs do not fit it.
        InvalidOrbitError: a state is not finite, is out of all proportion, has no angular momentum, or its
            orbit is outside the domain.
    """
    table = np.asarray(states, np.float64)
    if table.ndim != 2 or table.shape[1] != 6:
        raise ColumnShapeError(f"states must have the shape (N, 6), not {table.shape}")
    epoch, _ = broadcast(epoch_tdb_jd, np.zeros(len(table)))
    if len(epoch) != len(table):
        raise ColumnShapeError(f"{len(epoch)} epochs for {len(table)} states")
    _require_states(table)
    position, velocity = table[:, :3], table[:, 3:] / _SQRT_GM
    momentum = np.cross(position, velocity)
    radius = np.linalg.norm(position, axis=1)
    p = np.einsum("ij,ij->i", momentum, momentum)
    sigma = np.einsum("ij,ij->i", position, velocity)
    alpha = 2.0 / radius - np.einsum("ij,ij->i", velocity, velocity)
    e, chi = _shape_and_phase(radius, sigma, alpha, p)
    q = p / (1.0 + e)

    # All angles from one orthonormal pair (node, transverse): their round-off cancels in a round trip.
    planar = np.hypot(momentum[:, 0], momentum[:, 1])
    node = np.where(planar > 0.0, np.arctan2(momentum[:, 0], -momentum[:, 1]), 0.0)
    inclination = np.arctan2(planar, momentum[:, 2])
    cos_n, sin_n, cos_i, sin_i = np.cos(node), np.sin(node), np.cos(inclination), np.sin(inclination)
    along_node = position[:, 0] * cos_n + position[:, 1] * sin_n
    transverse = cos_i * (position[:, 1] * cos_n - position[:, 0] * sin_n) + sin_i * position[:, 2]
    # The true anomaly from chi, not from the state again: of a near-circle both are noise, but must be one noise.
    argument = np.arctan2(transverse, along_node) - _true_anomaly_rad(chi, q, e)
    return Orbits(
        perihelion_distance_au=q,
        eccentricity=e,
        inclination_deg=np.degrees(inclination),
        longitude_of_ascending_node_deg=np.remainder(np.degrees(node), 360.0),
        argument_of_perihelion_deg=np.remainder(np.degrees(argument), 360.0),
        perihelion_time_tdb_jd=epoch - time_from_perihelion_d(chi, q, e),
        epoch_tdb_jd=epoch,
    )


def _require_states(table: Floats) -> None:
    """Refuse states of which no orbit can be made; what passes is squared and multiplied without overflow."""
    limits = np.array([_MAX_RADIUS_AU] * 3 + [_MAX_SPEED_AU_D] * 3)
    sane: NDArray[np.bool_] = np.all(np.abs(table) <= limits, axis=1)  # NaN is not
    checked = np.where(sane[:, None], table, 0.0)
    fine = np.linalg.norm(checked[:, :3], axis=1) >= _MIN_RADIUS_AU
    fine &= (np.cross(checked[:, :3], checked[:, 3:]) != 0.0).any(axis=1)
    if not fine.all():
        requirement = "must be finite, 1e-6 to 1e6 au from the Sun, with position and velocity not parallel"
        raise InvalidOrbitError(tuple(Violation("states", int(r), requirement) for r in np.flatnonzero(~fine)))


def _shape_and_phase(radius: Floats, sigma: Floats, alpha: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Eccentricity and universal anomaly from r, r.v / sqrt(GM), 1 / a and the semi-latus rectum."""
    beta = np.sqrt(np.abs(alpha))
    safe_beta = np.where(beta == 0.0, 1.0, beta)
    e_sin, e_cos = (
        sigma * beta,
        1.0 - alpha * radius,
    )  # e sin E and e cos E; hyperbolic functions for alpha < 0
    e = np.where(alpha > 0.0, np.hypot(e_sin, e_cos), np.sqrt(np.maximum(1.0 - alpha * p, 1.0)))
    ellipse = np.arctan2(e_sin, e_cos)
    hyperbola = np.arcsinh(e_sin / np.maximum(e, 1.0))
    chi = np.where(alpha > 0.0, ellipse, hyperbola) / safe_beta
    return e, np.where(beta == 0.0, sigma, chi)

# SPDX-License-Identifier: GPL-3.0-or-later
"""An orbit that is not known exactly: a Gaussian in the very parameters in which its covariance is given.

A member of the cloud is parameters = nominal + spread z, with z standard normal. The matrix is scaled to correlations
before it is decomposed, so that sigmas of 1e-10 au and 1e-4 deg beside correlations of 1 - 1e-9 cost no digits; from
parameters to a state leads the exact two-body formula, never its linearisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.domain import ORBIT_DOMAIN
from gateway.neo.elements import to_states
from gateway.neo.frames import ecliptic_to_icrf, icrf_to_ecliptic
from gateway.neo.orbits import Orbits
from gateway.neo.units import GM_SUN_AU3_D2
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body

Floats = NDArray[np.float64]

SIZES: Final = ("semi_major_axis_au", "perihelion_distance_au")
PHASES: Final = ("mean_anomaly_deg", "perihelion_time_tdb_jd")
SHAPE: Final = (
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
)
CARTESIAN: Final = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")
PUSHES: Final = ("a1_au_d2", "a2_au_d2", "a3_au_d2")

# Published matrices are rounded to some 16 digits: what that leaves of asymmetry and of negative eigenvalues.
_ASYMMETRY: Final = 1e-9
_NEGATIVE: Final = 1e-8
# Directions that vary less than this, as a variance of correlations, are noise of the decomposition.
_RANK: Final = 1e-15


class NotACovariance(ValueError):
    """A matrix that no random variable has; says why."""


def spread_of(covariance: Floats) -> Floats:
    """(n, k) S with S S^T = the covariance, k its rank, from the widest direction of the correlations to the narrowest.

    Args:
        covariance: (n, n), in any units.

    Raises:
        NotACovariance: it is not symmetric, a variance is negative, or it is not positive semidefinite.
    """
    variances = np.diag(covariance)
    if (variances < 0.0).any():
        raise NotACovariance(f"the variance of row {int(np.argmin(variances))} is negative")
    sigmas = np.sqrt(variances)
    scale = np.where(sigmas > 0.0, sigmas, 1.0)
    correlations = covariance / np.outer(scale, scale)
    if np.abs(correlations - correlations.T).max() > _ASYMMETRY:
        raise NotACovariance("it is not symmetric")
    if np.abs(correlations[sigmas == 0.0]).max(initial=0.0) > 0.0:
        raise NotACovariance("a parameter without variance is correlated with another")
    variance, directions = np.linalg.eigh(0.5 * (correlations + correlations.T))
    if variance[0] < -_NEGATIVE:
        raise NotACovariance(f"it is not positive semidefinite: its correlations have the eigenvalue {variance[0]:.3g}")
    kept = np.flatnonzero(variance > _RANK * max(variance[-1], 1.0))[::-1]
    spread: Floats = scale[:, None] * directions[:, kept] * np.sqrt(variance[kept])
    return spread


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Some members of a cloud.

    Attributes:
        states: (N, 6) barycentric ICRF, au and au/d; the nominal one where a member is no orbit.
        pushes_au_d2: (N, 3) A1, A2, A3.
        sound: (N,) whether the parameters make an orbit: e at least 0, and a size that fits it.
    """

    states: Floats
    pushes_au_d2: Floats
    sound: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """The orbits that an object may have.

    Attributes:
        epoch_d: when the parameters hold, days of TDB since J2000.0.
        labels: (n) names of the parameters: six of an orbit, then up to three pushes.
        nominal: (n,) their values; a time of perihelion counts from the epoch, in days.
        spread: (n, k) from a standard normal vector to their deviations.
        pushes_au_d2: (3,) A1, A2, A3 where they are no parameters.
        icrf: whether Cartesian parameters have the axes of the ICRF; else those of the ecliptic.
        barycentric: whether their origin is the barycentre; else the Sun.
    """

    epoch_d: float
    labels: tuple[str, ...]
    nominal: Floats
    spread: Floats
    pushes_au_d2: Floats
    icrf: bool = False
    barycentric: bool = False

    @property
    def dimensions(self) -> int:
        """K, in how many independent directions the orbit is uncertain."""
        return len(self.spread.T)

    def members(self, z: Floats) -> Members:
        """The members at (N, k) coordinates of unit variance."""
        values = self.nominal + z @ self.spread.T
        named = {label: values[:, column] for column, label in enumerate(self.labels)}
        pushes = np.tile(self.pushes_au_d2, (len(z), 1))
        for column, label in enumerate(PUSHES):
            if label in named:
                pushes[:, column] = named[label]
        states, sound = self._cartesian(named) if CARTESIAN[0] in named else self._keplerian(named)
        return Members(states, pushes, sound)

    def _cartesian(self, named: dict[str, Floats]) -> tuple[Floats, NDArray[np.bool_]]:
        states = np.stack([named[label] for label in CARTESIAN], axis=1)
        if not self.icrf:
            states = ecliptic_to_icrf(states)
        return states if self.barycentric else states + self._sun(), np.ones(len(states), np.bool_)

    def _keplerian(self, named: dict[str, Floats]) -> tuple[Floats, NDArray[np.bool_]]:
        e = named["eccentricity"]
        by_axis = "semi_major_axis_au" in named
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            q = named["semi_major_axis_au"] * (1.0 - e) if by_axis else named["perihelion_distance_au"]
            if "perihelion_time_tdb_jd" in named:
                since_d = -named["perihelion_time_tdb_jd"]
            else:
                axis = np.abs(q / (1.0 - e))
                since_d = np.radians(named["mean_anomaly_deg"]) * np.sqrt(axis**3 / GM_SUN_AU3_D2)
        times = ORBIT_DOMAIN["perihelion_time_tdb_jd"]
        sound = ORBIT_DOMAIN["perihelion_distance_au"].holds(q) & ORBIT_DOMAIN["eccentricity"].holds(e)
        sound &= times.holds(since_d)
        first = int(np.argmax(sound))
        if not sound.any():
            return np.tile(np.array([1.0, 0.0, 0.0, 0.0, 0.017, 0.0]), (len(e), 1)) + self._sun(), sound
        # Over the pole an inclination goes on as one within 0 to 180 deg on the other side.
        inclination = np.remainder(named["inclination_deg"], 360.0)
        over = inclination > 180.0
        turned = np.where(over, 180.0, 0.0)
        columns = (
            q,
            e,
            np.where(over, 360.0 - inclination, inclination),
            np.remainder(named["longitude_of_ascending_node_deg"] + turned, 360.0),
            np.remainder(named["argument_of_perihelion_deg"] + turned, 360.0),
            -since_d,
        )
        # Times count from the epoch: as Julian dates they would resolve a metre.
        orbits = Orbits(*(np.where(sound, column, column[first]) for column in (*columns, np.zeros(len(e)))))
        return ecliptic_to_icrf(to_states(orbits)) + self._sun(), sound

    def _sun(self) -> Floats:
        sun: Floats = ephemeris.states(Body.SUN, np.array([self.epoch_d]))[0]
        return sun


def nominal_values(labels: Sequence[str], orbit: Orbits, pushes_au_d2: Floats) -> Floats:
    """(n,) the parameters of one orbit, by name; a time of perihelion counts from its epoch, in days."""
    since_d = float(orbit.epoch_tdb_jd[0] - orbit.perihelion_time_tdb_jd[0])
    values = {
        **{name: float(getattr(orbit, name)[0]) for name in (*SIZES, *SHAPE)},
        "mean_anomaly_deg": float(orbit.mean_anomaly_deg[0]),
        "perihelion_time_tdb_jd": -since_d,
        **dict(zip(PUSHES, (float(push) for push in pushes_au_d2), strict=True)),
    }
    return np.array([values[label] for label in labels])


def cartesian_values(state: Floats, *, epoch_d: float, icrf: bool, barycentric: bool) -> Floats:
    """(6,) of a heliocentric ecliptic state in other axes or from another centre."""
    given = ecliptic_to_icrf(state)
    if barycentric:
        given = given + ephemeris.states(Body.SUN, np.array([epoch_d]))[0]
    values: Floats = given if icrf else icrf_to_ecliptic(given)
    return values

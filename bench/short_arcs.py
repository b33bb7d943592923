# SPDX-License-Identifier: GPL-3.0-or-later
"""Real orbits as uncertain as an arc of seven days leaves them, to measure what their clones cost.

Each is observed when it is nearest to Earth in the ten years after the catalogue's epoch: on three nights within a
week, four times each, to half an arcsecond in both angles. The covariance is that of a least-squares fit to these
observations, with two-body partials by finite differences (Milani & Gronchi 2010, Theory of Orbit Determination,
chapter 5).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.anchors import MPC_FILE
from bench.cad import shared_folder
from gateway.neo.elements import from_states, to_states
from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.orbits import Orbits
from gateway.neo.units import J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.branch import barycentric

Floats = NDArray[np.float64]

_YEARS_D: Final = 3_652.5
_EVERY_D: Final = 5.0
_OBSERVED_D: Final = np.add.outer([-3.5, 0.0, 3.5], [-0.06, -0.02, 0.02, 0.06]).ravel()
_ERROR_RAD: Final = np.radians(0.5 / 3_600.0)
_STEP: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ShortArc:
    """An object with a short arc.

    Attributes:
        name: its principal designation.
        eccentricity: in the catalogue.
        period_d: in the catalogue.
        epoch_d: the middle of the arc, days of TDB since J2000.0.
        state: (6,) heliocentric ecliptic there, au and au/d.
        spread: (6, 6) from standard normal deviates to deviations of the state.
    """

    name: str
    eccentricity: float
    period_d: float
    epoch_d: float
    state: Floats
    spread: Floats

    def clones(self, count: int, seed: int = 1) -> Floats:
        """(N, 6) barycentric ICRF states at the epoch, au and au/d."""
        deviates = np.random.default_rng(seed).standard_normal((count, 6))
        return np.array([barycentric(self.state + self.spread @ z, self.epoch_d) for z in deviates])


def short_arcs(count: int, seed: int = 1) -> list[ShortArc]:
    """Objects drawn from the Minor Planet Center's catalogue, each as likely as any other.

    Raises:
        FileNotFoundError: the catalogue is absent; see `bench.cad.shared_folder`.
    """
    table = pd.read_csv(shared_folder() / "data" / MPC_FILE, low_memory=False).sample(count, random_state=seed)
    return [_short_arc(row) for _, row in table.iterrows()]


def _short_arc(row: "pd.Series[float]") -> ShortArc:
    orbit = Orbits.from_mean_anomaly(
        semi_major_axis_au=float(row["a"]),
        eccentricity=float(row["e"]),
        inclination_deg=float(row["i"]),
        longitude_of_ascending_node_deg=float(row["Node"]),
        argument_of_perihelion_deg=float(row["Peri"]),
        mean_anomaly_deg=float(row["M"]),
        epoch_tdb_jd=float(row["Epoch"]),
    )
    times = float(row["Epoch"]) - J2000_TDB_JD + np.arange(0.0, _YEARS_D, _EVERY_D)
    away = np.array([to_states(orbit, time_d + J2000_TDB_JD)[0, :3] for time_d in times]) - _earth(times)
    epoch_d = float(times[np.linalg.norm(away, axis=1).argmin()])
    state = to_states(orbit, epoch_d + J2000_TDB_JD)[0]
    partials = np.stack(
        [
            (_angles(state + step, epoch_d) - _angles(state - step, epoch_d)) / (2.0 * _STEP)
            for step in _STEP * np.eye(6)
        ],
        axis=1,
    )
    _, values, right = np.linalg.svd(partials / _ERROR_RAD, full_matrices=False)
    return ShortArc(
        str(row["Principal_desig"]),
        float(row["e"]),
        365.25 * float(row["a"]) ** 1.5,
        epoch_d,
        state,
        right.T / values,
    )


def _angles(state: Floats, epoch_d: float) -> Floats:
    """(2 M,) longitudes, times the cosine of the latitude, and latitudes, seen from Earth's centre; for differences."""
    orbit = from_states(state[None], np.array([epoch_d + J2000_TDB_JD]))
    times = epoch_d + _OBSERVED_D
    away = np.array([to_states(orbit, time_d + J2000_TDB_JD)[0, :3] for time_d in times]) - _earth(times)
    latitude = np.arcsin(away[:, 2] / np.linalg.norm(away, axis=1))
    return np.concatenate((np.unwrap(np.arctan2(away[:, 1], away[:, 0])) * np.cos(latitude), latitude))


def _earth(times: Floats) -> Floats:
    """(N, 3) heliocentric ecliptic, au."""
    at = ephemeris.states_of_many((Body.EARTH, Body.SUN), times)
    return icrf_to_ecliptic((at[Body.EARTH] - at[Body.SUN])[:, :3])

# SPDX-License-Identifier: GPL-3.0-or-later
"""Earth's and the Sun's motion from a small committed table, 1900 to 2100.

The table (`earth_de440.npz`, written by `export.tables.earth_table`) holds Chebyshev coefficients fitted to JPL's DE440
(Park et al. 2021, AJ 161:105). JPL's Earth MOID takes Earth, body 399 and not the Earth-Moon barycentre, on the
orbit that osculates at the object's own epoch, with the Sun's GM alone.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gateway.neo.elements import from_states
from gateway.neo.errors import EpochOutOfRangeError
from gateway.neo.orbits import Orbits

Floats = NDArray[np.float64]

SPAN_TDB_JD: Final = (2_415_020.5, 2_488_069.5)
"""1900-01-01 to 2100-01-01, both included."""


@dataclass(frozen=True, slots=True)
class ChebyshevTable:
    """A motion in equal intervals: coefficients of shape (degree + 1, intervals, 3) in au."""

    start_tdb_jd: float
    interval_d: float
    coefficients_au: Floats

    def states(self, epoch_tdb_jd: Floats) -> Floats:
        """Positions and velocities, shape (N, 6), au and au/d, by Clenshaw's recurrence and its derivative."""
        elapsed = (epoch_tdb_jd - self.start_tdb_jd) / self.interval_d
        row = np.minimum(elapsed.astype(np.intp), self.coefficients_au.shape[1] - 1)
        x = (2.0 * (elapsed - row) - 1.0)[:, None]
        twice_x = 2.0 * x
        b1, b2, d1, d2 = np.zeros((4, len(epoch_tdb_jd), 3))
        for table in self.coefficients_au[:0:-1]:
            d1, d2 = 2.0 * b1 + twice_x * d1 - d2, d1
            b1, b2 = table[row] + twice_x * b1 - b2, b1
        position = self.coefficients_au[0][row] + x * b1 - b2
        velocity = (b1 + x * d1 - d2) * (2.0 / self.interval_d)
        return np.concatenate([position, velocity], axis=1)


@cache
def _tables() -> dict[str, ChebyshevTable]:
    """The committed table, read once."""
    with (files("gateway.neo") / "earth_de440.npz").open("rb") as file, np.load(file) as stored:
        return {
            name: ChebyshevTable(
                float(stored["start_tdb_jd"]),
                float(stored[f"{name}_interval_d"]),
                stored[name] * float(stored["quantum_au"]),
            )
            for name in ("sun_to_emb", "emb_to_earth", "ssb_to_sun")
        }


def covered(epoch_tdb_jd: ArrayLike) -> NDArray[np.bool_]:
    """Where epochs lie inside `SPAN_TDB_JD`; NaN does not."""
    epoch = np.asarray(epoch_tdb_jd, np.float64)
    return np.asarray((epoch >= SPAN_TDB_JD[0]) & (epoch <= SPAN_TDB_JD[1]))


def earth_heliocentric_states(epoch_tdb_jd: ArrayLike) -> Floats:
    """Earth (body 399) seen from the Sun.

    Args:
        epoch_tdb_jd: shape (N,), or one epoch.

    Returns:
        Shape (N, 6), au and au/d, ecliptic J2000.

    Raises:
        EpochOutOfRangeError: an epoch lies outside `SPAN_TDB_JD`.
    """
    distinct, rows = _distinct(epoch_tdb_jd)
    tables = _tables()
    states = tables["sun_to_emb"].states(distinct) + tables["emb_to_earth"].states(distinct)
    return states[rows]


def earth_orbits(epoch_tdb_jd: ArrayLike) -> Orbits:
    """Earth's osculating heliocentric orbits, GM of the Sun alone, at N epochs or one.

    Raises:
        EpochOutOfRangeError: an epoch lies outside `SPAN_TDB_JD`.
    """
    distinct, rows = _distinct(epoch_tdb_jd)
    return from_states(earth_heliocentric_states(distinct), distinct)[rows]


def sun_barycentric_states(epoch_tdb_jd: ArrayLike) -> Floats:
    """The Sun seen from the barycentre of the solar system; subtract it to make barycentric states heliocentric.

    Args:
        epoch_tdb_jd: shape (N,), or one epoch.

    Returns:
        Shape (N, 6), au and au/d, ecliptic J2000 (`ecliptic_to_icrf` turns it).

    Raises:
        EpochOutOfRangeError: an epoch lies outside `SPAN_TDB_JD`.
    """
    distinct, rows = _distinct(epoch_tdb_jd)
    return _tables()["ssb_to_sun"].states(distinct)[rows]


def _distinct(epoch_tdb_jd: ArrayLike) -> tuple[Floats, NDArray[np.intp]]:
    """The different epochs, and which of them each row has: a catalogue shares a few among all its rows."""
    epoch = np.atleast_1d(np.asarray(epoch_tdb_jd, np.float64))
    if not covered(epoch).all():
        raise EpochOutOfRangeError(f"the Earth table covers TDB JD {SPAN_TDB_JD[0]} to {SPAN_TDB_JD[1]}")
    if epoch.size and (epoch == epoch[0]).all():
        return epoch[:1], np.zeros(epoch.shape, np.intp)
    return np.unique(epoch, return_inverse=True)

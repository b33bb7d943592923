# SPDX-License-Identifier: GPL-3.0-or-later
"""Minimum orbit intersection distance (MOID): how near two orbits come, wherever the bodies are on them.

The method is described in the compiled core, `gateway/neo/_moid.pyx`. Earth's MOID follows JPL's recipe:
Earth's (body 399's) osculating orbit at the object's own epoch (`gateway.neo.earth_orbit`).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo import _moid
from gateway.neo.earth_orbit import covered, earth_orbits
from gateway.neo.errors import ColumnShapeError, InvalidOrbitError, Violation
from gateway.neo.orbits import Orbits

Floats = NDArray[np.float64]

_POINTS_PER_REVOLUTION: Final = 48
"""Steps of a full walk: by measurement, 1000 find nothing nearer (tests/unit/neo/test_neo_moid.py)."""

CERTIFIED_TO_AU: Final = 1e-6
"""What a certified MOID is good to: the last digit that JPL prints of the smallest ones."""


@dataclass(frozen=True, slots=True, eq=False)
class MoidResult:
    """The nearest points of N pairs of orbits, as columns of shape (N,).

    Attributes:
        distance_au: the MOID.
        true_anomaly_deg: of the nearest point on the object's orbit, in [-180, 180].
        reference_true_anomaly_deg: of the nearest point on the reference orbit, in [-180, 180].
        error_au: estimate of the distance's numerical error at this minimum; infinite where not converged.
        converged: whether Newton's method came to rest at the minimum returned.
        certified: whether it is proved, but for round-off, that no two points of the orbits are nearer than
            `distance_au` less `CERTIFIED_TO_AU`; False where no proof was asked for.
    """

    distance_au: Floats
    true_anomaly_deg: Floats
    reference_true_anomaly_deg: Floats
    error_au: Floats
    converged: NDArray[np.bool_]
    certified: NDArray[np.bool_]


def moid(orbits: Orbits, reference: Orbits, *, certify: bool = False) -> MoidResult:
    """The MOID of each orbit with a reference orbit.

    Args:
        orbits: N orbits of any eccentricity; a hyperbola is searched as far out as the reference's reach asks.
        reference: one orbit, or N; bound (e < 1).
        certify: also prove each; takes far longer than finding it.

    Raises:
        ColumnShapeError: `reference` has neither one row nor N.
        InvalidOrbitError: a reference orbit is not bound.
    """
    if len(reference) not in {1, len(orbits)}:
        raise ColumnShapeError(f"{len(reference)} reference orbits for {len(orbits)} orbits: give 1 or as many")
    rows = np.zeros(len(orbits), np.intp) if len(reference) == 1 else np.arange(len(orbits), dtype=np.intp)
    return _moid_by_row(orbits, reference, rows, certify=certify)


def earth_moid(orbits: Orbits) -> MoidResult:
    """The MOID of each orbit with Earth's osculating orbit at the orbit's own epoch.

    Raises:
        EpochOutOfRangeError: an epoch lies outside `earth_orbit.SPAN_TDB_JD`.
    """
    epochs, rows = np.unique(orbits.epoch_tdb_jd, return_inverse=True)
    return _moid_by_row(orbits, earth_orbits(epochs), rows, certify=False)


def earth_moid_au(orbits: Orbits) -> Floats:
    """The Earth MOID in au, shape (N,); NaN where the epoch is outside `earth_orbit.SPAN_TDB_JD`."""
    inside = covered(orbits.epoch_tdb_jd)
    distance_au = np.full(len(orbits), np.nan)
    distance_au[inside] = earth_moid(orbits[inside]).distance_au
    return distance_au


def moid_au(shapes: Floats, reference: Floats) -> Floats:
    """The MOID of each orbit with one reference orbit, and nothing else, for few orbits at a time.

    Args:
        shapes: (N, 5 or more) q (au), e, inclination, node, argument of perihelion (deg); checked, as `Orbits` does.
        reference: (5,) the same; bound (e < 1).

    Returns:
        (N,), equal to what `moid` says of the same orbits.
    """
    out = np.empty(len(shapes))
    _moid.distances(shapes, reference, _POINTS_PER_REVOLUTION, out)
    return out


def _moid_by_row(orbits: Orbits, reference: Orbits, rows: NDArray[np.intp], *, certify: bool) -> MoidResult:
    unbound = np.flatnonzero(reference.eccentricity >= 1.0)
    if unbound.size:
        requirement = "must be below 1 on a reference orbit"
        raise InvalidOrbitError(tuple(Violation("eccentricity", int(row), requirement) for row in unbound))
    out = np.empty((len(orbits), 6))
    tolerance_au = CERTIFIED_TO_AU if certify else 0.0
    _moid.minimum_distances(_shapes(orbits), _shapes(reference), rows, _POINTS_PER_REVOLUTION, tolerance_au, out)
    return MoidResult(
        distance_au=out[:, 0].copy(),
        true_anomaly_deg=np.degrees(out[:, 1]),
        reference_true_anomaly_deg=np.degrees(out[:, 2]),
        error_au=out[:, 3].copy(),
        converged=out[:, 4] == 1.0,
        certified=out[:, 5] == 1.0,
    )


def _shapes(orbits: Orbits) -> Floats:
    """The rows that the compiled core reads."""
    return np.stack(
        (
            orbits.perihelion_distance_au,
            orbits.eccentricity,
            orbits.inclination_deg,
            orbits.longitude_of_ascending_node_deg,
            orbits.argument_of_perihelion_deg,
        ),
        axis=1,
    )

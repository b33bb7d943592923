# SPDX-License-Identifier: GPL-3.0-or-later
"""From the contract's columns of orbits to the numbers that the science and the models work on; see `orbits`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.neo.elements import Orbits
from gateway.serving.bounds import PERIHELION_DISTANCE_AU
from gateway.serving.validation import Violations
from orrery.inference import v1

Floats = NDArray[np.float64]

_NEAREST_AU, _FARTHEST_AU = PERIHELION_DISTANCE_AU.low, PERIHELION_DISTANCE_AU.high


class _Columns(NamedTuple):
    """(N,) each; the epoch may be one for all."""

    perihelion_distance_au: Floats
    eccentricity: Floats
    inclination_deg: Floats
    longitude_of_ascending_node_deg: Floats
    argument_of_perihelion_deg: Floats
    epoch_tdb_jd: Floats


def read_columns(columns: v1.OrbitColumns, violations: Violations) -> Orbits:
    """The orbits of a message of columns.

    Args:
        columns: a checked message at the path "orbits".
        violations: where broken rules are noted.

    Returns:
        N orbits.

    Raises:
        InvalidRequest: a rule was broken, here or before.
    """
    found = _read(columns, violations, of_models=False)
    epoch = np.broadcast_to(found.epoch_tdb_jd, found.eccentricity.shape)
    # The time of a perihelion is not asked for: the shape of an orbit does not depend on it.
    return Orbits(**found._replace(epoch_tdb_jd=epoch)._asdict(), perihelion_time_tdb_jd=epoch)


def read_model_columns(columns: v1.OrbitColumns, violations: Violations) -> Floats:
    """What is asked of the models: orbits with H; see `read_columns`.

    Without `Orbits`, whose making costs 60 us, which is most of a small message.

    Returns:
        (N, 7) rows as those of `orbits.read_model_rows`.
    """
    *shape, epoch = _read(columns, violations, of_models=True)
    rows = np.empty((len(shape[0]), 7))
    magnitudes = np.array(columns.absolute_magnitude_h, dtype=np.float64)
    for place, column in enumerate((*shape, magnitudes, epoch)):
        rows[:, place] = column
    return rows


def _read(columns: v1.OrbitColumns, violations: Violations, *, of_models: bool) -> _Columns:
    e = np.array(columns.eccentricity, dtype=np.float64)
    q = np.array(columns.perihelion_distance_au, dtype=np.float64)
    _check_lengths(columns, len(e), violations, magnitudes=of_models)
    a = np.array(columns.semi_major_axis_au, dtype=np.float64)
    if len(a) == len(e) and not len(q):
        with np.errstate(over="ignore", invalid="ignore"):
            q = a * (1.0 - e)
        ellipse = (a > 0.0) & (e >= 0.0) & (e < 1.0)
        outside = ellipse & ~PERIHELION_DISTANCE_AU.holds(q)
        what = f"makes a perihelion distance outside [{_NEAREST_AU:g}, {_FARTHEST_AU:g}] au"
        unbound = "must be less than 1 with semi_major_axis_au: give perihelion_distance_au"
        violations.add_rows("orbits.eccentricity", e >= 1.0, lambda _: unbound)
        violations.add_rows("orbits.eccentricity", outside, lambda _: what)
    violations.raise_if_any()
    return _Columns(
        q,
        e,
        np.array(columns.inclination_deg, dtype=np.float64),
        np.array(columns.longitude_of_ascending_node_deg, dtype=np.float64),
        np.array(columns.argument_of_perihelion_deg, dtype=np.float64),
        np.array(columns.epoch_tdb_jd, dtype=np.float64),
    )


def _check_lengths(columns: v1.OrbitColumns, count: int, violations: Violations, *, magnitudes: bool) -> None:
    """Every column there and as long as that of the eccentricities."""
    if not count:
        violations.add("orbits.eccentricity", "is required: one value for each object")
        return
    required = [
        "inclination_deg",
        "longitude_of_ascending_node_deg",
        "argument_of_perihelion_deg",
        "semi_major_axis_au" if len(columns.semi_major_axis_au) else "perihelion_distance_au",
    ]
    if len(columns.semi_major_axis_au) and len(columns.perihelion_distance_au):
        violations.add("orbits.perihelion_distance_au", "must be left out with semi_major_axis_au")
    if magnitudes or len(columns.absolute_magnitude_h):
        required.append("absolute_magnitude_h")
    for name in required:
        values = len(getattr(columns, name))
        if not values:
            other = ", or semi_major_axis_au" if name == "perihelion_distance_au" else ""
            violations.add(f"orbits.{name}", f"is required{other}")
        elif values != count:
            violations.add(f"orbits.{name}", f"must hold {count:,} values, as eccentricity does, not {values:,}")
    if len(columns.epoch_tdb_jd) not in {1, count}:
        violations.add("orbits.epoch_tdb_jd", f"must hold 1 value, or {count:,} as eccentricity does")

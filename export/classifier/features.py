# SPDX-License-Identifier: GPL-3.0-or-later
"""The twelve numbers the network sees, computed inside its graph from raw elements, in float64.

Squashing keeps resolution where the definitions cut: the hyperbolic sine's inverse is linear near the cut and
logarithmic far away. All are finite for every eccentricity, parabolas and hyperbolas included.
"""

from typing import Final, NamedTuple

import numpy as np

from export.quiet_tensorflow import tf
from gateway.neo.hazard import PHA_MAX_ABSOLUTE_MAGNITUDE_H, PHA_MAX_EARTH_MOID_AU
from gateway.neo.orbit_class import APOLLO_MAX_PERIHELION_AU, ATIRA_MAX_APHELION_AU

FEATURE_NAMES: Final = (
    "inverse_semi_major_axis",
    "eccentricity",
    "perihelion_distance",
    "inverse_aphelion_distance",
    "inclination_log_sine",
    "inclination_cosine",
    "ascending_node_gap",
    "descending_node_gap",
    "ascending_node_line_distance",
    "descending_node_line_distance",
    "perihelion_gap",
    "absolute_magnitude",
)

# Earth's mean orbit, J2000: Simon et al. 1994, A&A 282:663, table 5.8.3 (degrees, au).
EARTH_ECCENTRICITY: Final = 0.0167086
EARTH_PERIHELION_LONGITUDE_DEG: Final = 102.93735
EARTH_SEMILATUS_RECTUM_AU: Final = 1.0000010 * (1.0 - EARTH_ECCENTRICITY**2)

_CLASS_WIDTH_AU: Final = 0.02
_AXIS_WIDTH: Final = 0.05
_MAGNITUDE_WIDTH: Final = 0.1
_FAR_AU: Final = 1e3
_SOFT_FLOOR_AU: Final = 0.005
_SINE_FLOOR: Final = 0.01
_SMALLEST: Final = 1e-12


class _Crossing(NamedTuple):
    """One passage through the ecliptic: gap to Earth's orbit along the node line, distance of the tangent lines."""

    gap_au: tf.Tensor
    line_distance_au: tf.Tensor


def _earth_radius_au(longitude: tf.Tensor) -> tf.Tensor:
    anomaly = longitude - np.radians(EARTH_PERIHELION_LONGITUDE_DEG)
    return EARTH_SEMILATUS_RECTUM_AU / (1.0 + EARTH_ECCENTRICITY * tf.cos(anomaly))


def _crossing(
    semilatus_au: tf.Tensor,
    e: tf.Tensor,
    inclination: tf.Tensor,
    true_anomaly: tf.Tensor,
    longitude: tf.Tensor,
) -> _Crossing:
    """Where the orbit crosses the ecliptic at a longitude; both orbits are replaced by their tangents there.

    In the frame (node line, ahead in the ecliptic, north) the tangents are u and t, and lines apart by (gap, 0, 0)
    pass each other at |gap (u x t)_1| / |u x t|.
    """
    earth_anomaly = longitude - np.radians(EARTH_PERIHELION_LONGITUDE_DEG)
    opening = 1.0 + e * tf.cos(true_anomaly)
    radius_au = tf.minimum(semilatus_au / tf.maximum(opening, _SMALLEST), _FAR_AU)
    gap_au = radius_au - _earth_radius_au(longitude)
    u_out, u_ahead, u_north = (
        e * tf.sin(true_anomaly),
        opening * tf.cos(inclination),
        opening * tf.sin(inclination),
    )
    t_out, t_ahead = EARTH_ECCENTRICITY * tf.sin(earth_anomaly), 1.0 + EARTH_ECCENTRICITY * tf.cos(earth_anomaly)
    normal_out, normal_ahead = u_north * t_ahead, u_north * t_out
    normal_north = u_out * t_ahead - u_ahead * t_out
    length = tf.sqrt(normal_out**2 + normal_ahead**2 + normal_north**2)
    return _Crossing(gap_au, tf.abs(gap_au * normal_out) / tf.maximum(length, _SMALLEST))


def network_features(orbits: tf.Tensor) -> tf.Tensor:
    """The features of raw orbits.

    Args:
        orbits: float64, shape (N, 6), the columns of `export.data.cleaning.MODEL_COLUMNS`.

    Returns:
        float32, shape (N, 12), not yet standardised, in the order of `FEATURE_NAMES`.
    """
    q, e, inclination_deg, node_deg, argument_deg, magnitude_h = tf.unstack(orbits, axis=1)
    inclination, node, argument = (angle * (np.pi / 180.0) for angle in (inclination_deg, node_deg, argument_deg))
    semilatus_au = q * (1.0 + e)
    ascending = _crossing(semilatus_au, e, inclination, -argument, node)
    descending = _crossing(semilatus_au, e, inclination, np.pi - argument, node + np.pi)
    perihelion_longitude = node + tf.atan2(tf.sin(argument) * tf.cos(inclination), tf.cos(argument))
    moid_scale_au = PHA_MAX_EARTH_MOID_AU
    columns = (
        tf.asinh(((1.0 - e) / q - 1.0) / _AXIS_WIDTH),
        e,
        tf.asinh((q - APOLLO_MAX_PERIHELION_AU) / _CLASS_WIDTH_AU),
        tf.asinh(((1.0 - e) / semilatus_au - 1.0 / ATIRA_MAX_APHELION_AU) / _CLASS_WIDTH_AU),
        tf.math.log(tf.sin(inclination) + _SINE_FLOOR),
        tf.cos(inclination),
        tf.asinh(ascending.gap_au / moid_scale_au),
        tf.asinh(descending.gap_au / moid_scale_au),
        tf.math.log((ascending.line_distance_au + _SOFT_FLOOR_AU) / moid_scale_au),
        tf.math.log((descending.line_distance_au + _SOFT_FLOOR_AU) / moid_scale_au),
        tf.asinh((q - _earth_radius_au(perihelion_longitude)) / moid_scale_au),
        tf.asinh((magnitude_h - PHA_MAX_ABSOLUTE_MAGNITUDE_H) / _MAGNITUDE_WIDTH),
    )
    return tf.cast(tf.stack(columns, axis=1), tf.float32)

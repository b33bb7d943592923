# SPDX-License-Identifier: GPL-3.0-or-later
"""The network's features against geometry done another way."""

import numpy as np
import pytest

from export.classifier.features import (
    EARTH_ECCENTRICITY,
    EARTH_PERIHELION_LONGITUDE_DEG,
    EARTH_SEMILATUS_RECTUM_AU,
    FEATURE_NAMES,
    network_features,
)
from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import as_orbits, flat_orbits
from export.quiet_tensorflow import tf
from gateway.neo.elements import positions_at_true_anomaly_au

INDEX = {name: number for number, name in enumerate(FEATURE_NAMES)}


def features(columns: np.ndarray) -> np.ndarray:
    return network_features(tf.constant(columns, tf.float64)).numpy()


def test_gap_at_the_nodes_is_the_gap_in_space() -> None:
    objects = flat_orbits(300, 1)
    columns = objects[list(MODEL_COLUMNS)].to_numpy()
    found = features(columns)
    for name, turn_deg in (("ascending", 0.0), ("descending", 180.0)):
        anomaly_deg = turn_deg - objects["argument_of_perihelion_deg"].to_numpy()
        position_au = positions_at_true_anomaly_au(as_orbits(objects), anomaly_deg)
        assert np.abs(position_au[:, 2]).max() < 1e-12
        longitude = np.arctan2(position_au[:, 1], position_au[:, 0])
        earth_au = EARTH_SEMILATUS_RECTUM_AU / (
            1 + EARTH_ECCENTRICITY * np.cos(longitude - np.radians(EARTH_PERIHELION_LONGITUDE_DEG))
        )
        gap_au = np.hypot(position_au[:, 0], position_au[:, 1]) - earth_au
        assert np.sinh(found[:, INDEX[f"{name}_node_gap"]]) * 0.05 == pytest.approx(gap_au, rel=1e-4, abs=1e-6)


def test_tangent_lines_tell_the_moid_of_a_steep_crossing() -> None:
    """Near a steep node the MOID is the distance of the tangents; our own MOID knows nothing of them."""
    from gateway.neo.moid import moid
    from gateway.neo.orbits import Orbits

    random = np.random.default_rng(2)
    count = 200
    e, argument = random.uniform(0.2, 0.6, count), random.uniform(20.0, 160.0, count)
    gap_au = random.uniform(0.002, 0.01, count)
    node = random.uniform(0.0, 360.0, count)
    earth_au = EARTH_SEMILATUS_RECTUM_AU / (
        1 + EARTH_ECCENTRICITY * np.cos(np.radians(node - EARTH_PERIHELION_LONGITUDE_DEG))
    )
    q = (earth_au + gap_au) * (1 + e * np.cos(np.radians(argument))) / (1 + e)
    inclination = random.uniform(20.0, 60.0, count)
    zero = np.zeros(count)
    orbits = Orbits(q, e, inclination, node, argument, zero, zero)
    earth = Orbits(
        *(np.array([value]) for value in (
            EARTH_SEMILATUS_RECTUM_AU / (1 + EARTH_ECCENTRICITY), EARTH_ECCENTRICITY, 0.0, 0.0,
            EARTH_PERIHELION_LONGITUDE_DEG, 0.0, 0.0,
        ))
    )  # fmt: skip
    found = features(np.stack([q, e, inclination, node, argument, zero + 20.0], axis=1))
    line_au = np.exp(found[:, INDEX["ascending_node_line_distance"]]) * 0.05 - 0.005
    true_au = moid(orbits, earth).distance_au
    near = np.abs(true_au - line_au) < 0.05 * line_au + 1e-5
    # The other node of some is nearer still.
    assert (true_au <= line_au * 1.05 + 1e-5).all()
    assert near.mean() > 0.9


@pytest.mark.parametrize(
    "row",
    [
        (1.0, 0.0, 0.0, 0.0, 0.0, 22.0),
        (1e-3, 0.999999, 180.0, 360.0, 360.0, -5.0),
        (0.5, 1.0, 90.0, 10.0, 180.0, 20.0),
        (0.25, 1.2, 122.7, 24.6, 241.8, 22.1),
        (2.0, 3.36, 44.05, 308.1, 209.1, 15.0),
        (1e5, 1e6, 0.0, 0.0, 0.0, 40.0),
    ],
)
def test_finite_for_every_orbit(row: tuple[float, ...]) -> None:
    assert np.isfinite(features(np.array([row]))).all()


def test_no_rows() -> None:
    assert features(np.empty((0, 6))).shape == (0, 12)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network is taught on the boundaries of the definitions: what the exact rule says there."""

import numpy as np
import pandas as pd
import pytest

from export.classifier.features import FEATURE_NAMES, network_features
from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import CLASSES, as_orbits, flat_orbits, label
from export.quiet_tensorflow import tf
from gateway.neo.moid import earth_moid_au
from gateway.neo.orbit_class import OrbitClass, classify


def orbits(q: list[float], e: list[float], magnitude_h: float = 20.0) -> pd.DataFrame:
    return flat_orbits(len(q), 1).assign(
        perihelion_distance_au=q,
        eccentricity=e,
        inclination_deg=5.0,
        longitude_of_ascending_node_deg=80.0,
        argument_of_perihelion_deg=0.0,
        absolute_magnitude_h=magnitude_h,
    )


@pytest.mark.parametrize(
    ("name", "q", "e", "expected"),
    [
        ("q just below 1.017", np.nextafter(1.017, 0.0), 0.3, OrbitClass.APOLLO),
        ("q = 1.017", 1.017, 0.3, OrbitClass.AMOR),
        ("Q just below 0.983", np.nextafter(0.983, 0.0), 0.0, OrbitClass.ATIRA),
        ("Q = 0.983", 0.983, 0.0, OrbitClass.ATEN),
        ("a just below 1", np.nextafter(0.5, 0.0), 0.5, OrbitClass.ATEN),
        ("a = 1", 0.5, 0.5, OrbitClass.APOLLO),
    ],
)
def test_class_labels_follow_the_rule_on_its_boundaries(name: str, q: float, e: float, expected: OrbitClass) -> None:
    taught = label(orbits([q], [e]), real=False)
    assert CLASSES[taught.orbit_class[0]] == expected == classify(q, e)


def test_q_of_1_3_is_no_near_earth_object_and_is_not_taught() -> None:
    assert len(label(orbits([1.3, np.nextafter(1.3, 0.0)], [0.3, 0.3]), real=False)) == 1


def test_h_of_22_is_hazardous_and_the_next_number_is_not() -> None:
    near = [0.99]
    assert label(orbits(near, [0.3], 22.0), real=False).hazardous.tolist() == [True]
    assert label(orbits(near, [0.3], float(np.nextafter(22.0, 23.0))), real=False).hazardous.tolist() == [False]


def test_the_label_turns_where_the_moid_passes_a_twentieth() -> None:
    """Halved down to two neighbouring perihelion distances, one on each side of 0.05 au."""

    def moid_au(q: float) -> float:
        return float(earth_moid_au(as_orbits(orbits([q], [0.3])))[0])

    near, far = 1.02, 1.2
    assert moid_au(near) <= 0.05 < moid_au(far)
    while np.nextafter(near, far) < far:
        middle = (near + far) / 2.0
        near, far = (middle, far) if moid_au(middle) <= 0.05 else (near, middle)
    assert moid_au(near) == pytest.approx(0.05, abs=1e-14)
    assert label(orbits([near, far], [0.3, 0.3]), real=False).hazardous.tolist() == [True, False]


def test_features_vanish_on_the_cuts_and_pass_through_them() -> None:
    """The network sees a cut as a change of sign, so that it can be sharp there."""
    cuts = {
        "perihelion_distance": (lambda x: (1.017 + x, 0.3)),
        "inverse_aphelion_distance": (lambda x: ((0.983 + x) / 1.5, 0.2)),
        "inverse_semi_major_axis": (lambda x: (0.5 - x, 0.5)),
    }
    for name, shape in cuts.items():
        points = [shape(x) for x in (-1e-3, 0.0, 1e-3)]
        table = orbits([q for q, _ in points], [e for _, e in points])
        below, at, above = network_features(tf.constant(table[list(MODEL_COLUMNS)].to_numpy())).numpy()[
            :, FEATURE_NAMES.index(name)
        ]
        assert at == pytest.approx(0.0, abs=1e-6), name
        assert below * above < 0.0, name

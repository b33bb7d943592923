# SPDX-License-Identifier: GPL-3.0-or-later
"""Every orbit is in exactly one class, on the boundaries too."""

import numpy as np
import pytest

from gateway.neo import InvalidOrbitError, OrbitClass, classify, why_other

BELOW_ONE_AU = np.nextafter(1.0, 0.0)


@pytest.mark.parametrize(
    ("perihelion_distance_au", "eccentricity", "expected"),
    [
        (0.4, 0.2, OrbitClass.ATIRA),  # a = 0.5, Q = 0.6
        (0.8, 0.1, OrbitClass.ATIRA),  # Q = 0.97778
        (0.983, 0.0, OrbitClass.ATEN),  # Q = 0.983 exactly: the boundary is Aten's
        (np.nextafter(0.983, 0.0), 0.0, OrbitClass.ATIRA),
        (0.7465760, 0.1910, OrbitClass.ATEN),  # 99942 Apophis
        (0.5, 0.5, OrbitClass.APOLLO),  # a = 1 exactly
        (np.nextafter(0.5, 0.0), 0.5, OrbitClass.ATEN),
        (1.0, 0.0, OrbitClass.APOLLO),
        (BELOW_ONE_AU, 0.0, OrbitClass.ATEN),
        (0.1867, 0.8269, OrbitClass.APOLLO),  # 1566 Icarus
        (np.nextafter(1.017, 0.0), 0.3, OrbitClass.APOLLO),
        (1.017, 0.3, OrbitClass.AMOR),  # the boundary is Amor's
        (1.133, 0.2229, OrbitClass.AMOR),  # 433 Eros
        (np.nextafter(1.3, 0.0), 0.3, OrbitClass.AMOR),
        (1.3, 0.3, OrbitClass.OTHER),
        (2.55, 0.079, OrbitClass.OTHER),  # 1 Ceres
        (0.5, 1.0, OrbitClass.OTHER),
        (0.2559, 1.2011, OrbitClass.OTHER),  # 1I/'Oumuamua
    ],
)
def test_classes_and_their_boundaries(perihelion_distance_au, eccentricity, expected):
    assert classify(perihelion_distance_au, eccentricity) == expected


def test_numbers_are_the_contracts():
    assert [(c.name, c.value) for c in OrbitClass] == [
        ("ATIRA", 1),
        ("ATEN", 2),
        ("APOLLO", 3),
        ("AMOR", 4),
        ("OTHER", 5),
    ]


def test_columns_keep_their_shape():
    classes = classify([0.4, 0.9, 1.1], 0.2)
    assert classes.dtype == np.int8
    assert classes.tolist() == [OrbitClass.ATIRA, OrbitClass.APOLLO, OrbitClass.AMOR]
    assert classify(np.empty(0), np.empty(0)).shape == (0,)


def test_why_other_says_which_rule():
    assert why_other(0.9, 0.2) == ""
    assert "1.3" in why_other(2.55, 0.079)
    assert "not bound" in why_other(0.2559, 1.2011)


@pytest.mark.parametrize(
    ("perihelion_distance_au", "eccentricity", "column"),
    [(0.0, 0.1, "perihelion_distance_au"), (np.nan, 0.1, "perihelion_distance_au"), (1.0, -0.1, "eccentricity")],
)
def test_refuses_what_is_no_orbit(perihelion_distance_au, eccentricity, column):
    with pytest.raises(InvalidOrbitError) as refused:
        classify(perihelion_distance_au, eccentricity)
    assert [v.column for v in refused.value.violations] == [column]

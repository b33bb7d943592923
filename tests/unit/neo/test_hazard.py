# SPDX-License-Identifier: GPL-3.0-or-later
"""The PHA rule on its own boundary."""

import numpy as np
import pytest

from gateway.neo import potentially_hazardous


@pytest.mark.parametrize(
    ("earth_moid_au", "absolute_magnitude_h", "expected"),
    [
        (0.05, 22.0, True),
        (np.nextafter(0.05, 1.0), 22.0, False),
        (0.05, np.nextafter(22.0, 23.0), False),
        (0.0, -1.1, True),
        (np.nan, 18.0, False),
        (0.01, np.nan, False),
    ],
)
def test_boundary_is_included_and_unknown_is_not_hazardous(earth_moid_au, absolute_magnitude_h, expected):
    assert potentially_hazardous(earth_moid_au, absolute_magnitude_h) == expected


def test_columns():
    assert potentially_hazardous([0.01, 0.06], [20.0, 20.0]).tolist() == [True, False]

# SPDX-License-Identifier: GPL-3.0-or-later
"""All PHAs of October 2025, elements published to four digits: as near to JPL's MOID as those digits allow."""

import numpy as np
import pandas as pd
import pytest

from gateway.neo.earth_orbit import earth_orbits
from gateway.neo.elements import Orbits
from gateway.neo.moid import moid

ELEMENTS = ["a", "e", "i", "om", "w", "ma", "epoch"]


@pytest.fixture(scope="module")
def table(real_data):
    return pd.read_csv(real_data.file("jpl_sbdb_pha_202510.csv.gz"), dtype=str)


def half_a_digit(column):
    """Half of the last digit printed, value by value."""
    decimals = column.str.strip().str.partition(".")[2].str.len()
    return 0.5 * 10.0 ** -decimals.to_numpy(float)


def test_rounded_elements_give_the_moid_their_digits_allow(table, real_data):
    a, e, i, node, argument, mean, epoch = (table[name].astype(float).to_numpy() for name in ELEMENTS)
    da, de, di, dnode, dargument = (half_a_digit(table[name]) for name in ELEMENTS[:5])
    orbits = Orbits.from_mean_anomaly(
        semi_major_axis_au=a,
        eccentricity=e,
        inclination_deg=i,
        longitude_of_ascending_node_deg=node,
        argument_of_perihelion_deg=argument,
        mean_anomaly_deg=mean,
        epoch_tdb_jd=epoch,
    )
    found = moid(orbits, earth_orbits(epoch), certify=True)
    # How far rounding of each may shift the orbit near Earth's, at 1.1 au from the Sun at most.
    angles = (1.1 * np.radians(half_digit) for half_digit in (di, dnode, dargument))
    shifts_au = np.stack((half_a_digit(table["moid"]), (1 + e) * da, 2 * a * de, *angles))
    off_au = np.abs(found.distance_au - table["moid"].astype(float).to_numpy())
    assert len(table) == real_data.expected(sample=134, full=2_463)
    assert found.certified.all()
    assert np.all(off_au <= shifts_au.sum(axis=0))
    # What is lost in rounding is spread evenly and adds up by squares: 95 in 100 are within two sigma.
    sigma_au = np.sqrt((shifts_au**2).sum(axis=0) / 3.0)
    assert np.mean(off_au <= 2.0 * sigma_au) > 0.95
    assert np.median(off_au) < np.median(0.68 * sigma_au)

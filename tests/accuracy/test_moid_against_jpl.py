# SPDX-License-Identifier: GPL-3.0-or-later
"""MOID, orbit class and PHA flag against JPL's Small-Body Database, at JPL's own rounding."""

import numpy as np
import pandas as pd
import pytest

from gateway.neo import OrbitClass, Orbits, classify, earth_moid_au, potentially_hazardous

FILES = ("jpl_sbdb_udacity2020.csv.gz", "jpl_sbdb_numbered971_2020.csv.gz")
ELEMENT_COLUMNS = ["q", "e", "i", "om", "w", "tp", "epoch"]
CLASSES = {"IEO": OrbitClass.ATIRA, "ATE": OrbitClass.ATEN, "APO": OrbitClass.APOLLO, "AMO": OrbitClass.AMOR}


@pytest.fixture(scope="module", params=FILES)
def table(request, real_data):
    rows = pd.read_csv(real_data.file(request.param), low_memory=False)
    return rows.dropna(subset=[*ELEMENT_COLUMNS, "moid"]).reset_index(drop=True)


@pytest.fixture(scope="module")
def orbits(table):
    return Orbits(*(table[column].to_numpy(float) for column in ELEMENT_COLUMNS))


@pytest.fixture(scope="module")
def count(real_data):
    """No fewer rows than this are compared."""
    return real_data.expected(sample=90, full=900)


def test_every_moid_is_jpls_to_its_six_digits(table, orbits, count, cases):
    limit_au = cases["moid-bulk-jpl"]["expect"]["max_abs_diff_au"]
    assert len(table) > count
    assert np.abs(earth_moid_au(orbits) - table["moid"].to_numpy(float)).max() < limit_au


def test_semi_major_axis_and_mean_anomaly_lead_to_the_same_moid(table, count):
    bound = table[(table["e"] < 1.0) & table["ma"].notna()]
    orbits = Orbits.from_mean_anomaly(
        semi_major_axis_au=bound["a"],
        eccentricity=bound["e"],
        inclination_deg=bound["i"],
        longitude_of_ascending_node_deg=bound["om"],
        argument_of_perihelion_deg=bound["w"],
        mean_anomaly_deg=bound["ma"],
        epoch_tdb_jd=bound["epoch"],
    )
    assert len(orbits) > count
    assert np.abs(earth_moid_au(orbits) - bound["moid"].to_numpy(float)).max() < 1e-6
    # The tables print tp to eleven or more digits and ma to as many: 1e-4 d is a few units of the coarser.
    turns = (orbits.perihelion_time_tdb_jd - bound["tp"].to_numpy(float)) / bound["per"].to_numpy(float)
    assert (np.abs(turns - np.round(turns)) * bound["per"].to_numpy(float)).max() < 1e-4


def test_classes_are_jpls(table, orbits, count):
    known = table["class"].isin(list(CLASSES)).to_numpy()
    assert known.sum() > count
    expected = table["class"][known].map(CLASSES).to_numpy(np.int8)
    ours = classify(orbits.perihelion_distance_au, orbits.eccentricity)
    assert (ours[known] == expected).all()


def test_pha_flags_are_jpls(table, orbits, count):
    flagged = table["pha"].isin(["Y", "N"]).to_numpy() & table["H"].notna().to_numpy()
    magnitude_h = table["H"].to_numpy(float)
    ours = potentially_hazardous(earth_moid_au(orbits), magnitude_h)
    differs = flagged & (ours != (table["pha"] == "Y").to_numpy())
    assert flagged.sum() > count
    # H is printed to a tenth and JPL's flag is set from its own digits: a difference has H at the edge.
    assert (np.abs(magnitude_h[differs] - 22.0) <= 0.25).all()
    # All of them are in the sample too.
    assert differs.sum() <= 10

# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of orbits: what it accepts, derives and refuses."""

import numpy as np
import pytest

from gateway.neo import ColumnShapeError, InvalidOrbitError, Orbits

EPOCH_TDB_JD = 2461000.5
APOPHIS = {
    "semi_major_axis_au": 0.9223803199446107,
    "eccentricity": 0.1911663344303949,
    "inclination_deg": 3.3409585628721,
    "longitude_of_ascending_node_deg": 203.8996389609976,
    "argument_of_perihelion_deg": 126.6728440132719,
    "mean_anomaly_deg": 312.80546650423054,
    "epoch_tdb_jd": EPOCH_TDB_JD,
}


def one_orbit(**changes):
    columns = {
        "perihelion_distance_au": 0.9,
        "eccentricity": 0.2,
        "inclination_deg": 5.0,
        "longitude_of_ascending_node_deg": 100.0,
        "argument_of_perihelion_deg": 200.0,
        "perihelion_time_tdb_jd": EPOCH_TDB_JD - 30.0,
        "epoch_tdb_jd": EPOCH_TDB_JD,
    }
    return Orbits(**(columns | changes))


def test_mean_anomaly_gives_the_nearest_perihelion():
    orbits = Orbits.from_mean_anomaly(**APOPHIS)
    # Period 323.56 d; 312.8 deg means that the next perihelion is 47.19 deg away.
    assert orbits.perihelion_time_tdb_jd[0] - EPOCH_TDB_JD == pytest.approx(
        47.19453349576946 / 360.0 * 323.5639, abs=1e-3
    )
    assert orbits.mean_anomaly_deg[0] % 360.0 == pytest.approx(APOPHIS["mean_anomaly_deg"], abs=1e-8)
    assert orbits.semi_major_axis_au[0] == pytest.approx(APOPHIS["semi_major_axis_au"], rel=1e-15)
    assert orbits.aphelion_distance_au[0] == pytest.approx(0.9223803199446107 * 1.1911663344303949, rel=1e-15)


def test_hyperbola_from_its_negative_semi_major_axis():
    orbits = Orbits.from_mean_anomaly(
        **(APOPHIS | {"semi_major_axis_au": -1.2723, "eccentricity": 1.2011, "mean_anomaly_deg": 400.0})
    )
    assert orbits.perihelion_distance_au[0] == pytest.approx(0.25585953, rel=1e-9)
    assert orbits.mean_anomaly_deg[0] == pytest.approx(400.0, abs=1e-8)
    assert orbits.perihelion_time_tdb_jd[0] < EPOCH_TDB_JD
    assert np.isinf(orbits.aphelion_distance_au[0])


def test_parabola_has_neither_semi_major_axis_nor_mean_anomaly():
    orbits = one_orbit(eccentricity=1.0)
    assert np.isinf(orbits.semi_major_axis_au[0])
    assert np.isnan(orbits.mean_anomaly_deg[0])


@pytest.mark.parametrize(
    ("semi_major_axis_au", "eccentricity"),
    [(1.0, 1.2), (-1.0, 0.2), (1.0, 1.0), (0.0, 0.5), (np.nan, 0.5), (np.inf, 0.5)],
)
def test_refuses_a_sign_that_contradicts_the_eccentricity(semi_major_axis_au, eccentricity):
    with pytest.raises(InvalidOrbitError) as refused:
        Orbits.from_mean_anomaly(**(APOPHIS | {"semi_major_axis_au": semi_major_axis_au, "eccentricity": eccentricity}))
    assert [v.column for v in refused.value.violations] == ["semi_major_axis_au"]


def test_names_every_violated_column_and_row():
    with pytest.raises(InvalidOrbitError) as refused:
        Orbits(
            perihelion_distance_au=[1.0, -1.0, 1.0],
            eccentricity=[0.1, np.nan, -0.1],
            inclination_deg=[1.0, 1.0, 181.0],
            longitude_of_ascending_node_deg=[np.inf, 1.0, 1.0],
            argument_of_perihelion_deg=[1.0, 1.0, 1e308],
            perihelion_time_tdb_jd=[2.4e6, 2.4e6, 1e13],
            epoch_tdb_jd=[2.4e6, 1e9, 2.4e6],
        )
    assert [(v.column, v.row) for v in refused.value.violations] == [
        ("perihelion_distance_au", 1),
        ("eccentricity", 1),
        ("eccentricity", 2),
        ("inclination_deg", 2),
        ("longitude_of_ascending_node_deg", 0),
        ("argument_of_perihelion_deg", 2),
        ("perihelion_time_tdb_jd", 2),
        ("epoch_tdb_jd", 1),
    ]
    assert str(refused.value) == "perihelion_distance_au[1] must be in [1e-06, 100000] and 7 more"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1e308])
@pytest.mark.parametrize("column", Orbits.__slots__)
def test_no_column_takes_what_is_not_a_number_of_its_kind(column, bad):
    with pytest.raises(InvalidOrbitError) as refused:
        one_orbit(**{column: bad})
    assert [v.column for v in refused.value.violations] == [column]


def test_refuses_columns_of_different_length():
    with pytest.raises(ColumnShapeError):
        one_orbit(eccentricity=[0.1, 0.2])
    with pytest.raises(ColumnShapeError):
        Orbits(*([[[1.0]]] * 7))
    with pytest.raises(ColumnShapeError):
        Orbits.from_mean_anomaly(**(APOPHIS | {"eccentricity": [0.1, 0.2], "inclination_deg": [1.0, 2.0, 3.0]}))


def test_rows_are_taken_and_joined():
    both = Orbits.concatenate([one_orbit(), one_orbit(eccentricity=1.5)])
    assert len(both) == 2
    assert both[np.array([False, True])].eccentricity.tolist() == [1.5]
    assert both[1:].eccentricity.tolist() == [1.5]
    assert len(both[np.zeros(2, bool)]) == 0

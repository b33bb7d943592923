# SPDX-License-Identifier: GPL-3.0-or-later
"""Impact probabilities against what was published, what happened, and truths by construction."""

import dataclasses

import numpy as np
import pytest

from gateway.neo.units import DAY_S, J2000_TDB_JD, MJD_ORIGIN_JD
from gateway.simulation.bodies import Body
from gateway.simulation.impact.decode import read_question
from gateway.simulation.impact.first_look import first_look
from gateway.simulation.impact.question import Method
from gateway.simulation.impact.target_maps import ellipse, fitted
from orrery.inference import v1
from tests.unit.simulation.made import START_D
from tests.virtual_impactors import answer, question, truth

TDB_MINUS_UTC_2024_S = 69.184


def asked(case, days, **changes):
    """A case as a question, by the way of a request."""
    given = case["input"]
    labels = ["semi_major_axis_au", "eccentricity", "inclination_deg", "longitude_of_ascending_node_deg"]
    labels += ["argument_of_perihelion_deg", "mean_anomaly_deg"]
    rows = [list(row) for row in given["covariance"]]
    if len(rows) == 7:
        # A2 in 1e-10 au/d2.
        labels.append("a2_au_d2")
        rows = [[value * 1e-10 ** ((i == 6) + (j == 6)) for j, value in enumerate(row)] for i, row in enumerate(rows)]
    epoch_tdb_jd = given["epoch_tdb_mjd"] + MJD_ORIGIN_JD
    item = v1.NearEarthObject(
        elements=v1.OrbitalElements(
            epoch_tdb_jd=epoch_tdb_jd,
            semi_major_axis_au=given["a_au"],
            eccentricity=given["e"],
            inclination_deg=given["i_deg"],
            longitude_of_ascending_node_deg=given["node_deg"],
            argument_of_perihelion_deg=given["peri_deg"],
            mean_anomaly_deg=given["M_deg"],
        ),
        uncertainty=v1.OrbitUncertainty(
            covariance=v1.Covariance(
                epoch_tdb_jd=epoch_tdb_jd, labels=labels, values=[value for row in rows for value in row]
            )
        ),
        non_gravitational=v1.NonGravitational(a2_au_d2=given.get("A2_au_d2", 0.0)),
    )
    window = v1.ImpactWindow(end_tdb_jd=epoch_tdb_jd + days)
    return read_question(v1.EstimateImpactRequest(object=item, window=window, seed=1, **changes), None)


def test_2024_yr4_and_the_moon_in_2032(cases):
    """3.6 to 4.6 %: JPL said 4.3 % in June 2025 and about 4 % later, from other solutions; 3.9 % seen.

    Without asteroids, as here, the Moon is passed 14 km nearer: 0.001 % of difference.
    """
    case = cases["2024YR4-moon-ip"]
    low, high = case["expect"]["ip_range"]
    linear = answer(asked(case, 2650.0))
    assert linear.method is Method.LINEAR
    assert low < linear.probability < high
    (moon,) = [row for row in linear.rows if row.body is Body.MOON]
    assert moon.probability == pytest.approx(linear.probability, rel=1e-9)
    assert abs(moon.time_d + J2000_TDB_JD - 2_463_589.14) < 0.02
    shape = ellipse(moon.target)
    assert shape.semi_major_km == pytest.approx(case["expect"]["sigma_long_km"], rel=0.01)
    assert 0.5 < shape.semi_minor_km < 1.0
    drawn = answer(asked(case, 2650.0, method=v1.IMPACT_METHOD_IMPORTANCE_SAMPLING, target_relative_precision=0.2))
    assert drawn.low < linear.probability < drawn.high
    assert drawn.hits > 50


def test_2024_bx1_hits_with_certainty_where_it_was_seen(cases):
    """100 km above 52.58 N 12.36 E at 00:32:38 UTC (Spurny et al. 2024, A&A 686, A67)."""
    case = cases["2024BX1-real-impact"]
    expected = case["expect"]
    found = answer(asked(case, 1.0))
    assert found.probability == pytest.approx(expected["ip"], abs=1e-9)
    assert found.low > 0.999_999
    (row,) = found.rows
    seen_tdb_jd = 2_460_330.5 + (32 * 60 + 38 + TDB_MINUS_UTC_2024_S) / DAY_S
    assert abs(row.entry.time_d + J2000_TDB_JD - seen_tdb_jd) * DAY_S < expected["tol_s"]
    assert abs(row.entry.latitude_deg - expected["lat_deg"]) < expected["tol_deg"]
    assert abs(row.entry.longitude_deg - expected["lon_deg"]) < expected["tol_deg"]
    assert abs(row.entry.speed_in_atmosphere_km_s - expected["speed_km_s"]) < expected["tol_v"]
    drawn = answer(asked(case, 1.0, method=v1.IMPACT_METHOD_MONTE_CARLO, samples=100))
    assert (drawn.hits, drawn.samples, drawn.low) == (100, 100, pytest.approx(0.97))


def test_apophis_does_not_hit_in_2029(cases):
    """With its Yarkovsky drift uncertain too: no hit, and a bound instead of a zero."""
    case = cases["apophis-2029-esa-from-2025"]
    found = answer(asked(case, 1300.0))
    assert found.method is Method.LINEAR
    assert found.probability < 1e-12
    assert 0.0 < found.high < 1e-9
    (earth,) = [row for row in found.rows if row.body is Body.EARTH]
    # 38,013 km from the centre; a few km of uncertainty.
    assert ellipse(earth.target).semi_major_km < 10.0
    drawn = answer(asked(case, 1300.0, method=v1.IMPACT_METHOD_MONTE_CARLO, samples=100))
    assert (drawn.probability, drawn.low, drawn.high) == (0.0, 0.0, pytest.approx(0.03))


@pytest.mark.parametrize(
    ("miss_km", "about"),
    [
        pytest.param(30_500.0, 1e-1, marks=pytest.mark.long),
        pytest.param(56_200.0, 1e-2, marks=pytest.mark.long),
        pytest.param(73_500.0, 1e-3, marks=pytest.mark.long),
        (87_400.0, 1e-4),
        pytest.param(99_300.0, 1e-5, marks=pytest.mark.long),
        pytest.param(110_000.0, 1e-6, marks=pytest.mark.long),
    ],
)
def test_synthetic_virtual_impactors(miss_km, about):
    """The truth is an integral in one dimension between two impacts found by bisection (`tests.virtual_impactors`)."""
    # Two days after the encounter: in ten its members are scattered too far for the linear answer to be vouched for.
    window_d = (START_D - 20.0, START_D + 2.0)
    made = question((miss_km, 0.0, 0.0), 20_000.0, days=20.0, bodies=(Body.EARTH,), target=0.15, window_d=window_d)
    look = first_look(made, lambda _: None, lambda: False)
    (row,) = look.rows
    middle = float(fitted(row.target, 1_000.0)[0])
    exact, (low, high) = truth(made, middle, 2.0 * row.target.capture_km / ellipse(row.target).semi_major_km)
    assert about / 3.0 < exact < about * 3.0
    assert low < middle < high
    assert not look.doubts
    # The check's own error, or a thousandth: what the two-body formula of the disc leaves out.
    assert row.low * 0.999 < exact < row.high * 1.001
    drawn = answer(dataclasses.replace(made, method=Method.IMPORTANCE_SAMPLING))
    # Four sigma: six cases are to hold at once, and again tomorrow.
    half = 2.0 * (drawn.high - drawn.low) / 2.0
    assert abs(drawn.probability - exact) < half
    assert half < 0.35 * exact
    if about >= 1e-2:
        # Some forty hits.
        samples = round(40.0 / about)
        plain = answer(dataclasses.replace(made, method=Method.MONTE_CARLO, samples=samples, target=1e-3))
        assert abs(plain.probability - exact) < plain.high - plain.low
        assert plain.low < row.high
        assert row.low < plain.high


@pytest.mark.long
def test_a_cloud_in_all_directions_has_the_same_truth():
    """Six uncertain directions, five of them by metres."""
    made = question((56_200.0, 0.0, 0.0), 20_000.0, days=20.0, bodies=(Body.EARTH,), full_rank=True, target=0.2)
    assert made.spread.shape == (6, 7)
    (row,) = first_look(made, lambda _: None, lambda: False).rows
    exact, _ = truth(
        made, float(fitted(row.target, 1_000.0)[0]), 2.0 * row.target.capture_km / ellipse(row.target).semi_major_km
    )
    assert row.low * 0.999 < exact < row.high * 1.001
    drawn = answer(dataclasses.replace(made, method=Method.IMPORTANCE_SAMPLING))
    assert abs(drawn.probability - exact) < drawn.high - drawn.low


@pytest.mark.long
def test_a_push_of_unknown_size_moves_each_clone_by_its_own():
    """A2 alone is uncertain: the linear map, from pushed neighbours, and plain draws agree."""
    made = question((20_000.0, 0.0, 0.0), 10.0, days=300.0, bodies=(Body.EARTH,))
    pushed = dataclasses.replace(
        made,
        labels=(*made.labels, "a2_au_d2"),
        spread=np.vstack((np.zeros((6, 1)), [[2e-9]])),
        method=Method.MONTE_CARLO,
        samples=400,
        target=1e-3,
    )
    (row,) = first_look(pushed, lambda _: None, lambda: False).rows
    assert ellipse(row.target).semi_major_km > 5_000.0
    drawn = answer(pushed)
    assert abs(drawn.probability - row.probability) < drawn.high - drawn.low

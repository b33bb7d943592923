# SPDX-License-Identifier: GPL-3.0-or-later
"""From requests to questions, and every way in which an uncertainty can be wrong."""

import math

import numpy as np
import pytest

from gateway.neo.units import J2000_TDB_JD
from gateway.serving.errors import InvalidRequest, OutsideEphemeris
from gateway.simulation.bodies import Body
from gateway.simulation.impact.decode import read_question
from gateway.simulation.impact.question import DEFAULT_BODIES, Method
from orrery.inference import v1
from tests.objects import eros

EPOCH_TDB_JD = 2_461_000.5
LABELS = (
    "semi_major_axis_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
    "mean_anomaly_deg",
)


def request(labels=LABELS, values=None, epoch_tdb_jd=None, days=365.0, **changes):
    """Eros with a covariance, for a year."""
    item = eros()
    covariance = item.uncertainty.covariance
    covariance.epoch_tdb_jd = item.elements.epoch_tdb_jd if epoch_tdb_jd is None else epoch_tdb_jd
    covariance.labels.extend(labels)
    covariance.values.extend(np.eye(len(labels)).ravel() * 1e-12 if values is None else values)
    window = v1.ImpactWindow(end_tdb_jd=item.elements.epoch_tdb_jd + days)
    return v1.EstimateImpactRequest(object=item, window=window, **changes)


def refused(asked):
    with pytest.raises(InvalidRequest) as caught:
        read_question(asked, None)
    return {violation.path: violation.description for violation in caught.value.violations}


def test_defaults_are_said():
    asked = request()
    question = read_question(asked, None)
    assert question.bodies == DEFAULT_BODIES
    assert question.method is None
    assert (question.samples, question.target, question.seed) == (10_000, 0.1, 0)
    assert question.window_d[0] == question.spread_d == question.state_d
    assert question.window_d[1] == asked.window.end_tdb_jd - J2000_TDB_JD
    assert question.spread.shape == (6, 6)
    assert question.impactor is not None
    assert not any("sigmas" in note for note in question.notes)


def test_what_is_given_is_taken():
    asked = request(
        bodies=[v1.BODY_MOON],
        method=v1.IMPACT_METHOD_MONTE_CARLO,
        samples=7,
        target_relative_precision=0.5,
        seed=2**64 - 1,
    )
    asked.window.start_tdb_jd = asked.window.end_tdb_jd - 1.0
    question = read_question(asked, None)
    assert question.bodies == (Body.MOON,)
    assert question.method is Method.MONTE_CARLO
    assert (question.samples, question.target, question.seed) == (7, 0.5, 2**64 - 1)
    assert question.window_d[0] == question.window_d[1] - 1.0


def test_without_an_uncertainty_there_is_no_probability():
    asked = request()
    asked.object.ClearField("uncertainty")
    assert refused(asked)["object.uncertainty.sigmas"] == "is required, or covariance"


def test_sigmas_alone_come_with_a_warning():
    asked = request()
    asked.object.uncertainty.sigmas.CopyFrom(
        v1.ElementSigmas(
            semi_major_axis_au=1e-9,
            eccentricity=1e-8,
            inclination_deg=1e-6,
            longitude_of_ascending_node_deg=1e-6,
            argument_of_perihelion_deg=2e-6,
            perihelion_time_d=1e-5,
        )
    )
    question = read_question(asked, None)
    assert question.labels[-1] == "perihelion_time_tdb_jd"
    assert np.sort(np.diag(question.spread @ question.spread.T)) == pytest.approx(
        np.sort(np.array([1e-9, 1e-8, 1e-6, 1e-6, 2e-6, 1e-5]) ** 2)
    )
    assert any("orders of magnitude" in note for note in question.notes)


def test_sigmas_that_are_unset_are_unknown_and_not_zero():
    asked = request()
    asked.object.uncertainty.sigmas.CopyFrom(v1.ElementSigmas(semi_major_axis_au=1e-9, perihelion_distance_au=1e-9))
    paths = refused(asked)
    assert "object.uncertainty.sigmas.eccentricity" in paths
    assert "object.uncertainty.sigmas.inclination_deg" in paths
    assert "object.uncertainty.sigmas" in paths


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.diag([-1e-12] + [1e-12] * 5), "negative"),
        (np.eye(6) * 1e-12 + np.eye(6, k=1) * 1e-13, "symmetric"),
        (np.full((6, 6), 1.0) - 2.0 * np.eye(6, k=1) - 2.0 * np.eye(6, k=-1), "semidefinite"),
        (np.zeros((6, 6)), "nothing uncertain"),
    ],
)
def test_what_is_no_covariance_is_named(values, why):
    paths = refused(request(values=values.ravel()))
    assert why in paths["object.uncertainty.covariance.values"]


def test_a_matrix_of_another_size_than_its_labels_is_named():
    paths = refused(request(values=np.eye(7).ravel()))
    assert paths["object.uncertainty.covariance.values"] == "must hold 36 values for 6 labels, not 49"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308])
def test_numbers_that_are_none_are_named(number):
    values = np.eye(6) * 1e-12
    values[2, 3] = number
    assert "object.uncertainty.covariance.values[15]" in refused(request(values=values.ravel()))


@pytest.mark.parametrize(
    "labels",
    [
        (*LABELS[:5], "perihelion_distance_au"),
        (*LABELS[:5], "x_au"),
        (*LABELS[:5], "eccentricity"),
        (*LABELS[:5], "no_such_thing"),
        (*LABELS[:5], "a1_au_d2"),
    ],
)
def test_labels_that_make_no_orbit_are_named(labels):
    assert any(path.startswith("object.uncertainty.covariance.labels") for path in refused(request(labels=labels)))


def test_pushes_may_be_uncertain():
    question = read_question(request(labels=(*LABELS, "a2_au_d2")), None)
    assert question.spread.shape == (7, 7)


@pytest.mark.parametrize(
    ("start", "end", "path"),
    [
        (-1.0, 10.0, "window.start_tdb_jd"),
        (20.0, 10.0, "window.end_tdb_jd"),
        (None, -10.0, "window.end_tdb_jd"),
        (None, math.nan, "window.end_tdb_jd"),
    ],
)
def test_a_window_that_cannot_be_is_named(start, end, path):
    asked = request(days=end)
    if start is not None:
        asked.window.start_tdb_jd = asked.object.elements.epoch_tdb_jd + start
    assert path in refused(asked)


def test_the_window_begins_after_the_epoch_of_the_covariance():
    asked = request()
    asked.object.uncertainty.covariance.epoch_tdb_jd += 400.0
    assert "window.end_tdb_jd" in refused(asked)


def test_a_window_of_more_than_a_century_comes_with_a_note():
    assert any("Yarkovsky" in note for note in read_question(request(days=60_000.0), None).notes)
    assert not any("Yarkovsky" in note for note in read_question(request(days=36_000.0), None).notes)


def test_a_window_beyond_the_ephemeris_is_out_of_range():
    asked = request(days=100.0)
    asked.object.elements.epoch_tdb_jd = 2_688_970.5
    asked.object.uncertainty.covariance.epoch_tdb_jd = 2_688_970.5
    asked.window.end_tdb_jd = 2_688_976.5
    with pytest.raises(OutsideEphemeris, match=r"window\.end_tdb_jd"):
        read_question(asked, None)


@pytest.mark.parametrize("body", [v1.BODY_UNSPECIFIED, v1.BODY_SUN, v1.BODY_JUPITER])
def test_bodies_without_impacts_here_are_named(body):
    assert "bodies[0]" in refused(request(bodies=[body]))


def test_a_body_named_twice_is_named():
    assert "bodies[1]" in refused(request(bodies=[v1.BODY_EARTH, v1.BODY_EARTH]))


def test_all_is_said_at_once():
    asked = request(values=np.diag([-1.0] * 6).ravel(), bodies=[v1.BODY_SUN], samples=2_000_000)
    asked.object.elements.eccentricity = -1.0
    assert set(refused(asked)) >= {
        "object.elements.eccentricity",
        "object.uncertainty.covariance.values",
        "bodies[0]",
        "samples",
    }

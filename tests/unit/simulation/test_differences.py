# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from gateway.simulation.differences import MAX_APART_D, encounter_differences
from orrery.inference import v1

AT = 2_461_000.5


def met(days, body=v1.BODY_EARTH, plane=None, **fields):
    approach = v1.CloseApproach(body=body, time_tdb_jd=AT + days, **fields)
    if plane:
        approach.b_plane.xi_km, approach.b_plane.zeta_km = plane
    return approach


def told(baseline, changed, *, backwards=False):
    found = encounter_differences(baseline, changed, backwards=backwards)
    return [
        (
            d.baseline_index if d.HasField("baseline_index") else None,
            d.changed_index if d.HasField("changed_index") else None,
        )
        for d in found
    ]


def test_a_pair_is_told_apart_number_by_number():
    was = met(0.0, plane=(10.0, 20.0), distance_km=1000.0, relative_velocity_km_s=7.0)
    now = met(0.25, plane=(11.0, 15.0), distance_km=1500.0, relative_velocity_km_s=6.5)
    (found,) = encounter_differences([was], [now], backwards=False)
    assert found == v1.EncounterDifference(
        body=v1.BODY_EARTH,
        baseline_index=0,
        changed_index=0,
        distance_km=500.0,
        time_s=21_600.0,
        relative_velocity_km_s=-0.5,
        xi_km=1.0,
        zeta_km=-5.0,
    )


@pytest.mark.parametrize(("plane", "other"), [(None, (1.0, 2.0)), ((1.0, 2.0), None), (None, None)])
def test_without_two_target_planes_there_is_no_shift_on_them(plane, other):
    (found,) = encounter_differences([met(0, plane=plane)], [met(1, plane=other)], backwards=False)
    assert found.HasField("distance_km")
    assert not found.HasField("xi_km")
    assert not found.HasField("zeta_km")


def test_bodies_are_not_mixed():
    moon = {"body": v1.BODY_MOON}
    assert told([met(0), met(1, **moon)], [met(1, **moon), met(1.5)]) == [(0, 1), (1, 0)]


def test_what_appears_and_what_disappears_stands_alone():
    found = encounter_differences([met(0), met(400)], [met(0.1), met(800)], backwards=False)
    assert told([met(0), met(400)], [met(0.1), met(800)]) == [(0, 0), (1, None), (None, 1)]
    assert not found[1].HasField("distance_km")
    assert found[2].body == v1.BODY_EARTH


@pytest.mark.parametrize(("apart", "expected"), [(MAX_APART_D, [(0, 0)]), (MAX_APART_D + 1, [(0, None), (None, 0)])])
def test_encounters_a_month_apart_are_different_ones(apart, expected):
    assert told([met(0)], [met(apart)]) == expected


def test_only_mutual_neighbours_belong_together():
    assert told([met(0), met(3)], [met(2)]) == [(0, None), (1, 0)]
    assert told([met(2)], [met(0), met(3)]) == [(None, 0), (0, 1)]
    assert told([met(0), met(10), met(20)], [met(1), met(11), met(21)]) == [(0, 0), (1, 1), (2, 2)]


def test_backwards_the_latest_comes_first():
    assert told([met(9), met(0)], [met(9.1), met(0.1)], backwards=True) == [(0, 0), (1, 1)]


def test_nothing_differs_from_nothing():
    assert told([], []) == []
    assert told([met(0)], []) == [(0, None)]
    assert told([], [met(0)]) == [(None, 0)]

# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses

import numpy as np
import pytest

from gateway.neo.units import AU_KM, DAY_S
from gateway.simulation import branch
from gateway.simulation.bodies import Body
from gateway.simulation.branch import heliocentric, orbital_axes
from gateway.simulation.nbody import Cancelled, Fidelity, Forces
from gateway.simulation.scenario import Branch, ProgressReport, Push, PushAxes, TrajectoryPiece
from gateway.simulation.simulate import simulate
from tests.unit.simulation.made import START_D, asked, beside, carried, ordinary_state, scenario

RTN = PushAxes.RADIAL_TRANSVERSE_NORMAL
BOTH = [Branch.BASELINE, Branch.CHANGED]


def push(days, delta_v_km_s, axes=RTN):
    return Push(START_D + days, delta_v_km_s, axes)


@pytest.mark.parametrize("days", [400.0, -400.0])
def test_a_push_of_nothing_changes_nothing_to_the_last_bit(days):
    start, start_d = carried(beside(Body.EARTH, (60_000, 0, 0), (0, 8, 0)), START_D, START_D - days / 4)
    nothing = Push(start_d + days / 8, (0.0, 0.0, 0.0), RTN)
    outcome, _ = asked(scenario(start, start_d, days, pushes=(nothing,)))
    one, other = (outcome.branches[b] for b in BOTH)
    assert (one.final_state == other.final_state).all()
    assert one.approaches == other.approaches
    assert one.approaches


@pytest.mark.parametrize("fidelity", Fidelity)
@pytest.mark.parametrize("days", [300.0, -300.0])
def test_there_and_back_misses_by_metres_even_with_pushes(fidelity, days):
    pushes = (push(days / 3, (0.1, -0.2, 0.3)), push(days / 2, (0.1, 0.0, 0.0), PushAxes.ECLIPTIC))
    question = scenario(
        ordinary_state(), START_D, days, pushes=pushes, check_round_trip=True, forces=Forces(fidelity, a2_au_d2=1e-13)
    )
    outcome, _ = asked(question)
    for side in BOTH:
        assert outcome.branches[side].round_trip_error_km < 0.05


@pytest.mark.parametrize("where", [0.0, 100.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_impulses_go_along_their_axes(axis, where):
    """At the very start and at the very end of the scenario, the whole of it and nothing else."""
    delta_v = np.zeros(3)
    delta_v[axis] = 0.25
    outcome, _ = asked(scenario(ordinary_state(), START_D, 100.0, pushes=(push(where, tuple(delta_v)),)))
    one, other = (outcome.branches[b] for b in BOTH)
    if where == 0.0:
        before = heliocentric(ordinary_state(), START_D)
        gained = other.after_changes[START_D][3:] - before[3:]
    else:
        before = one.final_state
        gained = other.final_state[3:] - before[3:]
        assert (other.final_state[:3] == before[:3]).all()
    np.testing.assert_allclose(orbital_axes(before) @ gained * AU_KM / DAY_S, delta_v, atol=1e-12)
    assert outcome.moid_d == START_D + where


def test_backwards_a_push_is_taken_away():
    outcome, _ = asked(scenario(ordinary_state(), START_D, -50.0, pushes=(push(-50.0, (0.0, 0.1, 0.0)),)))
    one, other = (outcome.branches[b].final_state for b in BOTH)
    lost = orbital_axes(one) @ (other - one)[3:] * AU_KM / DAY_S
    np.testing.assert_allclose(lost, (0.0, -0.1, 0.0), atol=1e-12)
    assert any("taken away" in note for note in outcome.notes)


def test_what_a_push_undoes_going_back_it_does_going_forth():
    """Back 60 days with a push on the way; from there forth with the same push is where it began."""
    there, _ = asked(scenario(ordinary_state(), START_D, -60.0, pushes=(push(-30.0, (0.0, 0.0, 0.2)),)))
    was = there.branches[Branch.CHANGED]
    icrf = branch.barycentric(was.final_state, was.final_d)
    back, _ = asked(scenario(icrf, was.final_d, 60.0, pushes=(push(-30.0, (0.0, 0.0, 0.2)),)))
    missed_au = back.branches[Branch.CHANGED].final_state - heliocentric(ordinary_state(), START_D)
    # The normal, taken on the other side of the push, is turned by 0.2 km/s of 25: 0.2^2 / 25 km/s for 30 days.
    missed_km = np.linalg.norm(missed_au[:3]) * AU_KM
    assert missed_km < 1.1 * 0.2**2 / 25.0 * 30.0 * DAY_S


def test_trajectories_are_evenly_spaced_with_both_ends():
    start = ordinary_state()
    question = scenario(start, START_D, -730.5, pushes=(push(-400.0, (0.0, 1.0, 0.0)),), trajectory_points=333)
    outcome, updates = asked(question)
    for side in BOTH:
        pieces = [u for u in updates if isinstance(u, TrajectoryPiece) and u.branch is side]
        times = np.concatenate([piece.time_d for piece in pieces])
        positions = np.concatenate([piece.positions_au for piece in pieces])
        np.testing.assert_array_equal(times, np.linspace(START_D, START_D - 730.5, 333))
        np.testing.assert_allclose(positions[0], heliocentric(start, START_D)[:3], atol=1e-15)
        np.testing.assert_allclose(positions[-1], outcome.branches[side].final_state[:3], atol=1e-11)


def test_a_trajectory_ends_at_an_impact():
    start, start_d = carried(beside(Body.EARTH, (6371.1, 0, 0), (-15, 0, 0)), START_D, START_D - 10)
    outcome, updates = asked(scenario(start, start_d, 20.0, trajectory_points=2001))
    times = np.concatenate([u.time_d for u in updates if isinstance(u, TrajectoryPiece)])
    hit_d = outcome.branches[Branch.BASELINE].approaches[-1].impact.time_d
    assert times[-1] <= hit_d < times[-1] + 0.0101
    assert len(times) == 1001


def test_progress_grows_to_the_whole(monkeypatch):
    monkeypatch.setattr("gateway.simulation.simulate._REPORT_EVERY_S", 0.0)
    question = scenario(ordinary_state(), START_D, 900.0, pushes=(push(1.0, (0, 0, 0)),), check_round_trip=True)
    _, updates = asked(question)
    reports = [u for u in updates if isinstance(u, ProgressReport)]
    fractions = [report.fraction_done for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert {report.branch for report in reports} == set(BOTH)


def test_approaches_beyond_the_cap_are_counted_but_an_impact_is_kept(monkeypatch):
    monkeypatch.setattr(branch, "MAX_APPROACHES", 2)
    outcome, _ = asked(scenario(ordinary_state(), START_D, 2000.0, limits_au=dict.fromkeys(Body, 1.0)))
    went = outcome.branches[Branch.BASELINE]
    assert len(went.approaches) == 2
    assert went.approaches_left_out > 0
    assert any("are left out" in note for note in outcome.notes)


def test_a_cancelled_scenario_stops():
    calls = iter(range(1000))
    with pytest.raises(Cancelled):
        simulate(scenario(ordinary_state(), START_D, 30_000.0), lambda _: None, lambda: next(calls) > 20)


def test_provenance_names_what_worked():
    outcome, _ = asked(scenario(ordinary_state(), START_D, 1.0, forces=Forces(Fidelity.FAST, a1_au_d2=1e-12)))
    assert outcome.integrator.startswith("REBOUND 4")
    assert "GR of the Sun" in outcome.force_model
    assert outcome.force_model.endswith("A1-A3")
    assert outcome.ephemeris == "DE440; no asteroid perturbers"


def test_notes_say_what_is_not_validated():
    near, _ = asked(scenario(ordinary_state(), START_D, 10 * 365.25))
    far, _ = asked(scenario(ordinary_state(), START_D, 12 * 365.25))
    assert not any("11 years" in note for note in near.notes)
    assert any("11 years" in note for note in far.notes)


@pytest.mark.parametrize("speed_au_d", [0.0, 0.5])
def test_far_from_everything_numbers_stay_finite(speed_au_d):
    state = np.array([1500.0, 900.0, -400.0, speed_au_d, 1e-7, 0.0])
    outcome, _ = asked(scenario(state, START_D, 36_525.0))
    assert np.isfinite(outcome.branches[Branch.BASELINE].final_state).all()


def test_changed_elements_start_elsewhere():
    question = scenario(ordinary_state(), START_D, 10.0)
    other = question.baseline_state * np.array([1.1, 1.1, 1.1, 1, 1, 1])
    outcome, _ = asked(dataclasses.replace(question, changed_state=other))
    assert set(outcome.branches) == set(BOTH)
    assert outcome.earth_moid_au[Branch.BASELINE] != outcome.earth_moid_au[Branch.CHANGED]
    np.testing.assert_allclose(outcome.branches[Branch.CHANGED].after_changes[START_D], other, atol=1e-14)


def moid_change_au(delta_v_km_s, where_d):
    pushed = push(where_d, (0.0, delta_v_km_s, 0.0))
    outcome, _ = asked(scenario(ordinary_state(), START_D, 900.0, pushes=(pushed,)))
    assert outcome.moid_d == START_D + where_d
    return outcome.earth_moid_au[Branch.CHANGED] - outcome.earth_moid_au[Branch.BASELINE]


@pytest.mark.parametrize("where_d", [0.0, 200.0, 800.0])
def test_both_moids_belong_to_one_instant(where_d):
    """No push makes no difference; a small one makes what the slope between two larger ones says."""
    assert moid_change_au(0.0, where_d) == 0.0
    assert abs(moid_change_au(1e-15, where_d)) < 1e-12
    slope = (moid_change_au(1e-5, where_d) - moid_change_au(-1e-5, where_d)) / 2e-5
    assert abs(slope) > 1e-4
    assert moid_change_au(1e-6, where_d) == pytest.approx(slope * 1e-6, rel=1e-2)


def test_moids_belong_to_the_last_change_that_both_branches_reach():
    pushes = (push(100.0, (0.0, 1e-3, 0.0)), push(300.0, (0.0, -1e-3, 0.0)))
    outcome, _ = asked(scenario(ordinary_state(), START_D, 900.0, pushes=pushes))
    assert outcome.moid_d == START_D + 300.0
    backwards, _ = asked(scenario(ordinary_state(), START_D, -900.0, pushes=(push(-100.0, (0.0, 1e-3, 0.0)),)))
    assert backwards.moid_d == START_D - 100.0

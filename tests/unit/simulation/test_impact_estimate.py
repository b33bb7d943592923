# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimates against truths by construction, and against themselves: `tests.virtual_impactors` says how."""

import asyncio
import dataclasses

import numpy as np
import pytest

from gateway.serving.errors import DeadlineExceeded
from gateway.simulation.bodies import Body
from gateway.simulation.impact.blocks import Harvest, Tally, fly_block
from gateway.simulation.impact.decode import read_question
from gateway.simulation.impact.estimate import Progress, _sampled, estimate
from gateway.simulation.impact.first_look import _checked, _likeliest, cloud_of, first_look
from gateway.simulation.impact.proposals import WHOLE_CLOUD, around, whole_cloud
from gateway.simulation.impact.question import Method, Moved, TargetMap
from gateway.simulation.impact.target_maps import fly, probability
from gateway.simulation.nbody import Cancelled
from orrery.inference import v1
from tests.objects import eros
from tests.virtual_impactors import Here, answer, answers, question

NEVER = False


def never():
    return NEVER


def ignore(_):
    pass


def short(**changes):
    """A week before it hits Earth with 35 %: a hundredth of a second a clone."""
    return question((8_000.0, 0.0, 0.0), 20_000.0, days=7.0, **({"samples": 120} | changes))


def test_running_estimates_and_progress_come_before_the_final_one():
    said = asyncio.run(answers(short(method=Method.MONTE_CARLO)))
    fractions = [update.fraction_done for update in said if isinstance(update, Progress)]
    estimates = [update for update in said if not isinstance(update, Progress)]
    assert fractions == sorted(fractions)
    assert 0.0 <= fractions[0] <= fractions[-1] <= 1.0
    assert [e.complete for e in estimates] == [False] * (len(estimates) - 1) + [True]
    assert [e.final for e in estimates] == [False] * (len(estimates) - 1) + [True]
    assert estimates[0].method is Method.LINEAR
    assert estimates[-1].method is Method.MONTE_CARLO
    assert estimates[-1].low < estimates[0].probability < estimates[-1].high


class Clock:
    """A tenth of a second goes by each time it is read."""

    def __init__(self):
        self.now_s = 0.0

    def monotonic(self):
        self.now_s += 0.1
        return self.now_s


async def _within(asked, time_s):
    return [update async for update in estimate(asked, Here(), time_s=time_s)]


def test_when_the_time_is_up_the_last_message_is_the_estimate_so_far(monkeypatch):
    monkeypatch.setattr("gateway.simulation.impact.estimate.time", Clock())
    monkeypatch.setattr("gateway.simulation.impact.estimate.block_size", lambda _: 50)
    asked = short(method=Method.MONTE_CARLO, samples=2_000, target=0.001, bodies=(Body.EARTH,))
    *before, last = asyncio.run(_within(asked, 3.0))
    assert any(isinstance(update, Progress) for update in before)
    assert (last.final, last.complete) == (True, False)
    assert 0 < last.samples < 2_000
    assert last.low < last.probability < last.high
    assert any("not complete" in note for note in last.notes)


def test_without_time_nothing_is_known():
    class Silent(Here):
        async def run_all(self, jobs):
            del jobs
            yield 0, Moved(0.1)
            raise DeadlineExceeded

    last = answer(short(), Silent())
    assert (last.final, last.complete) == (True, False)
    assert (last.probability, last.low, last.high) == (0.0, 0.0, 1.0)


def test_a_search_that_leads_to_no_impactor_says_why():
    """Earth passes at 500,000 km with a sigma of 100 km: there is no impactor within reach."""
    far = question((500_000.0, 0.0, 0.0), 100.0, days=7.0, samples=100, method=Method.IMPORTANCE_SAMPLING)
    found = answer(dataclasses.replace(far, bodies=(Body.EARTH,)))
    assert any("led to no impactor: less probable than 1e-11: 1" in note for note in found.notes)


def test_an_impactor_that_no_clone_hits_has_a_row_with_its_bound():
    target = a_target(miss_km=1e5)
    look = first_look(short(), ignore, never)
    found = _sampled(short(), look, Harvest(samples=100), [target], around([target], 6))
    (row,) = found.rows
    assert (row.probability, row.low, row.hits, row.target) == (0.0, 0.0, 0, target)
    assert probability(target) <= row.high <= 1.0


def test_the_order_in_which_blocks_are_done_changes_nothing():
    asked = short(method=Method.MONTE_CARLO, samples=500)
    one, other = answer(asked, Here(1)), answer(asked, Here(3))
    assert (one.probability, one.hits, one.samples) == (other.probability, other.hits, other.samples)
    assert [(r.time_d, r.probability) for r in one.rows] == [(r.time_d, r.probability) for r in other.rows]


def test_another_seed_draws_other_clones():
    asked = short(method=Method.MONTE_CARLO)
    one, other = (answer(dataclasses.replace(asked, seed=seed)) for seed in (1, 2))
    assert one.hits != other.hits or one.rows[0].time_d != other.rows[0].time_d


def test_nothing_that_hits_is_a_bound_and_not_a_zero():
    """At 500,000 km with a sigma of 100 km."""
    far = question((500_000.0, 0.0, 0.0), 100.0, days=7.0, samples=250)
    linear = answer(far)
    assert (linear.method, linear.probability) == (Method.LINEAR, 0.0)
    assert 0.0 < linear.high < 1e-9
    drawn = answer(dataclasses.replace(far, method=Method.MONTE_CARLO))
    assert (drawn.probability, drawn.hits, drawn.low) == (0.0, 0, 0.0)
    assert drawn.high == pytest.approx(3.0 / 250)
    assert any("3 / 250" in note for note in drawn.notes)


def test_what_surely_hits_has_a_probability_of_one_and_an_entry():
    # Nominally 10,000 km from the centre a week before, as seen in a straight line: gravity takes it down.
    sure = question((6_500.0, 0.0, 0.0), 1.0, days=1.0)
    state = sure.state.copy()
    nudged = dataclasses.replace(sure, state=state + np.array([-3_000.0 / 1.495978707e8, 0, 0, 0, 0, 0]))
    found = answer(nudged)
    if found.probability < 0.5:
        nudged = dataclasses.replace(sure, state=state + np.array([3_000.0 / 1.495978707e8, 0, 0, 0, 0, 0]))
        found = answer(nudged)
    assert found.probability == pytest.approx(1.0, abs=1e-9)
    assert sum(row.probability for row in found.rows) <= 1.0
    (row,) = [row for row in found.rows if row.probability > 0.5]
    assert row.body is Body.EARTH
    assert row.entry is not None
    assert 11.0 < row.speed_km_s < 30.0


def test_a_body_that_is_not_asked_about_takes_its_share_and_gives_none():
    asked = short(method=Method.MONTE_CARLO, bodies=(Body.MOON,))
    found = answer(asked)
    assert found.probability == 0.0
    assert any("hit something else" in note for note in found.notes)


def test_impacts_before_the_window_do_not_count():
    asked = short(method=Method.MONTE_CARLO)
    late = dataclasses.replace(asked, window_d=(asked.window_d[1] - 1.0, asked.window_d[1]))
    assert answer(late).probability == 0.0


@pytest.mark.parametrize(("factor", "holds"), [(1.0, True), (1.3, False)])
def test_a_map_that_does_not_lead_where_it_says_is_doubted(factor, holds):
    """The map is bent on purpose; the member that it takes to the middle of the disc is flown and told apart."""
    asked = short(bodies=(Body.EARTH,))
    look = first_look(asked, ignore, never)
    (row,) = look.rows
    bent = dataclasses.replace(row.target, slope_km=row.target.slope_km * factor)
    point = _likeliest(bent)
    flight, _ = fly(look.cloud, point[None], asked)
    checked, doubt = _checked(bent, point, flight.passages)
    assert (doubt == "") is holds
    assert (checked.linear < 0.1) is holds


def test_what_is_hardly_an_orbit_is_estimated_all_the_same():
    """A semi-major axis of 1.4 +- 1 au: half of the draws are no orbits, which the reply says; nothing fails."""
    sigmas = v1.ElementSigmas(
        semi_major_axis_au=1.0,
        eccentricity=0.5,
        inclination_deg=20.0,
        longitude_of_ascending_node_deg=90.0,
        argument_of_perihelion_deg=90.0,
        mean_anomaly_deg=180.0,
    )
    item = eros()
    item.uncertainty.sigmas.CopyFrom(sigmas)
    window = v1.ImpactWindow(end_tdb_jd=item.elements.epoch_tdb_jd + 20.0)
    found = answer(read_question(v1.EstimateImpactRequest(object=item, window=window, samples=100), None))
    assert found.method is not Method.LINEAR
    assert any("are no orbits" in note for note in found.notes)
    assert any("beyond what makes an orbit" in note for note in found.notes)
    assert 0.0 <= found.low <= found.probability <= found.high <= 1.0


def test_a_cloud_too_wide_to_be_looked_through_is_not_linear():
    """Members of the line of variations end half an au apart: none is near Earth; those between may be."""
    wide = short(bodies=(Body.EARTH,))
    state = wide.state.copy()
    state[3:] *= 1.02
    aside = dataclasses.replace(
        wide,
        state=state,
        spread=wide.spread * (5e7 / 20_000.0),
        window_d=(wide.state_d, wide.state_d + 5.0),
        samples=200,
    )
    look = first_look(aside, ignore, never)
    assert not look.rows
    assert any("too far to check between" in doubt for doubt in look.doubts)
    found = answer(aside)
    assert found.method is Method.MONTE_CARLO
    assert found.high >= 3.0 / 200


@pytest.mark.parametrize("more", [0.4, 1.0, 5.0])
def test_rows_never_add_up_to_more_than_one(more):
    """Heavy clones by chance: all of the cloud hits, as far as one can tell, and not more than all."""
    asked = short(method=Method.IMPORTANCE_SAMPLING)
    tallies = {
        (body, 100): Tally(share, share * 5.0, 40, np.array([0.5]), 100.0)
        for body, share in ((Body.EARTH, 70.0), (Body.MOON, 100.0 * more))
    }
    look = first_look(asked, ignore, never)
    found = _sampled(asked, look, Harvest(samples=100, tallies=tallies), [], around([a_target()], 6))
    assert found.probability == pytest.approx(min(1.0, 0.7 + more))
    assert sum(row.probability for row in found.rows) == pytest.approx(found.probability)
    assert all(0.0 < row.low < row.probability < row.high <= 1.0 for row in found.rows)


def test_cancelling_ends_a_block_at_its_next_step():
    asked = short()
    cloud = cloud_of(asked, never)
    calls = iter(range(1_000))
    with pytest.raises(Cancelled):
        fly_block(asked, cloud, whole_cloud(cloud.dimensions), 0, 50, ignore, lambda: next(calls) > 3)
    assert next(calls) == 5


def test_an_uncertainty_at_another_epoch_moves_the_orbit_there():
    """The same cloud, said a month later: the nominal orbit is carried there by the full forces."""
    asked = short()
    later_d = asked.state_d + 3.0
    moved = dataclasses.replace(asked, spread_d=later_d, window_d=(later_d, asked.window_d[1]))
    here, there = cloud_of(asked, never), cloud_of(moved, never)
    assert there.epoch_d == later_d
    (one,) = first_look(dataclasses.replace(asked, bodies=(Body.EARTH,)), ignore, never).rows
    (other,) = first_look(dataclasses.replace(moved, bodies=(Body.EARTH,)), ignore, never).rows
    assert here.nominal[0] != there.nominal[0]
    assert other.target.centre_km == pytest.approx(one.target.centre_km, abs=0.5)


def a_target(stretching_km=1e6, width_km=3.0, miss_km=4e6):
    slope = np.zeros((2, 6))
    slope[1, 0], slope[0, 1] = stretching_km, width_km
    return TargetMap(Body.EARTH, 0.0, np.zeros(6), np.array([100.0, miss_km]), slope, 9_000.0, 12.0, 16.0, hit=False)


def test_weights_make_draws_around_an_impactor_unbiased():
    """The mean weight over the image's disc is the probability of the disc: here of a linear map, known exactly."""
    target = a_target()
    mixture = around([target], 6)
    random = np.random.default_rng(5)
    z = mixture.draw(random, 40_000)
    weights = mixture.weights(z)
    assert weights.max() <= 1.0 / WHOLE_CLOUD + 1e-9
    assert weights.mean() == pytest.approx(1.0, abs=0.05)
    images = target.centre_km + z @ target.slope_km.T
    hits = np.linalg.norm(images, axis=1) < target.capture_km
    estimated = (weights * hits).mean()
    exact = 2.0 * np.sqrt(9_000.0**2 - 100.0**2) / 1e6 * np.exp(-0.5 * 4.0**2) / np.sqrt(2.0 * np.pi)
    assert estimated == pytest.approx(exact, rel=0.03)
    assert hits.mean() > 0.4


def test_draws_of_a_mixture_are_allotted_in_proportion():
    mixture = around([a_target()], 6)
    z = mixture.draw(np.random.default_rng(1), 1_000)
    near = np.abs(z[:, 0] + 4.0) < 0.1
    assert near.sum() == pytest.approx(800, abs=3)


def test_harvests_add_up_and_split_into_encounters():
    harvest = Harvest()
    for day, weight in ((100, 1.0), (103, 2.0), (120, 4.0)):
        tally = Tally(weight, weight**2, 1, np.array([weight]), float(day))
        harvest.add(Harvest(10, 1, 2, {(Body.EARTH, day): tally}))
    harvest.add(Harvest(10, 0, 0, {(Body.MOON, 100): Tally(0.5, 0.25, 1, np.array([0.1]), 100.0)}))
    assert (harvest.samples, harvest.unsound, harvest.elsewhere) == (40, 3, 6)
    assert [(body, tally.weight, tally.hits) for body, tally in harvest.encounters()] == [
        (Body.EARTH, 3.0, 2),
        (Body.EARTH, 4.0, 1),
        (Body.MOON, 0.5, 1),
    ]
    assert harvest.total.weight == 7.5
    assert harvest.total.time_d == 100.0
    assert harvest.total.at == pytest.approx([0.1])

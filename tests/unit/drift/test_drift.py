# SPDX-License-Identifier: GPL-3.0-or-later
"""PSI, KS and alarms against answers that are known; windows that forget; a monitor that never grows."""

import math

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp, kstwobign

from export.drift.catalogue_windows import compare
from gateway.drift import Reference, judge
from gateway.drift.verdict import FALSE_ALARM_RATE, FEWEST_SAMPLES, ks, ks_p_value, psi
from gateway.serving.drift import ALARM, LEFT_OUT, PSI, SAMPLES, DriftMonitor, Window

FEATURES = 8


def normal(seed, rows, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0, size=(rows, FEATURES))


def reference_of(rows):
    return Reference.of({f"f{column}": rows[:, column] for column in range(rows.shape[1])})


def test_psi_of_a_worked_example():
    """Shares .2 .3 .5 become .25 .35 .4: .05 ln 1.25 + .05 ln(7/6) + .1 ln 1.25 = .04118."""
    known, seen = np.array([200, 300, 500]), np.array([250, 350, 400])
    assert psi(known, seen) == pytest.approx(0.15 * math.log(1.25) + 0.05 * math.log(7.0 / 6.0), rel=1e-12)
    assert psi(known, known) == 0.0
    assert math.isfinite(psi(known, np.array([0, 0, 1000])))


def test_psi_of_two_normals_half_a_deviation_apart_is_a_quarter():
    """The symmetrised divergence of N(0, 1) and N(d, 1) is d squared; tenths lose a little of it."""
    reference = reference_of(normal(1, 400_000))
    (counts, *_) = reference.count(normal(2, 400_000, shift=0.5))
    assert psi(reference.counts[0], counts) == pytest.approx(0.25, abs=0.02)


def test_ks_from_bins_is_the_samples_own_where_every_value_has_an_edge_and_never_more():
    ours, theirs = (np.random.default_rng(seed).integers(0, 8, 900).astype(float) for seed in (1, 2))
    exact = ks_2samp(ours, theirs)
    reference = Reference.of({"x": theirs})
    assert ks(reference.counts[0], reference.count(ours[:, None])[0]) == pytest.approx(exact.statistic, rel=1e-12)
    smooth_ours, smooth_theirs = normal(1, 900)[:, :1], normal(2, 900)[:, :1]
    reference = Reference.of({"x": smooth_theirs[:, 0]})
    binned = ks(reference.counts[0], reference.count(smooth_ours)[0])
    assert binned <= ks_2samp(smooth_ours[:, 0], smooth_theirs[:, 0]).statistic


def test_the_probability_of_a_ks_statistic_is_kolmogorovs():
    for statistic in (0.0, 0.001, 0.01, 0.02, 0.05):
        assert ks_p_value(statistic, 10**6, 10**6) == pytest.approx(
            kstwobign.sf((math.sqrt(5e5) + 0.12 + 0.11 / math.sqrt(5e5)) * statistic), abs=1e-12
        )


def test_nothing_has_changed_and_alarms_are_rarer_than_stated():
    """1,000 looks at unchanged data by either criterion's own rate; the alarm, which needs both, is rarer still."""
    reference = reference_of(normal(0, 20_000))
    looks, level = 1_000, FALSE_ALARM_RATE / FEATURES
    random = np.random.default_rng(3)
    by_chance = alarms = 0
    for _ in range(looks):
        verdicts = judge(reference, reference.count(random.normal(size=(FEWEST_SAMPLES, FEATURES))), tests=FEATURES)
        by_chance += any(verdict.p_value < level for verdict in verdicts)
        alarms += any(verdict.drifted for verdict in verdicts)
    assert by_chance <= binom.ppf(0.999, looks, FALSE_ALARM_RATE)
    assert alarms == 0


def test_unchanged_data_pass_the_exact_test_too():
    known = {f"f{column}": values for column, values in enumerate(normal(0, 5_000).T)}
    random = np.random.default_rng(4)
    for _ in range(30):
        now = {f"f{column}": values for column, values in enumerate(random.normal(size=(FEATURES, 600)))}
        assert not any(verdict.drifted for verdict in compare(known, now))
    assert compare(known, {name: values[:499] for name, values in known.items()}) == []


@pytest.mark.parametrize("samples", [FEWEST_SAMPLES, 5_000])
def test_what_has_shifted_is_an_alarm_and_only_that(samples):
    known, now = normal(0, 20_000), normal(1, samples)
    now[:, 3] += 0.7
    reference = reference_of(known)
    assert [verdict.name for verdict in judge(reference, reference.count(now)) if verdict.drifted] == ["f3"]
    exact = compare(
        {f"f{column}": known[:, column] for column in range(FEATURES)},
        {f"f{column}": now[:, column] for column in range(FEATURES)},
    )
    assert [verdict.name for verdict in exact if verdict.drifted] == ["f3"]


def test_a_difference_that_does_not_matter_is_no_alarm_however_sure():
    reference = reference_of(normal(0, 20_000))
    (verdict, *_) = judge(reference, reference.count(normal(1, 100_000, shift=0.1)))
    assert verdict.p_value < 1e-10
    assert not verdict.drifted


def test_too_few_say_nothing():
    reference = reference_of(normal(0, 2_000))
    assert judge(reference, reference.count(normal(1, FEWEST_SAMPLES - 1, shift=5.0))) == []


def test_few_distinct_values_have_a_bin_each_and_ties_make_no_empty_one():
    classes = Reference.of({"class": np.array([0, 0, 1, 3, 3, 3])})
    assert [counts.tolist() for counts in classes.count(np.array([[0.0], [1.0], [3.0], [7.0]]))] == [[1, 1, 2]]
    tied = Reference.of({"p": np.concatenate([np.zeros(900), np.linspace(0.1, 1.0, 100)])})
    assert all(count > 0 for count in tied.counts[0])
    constant = Reference.of({"p": np.zeros(900)})
    assert constant.counts[0].tolist() == [900]


def test_a_reference_survives_its_manifest():
    reference = reference_of(normal(0, 1_000))
    again = Reference.from_json(reference.to_json())
    rows = normal(1, 500)
    assert all((a == b).all() for a, b in zip(reference.count(rows), again.count(rows), strict=True))
    assert again.objects == 1_000


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"x": 1},
        {"x": {"edges": [1.0]}},
        {"x": {"edges": [1.0, 0.5], "counts": [1, 1, 1]}},
        {"x": {"edges": [1.0], "counts": [1]}},
        {"x": {"edges": [1.0], "counts": [0, 0]}},
        {"x": {"edges": ["a"], "counts": [1, 1]}},
    ],
)
def test_a_broken_reference_is_refused(broken):
    with pytest.raises(ValueError, match=r"reference of drift|could not convert"):
        Reference.from_json(broken)


def test_a_window_forgets_a_twelfth_at_a_time():
    reference = reference_of(normal(0, 1_000))
    window = Window(reference, 120.0)
    for now_s in range(0, 600, 5):
        window.add(list(reference.count(normal(now_s, 10))), float(now_s))
        assert int(window.total(float(now_s))[0].sum()) <= 10 * 24
        assert len(window._slots) <= 12
    assert int(window.total(595.0 + 104.0)[0].sum()) > 0
    assert int(window.total(595.0 + 121.0)[0].sum()) == 0


def seen(gauge, *labels):
    samples = gauge.collect()[0].samples
    found = [sample.value for sample in samples if tuple(sample.labels.values()) == labels]
    return found[0] if found else None


async def test_a_monitor_holds_each_version_against_its_own_reference(monkeypatch):
    monkeypatch.setattr("gateway.serving.drift.MOST_OBJECTS", 2_000)
    references = {1: reference_of(normal(0, 5_000)), 2: reference_of(normal(0, 5_000, shift=3.0)), 3: None}

    async def reference(version):
        return references[version]

    monitor = DriftMonitor("tested", reference, lambda rows: rows)
    monitor.observe(1, normal(1, 499))
    await monitor.count(now_s=0.0)
    assert seen(SAMPLES, "tested", "short") == 499
    assert seen(PSI, "tested", "short", "f0") is None
    monitor.observe(1, normal(2, 900))
    monitor.observe(2, normal(3, 100))
    await monitor.count(now_s=1.0)
    assert seen(SAMPLES, "tested", "long") == 1_399
    assert seen(ALARM, "tested", "short") == 0
    monitor.observe(2, normal(4, 900))
    await monitor.count(now_s=2.0)
    assert (seen(SAMPLES, "tested", "long"), seen(ALARM, "tested", "long")) == (900, 1)
    before = LEFT_OUT.labels("tested")._value.get()
    for _ in range(4):
        monitor.observe(2, normal(5, 900))
    assert LEFT_OUT.labels("tested")._value.get() == before + 1_600
    await monitor.count(now_s=3.0)
    assert seen(SAMPLES, "tested", "short") == 2_900
    # The short window has forgotten; the long one has not.
    await monitor.count(now_s=3.0 + 2 * 3_600.0)
    assert (seen(SAMPLES, "tested", "short"), seen(SAMPLES, "tested", "long")) == (0, 2_900)
    assert seen(PSI, "tested", "short", "f0") is None
    monitor.observe(3, normal(6, 900))
    await monitor.count(now_s=9_000.0)
    assert seen(SAMPLES, "tested", "long") is None

# SPDX-License-Identifier: GPL-3.0-or-later
"""MOIDs with a closed form, the awkward pairs, and the doors of the module."""

import numpy as np
import pytest

from gateway.neo import ColumnShapeError, InvalidOrbitError, Orbits, earth_moid_au, earth_orbits
from gateway.neo.earth_orbit import SPAN_TDB_JD
from gateway.neo.elements import to_states
from gateway.neo.moid import CERTIFIED_TO_AU, earth_moid, moid

EPOCH_TDB_JD = 2459000.5


def orbit(q, e, inclination=0.0, node=0.0, argument=0.0, epoch=EPOCH_TDB_JD):
    return Orbits(q, e, inclination, node, argument, epoch, epoch)


CIRCLE = orbit(1.0, 0.0)


@pytest.mark.parametrize(
    ("other", "expected_au"),
    [
        (orbit(1.5, 0.0), 0.5),  # concentric circles
        (orbit(0.4, 0.0, inclination=60.0), 0.6),  # tilted, nearest on the node line
        (orbit(1.2, 0.3), 0.2),  # outside, nearest at its perihelion
        (orbit(0.2, 0.5), 0.4),  # inside, nearest at its aphelion of 0.6
        (orbit(0.5, 0.5), 0.0),  # coplanar crossing
        (orbit(1.0, 0.5), 0.0),  # tangent at perihelion
        (orbit(1.3, 1.0, inclination=90.0), 0.3),  # parabola
        (orbit(1.3, 5.0), 0.3),  # hyperbola
        (orbit(0.3, 2.0), 0.0),  # hyperbola that crosses
        (orbit(1e-6, 0.5, inclination=30.0), 1.0 - 3e-6),  # a speck round the Sun, aphelion at 3e-6 au
        (orbit(0.5, 0.999, inclination=90.0, argument=90.0), None),  # polar, perihelion above the Sun
        (orbit(30.0, 0.9999), 29.0),
        (CIRCLE, 0.0),
    ],
)
def test_closed_forms(other, expected_au):
    if expected_au is None:
        # Polar with its perihelion at the pole: both nodes at the distance p, and the nearest pair in the
        # meridian plane is a point of the ellipse and the point (1, 0) of the circle: one-dimensional.
        anomaly = np.linspace(-np.pi, np.pi, 20_001)[1:-1]
        for _ in range(4):
            radius = 0.5 * 1.999 / (1.0 + 0.999 * np.cos(anomaly))
            distance = np.hypot(np.abs(radius * np.sin(anomaly)) - 1.0, radius * np.cos(anomaly))
            nearest, step = anomaly[distance.argmin()], anomaly[1] - anomaly[0]
            anomaly = np.linspace(nearest - step, nearest + step, 20_001)
        expected_au = distance.min()
        result = moid(other, CIRCLE)
        assert result.distance_au[0] == pytest.approx(expected_au, abs=1e-11)
        return
    for result in (moid(other, CIRCLE), *([moid(CIRCLE, other)] if other.eccentricity[0] < 1.0 else [])):
        assert result.distance_au[0] == pytest.approx(expected_au, abs=4e-15 * max(1.0, expected_au))
        assert result.converged[0]


def test_identical_orbits_are_zero_apart():
    for e in (0.0, 0.3, 0.99, 0.9999):
        same = orbit(0.7, e, 12.0, 34.0, 56.0)
        assert moid(same, same).distance_au[0] < 1e-15


def test_true_anomalies_name_the_nearest_points():
    result = moid(orbit(1.2, 0.3, argument=40.0), CIRCLE)
    assert result.true_anomaly_deg[0] == pytest.approx(0.0, abs=1e-6)
    assert result.reference_true_anomaly_deg[0] == pytest.approx(40.0, abs=1e-6)


def drawn(generator, q, e, inclination):
    node, argument = generator.uniform(0.0, 360.0, (2, len(q)))
    epoch = np.full(len(q), EPOCH_TDB_JD)
    return Orbits(q, e, inclination, node, argument, epoch, epoch)


def near_tangent_pairs(generator, n):
    """Nearly coplanar and nearly touching: pairs of minima a few degrees apart and equally deep."""
    q = 1.0 + 10.0 ** generator.uniform(-5.0, -2.0, n) * generator.choice([-1.0, 1.0], n)
    tiny = 10.0 ** generator.uniform(-6.0, -1.0, n)
    objects = drawn(generator, q, generator.uniform(0.05, 0.8, n), tiny)
    return objects, drawn(generator, np.ones(n), 10.0 ** generator.uniform(-8.0, -1.0, n), np.zeros(n))


def needle_pairs(generator, n):
    """A long thin ellipse crossed by a wide, faster orbit: the nearest point jumps from one long side to the other."""
    needle = drawn(
        generator,
        10.0 ** generator.uniform(-2.0, -1.0, n),
        1.0 - 10.0 ** generator.uniform(-3.5, -1.3, n),
        generator.uniform(0.0, 180.0, n),
    )
    wide = drawn(
        generator,
        generator.uniform(0.3, 3.0, n),
        1.0 + 10.0 ** generator.uniform(-3.0, 0.5, n),
        generator.uniform(0.0, 180.0, n),
    )
    return wide, needle


@pytest.mark.parametrize("pairs", [near_tangent_pairs, needle_pairs])
def test_a_walk_with_twenty_times_the_steps_finds_nothing_nearer(monkeypatch, pairs):
    objects, references = pairs(np.random.default_rng(12), 20_000)
    result = moid(objects, references)
    monkeypatch.setattr("gateway.neo.moid._POINTS_PER_REVOLUTION", 1000)
    finer = moid(objects, references)
    better_by = result.distance_au - finer.distance_au
    assert (better_by <= 1e-12 * (1.0 + result.distance_au) + result.error_au).all()


def test_one_reference_or_one_each():
    objects = Orbits.concatenate([orbit(1.2, 0.3), orbit(1.5, 0.0)])
    references = Orbits.concatenate([CIRCLE, orbit(2.0, 0.0)])
    assert moid(objects, CIRCLE).distance_au == pytest.approx([0.2, 0.5], abs=1e-14)
    assert moid(objects, references).distance_au == pytest.approx([0.2, 0.5], abs=1e-14)
    with pytest.raises(ColumnShapeError):
        moid(Orbits.concatenate([objects, CIRCLE]), references)


def test_the_reference_must_be_bound():
    with pytest.raises(InvalidOrbitError) as refused:
        moid(CIRCLE, orbit(1.0, 1.0))
    assert [(v.column, v.row) for v in refused.value.violations] == [("eccentricity", 0)]


def test_earths_own_orbit_is_zero_away_at_every_epoch():
    epochs = np.linspace(*SPAN_TDB_JD, 50)
    assert (earth_moid(earth_orbits(epochs)).distance_au < 1e-14).all()


def test_each_object_meets_earths_orbit_of_its_own_epoch():
    epochs = [2420000.5, 2459000.5, 2480000.5]
    objects = Orbits.concatenate([orbit(0.7, 0.4, 8.0, 70.0, 20.0, epoch) for epoch in epochs])
    together = earth_moid(objects)
    alone = [moid(objects[n : n + 1], earth_orbits(epochs[n])).distance_au[0] for n in range(3)]
    assert together.distance_au.tolist() == alone
    assert len(set(alone)) == 3


def test_unknown_outside_the_table():
    objects = Orbits.concatenate([orbit(0.9, 0.2), orbit(0.9, 0.2, epoch=SPAN_TDB_JD[1] + 1.0)])
    distance_au = earth_moid_au(objects)
    assert np.isfinite(distance_au).tolist() == [True, False]
    assert earth_moid_au(objects[:0]).shape == (0,)


def random_orbits(count, seed, max_e=0.98):
    rng = np.random.default_rng(seed)
    return Orbits(
        rng.uniform(0.1, 1.5, count),
        rng.uniform(0.0, max_e, count),
        rng.uniform(0.0, 90.0, count),
        rng.uniform(0.0, 360.0, count),
        rng.uniform(0.0, 360.0, count),
        np.full(count, EPOCH_TDB_JD),
        np.full(count, EPOCH_TDB_JD),
    )


def test_ordinary_moids_can_be_certified():
    found = moid(random_orbits(1_000, 1), earth_orbits(np.array([EPOCH_TDB_JD])), certify=True)
    assert found.certified.all()


def test_nothing_is_certified_unasked():
    assert not moid(random_orbits(10, 1), CIRCLE).certified.any()


def test_hyperbolas_can_be_certified():
    comets = Orbits.concatenate([orbit(q, e, 40.0, 10.0, 20.0) for q, e in ((0.3, 2.0), (1.3, 5.0), (0.9, 1.01))])
    assert moid(comets, CIRCLE, certify=True).certified.all()


def test_a_wrong_answer_is_never_certified(monkeypatch):
    # One step round the whole ellipse misses minima; the certificate has to notice each time.
    orbits, reference = random_orbits(3_000, 2), random_orbits(3_000, 3, max_e=0.9)
    right = moid(orbits, reference).distance_au
    monkeypatch.setattr("gateway.neo.moid._POINTS_PER_REVOLUTION", 1)
    hasty = moid(orbits, reference, certify=True)
    wrong = hasty.distance_au > right + 2 * CERTIFIED_TO_AU
    assert wrong.sum() > 10
    assert not hasty.certified[wrong].any()
    assert hasty.certified[~wrong].mean() > 0.95


def bumps(gaps, values):
    """How far values lie from the parabola through the first, the middle and the last of them."""
    x, (low, middle, high) = gaps / gaps[-1], values[[0, len(gaps) // 2, -1]]
    return np.abs(middle + (high - low) / 2 * x + (high + low - 2 * middle) / 2 * x**2 - values)


@pytest.mark.parametrize("q", [0.05, 0.9, 1.4])
@pytest.mark.parametrize("argument", [10.0, 130.0, 275.0])
def test_no_jump_where_e_is_one(q, argument):
    """MOIDs and positions, 400 days after perihelion, from e = .999999 to 1.000001."""
    gaps = np.concatenate((-np.logspace(-16, -6, 41)[::-1], [0.0], np.logspace(-16, -6, 41)))
    objects = Orbits.concatenate([orbit(q, 1.0 + gap, 33.0, 70.0, argument) for gap in gaps])
    found = moid(objects, Orbits.concatenate([orbit(0.983, 0.0167, 0.001, 20.0, 80.0)] * len(gaps)))
    assert found.converged.all()
    assert bumps(gaps, found.distance_au).max() < 1e-13
    for column in to_states(objects, EPOCH_TDB_JD + 400.0).T:
        assert bumps(gaps, column).max() < 1e-13

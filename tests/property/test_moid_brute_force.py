# SPDX-License-Identifier: GPL-3.0-or-later
"""The MOID against brute force: never above it, and always a distance between two points of the orbits.

The two together bound the answer from both sides: a distance that is attained cannot lie below the minimum.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.neo import Orbits
from gateway.neo.elements import positions_at_true_anomaly_au
from gateway.neo.moid import moid
from tests.property.moid_brute_force import brute_force_moid_au
from tests.property.neo_strategies import eccentricities, orbits


def random_orbits(generator, q, e, inclination):
    n = len(q)
    epoch = np.full(n, 2459000.5)
    node, argument = generator.uniform(0.0, 360.0, (2, n))
    return Orbits(q, e, inclination, node, argument, epoch, epoch)


def inclinations(generator, n):
    """A quarter each: nearly coplanar, low, any, nearly retrograde in the plane."""
    tiny = 10.0 ** generator.uniform(-8.0, 0.0, n)
    choice = generator.integers(0, 4, n)
    return np.select(
        [choice == 0, choice == 1, choice == 2],
        [tiny, generator.uniform(0.0, 30.0, n), generator.uniform(0.0, 180.0, n)],
        180.0 - tiny,
    )


def power(generator, low, high, n):
    return 10.0 ** generator.uniform(low, high, n)


# Perihelion distance and eccentricity of n orbits.
KINDS = {
    "earth-like": lambda g, n: (power(g, -0.05, 0.05, n), g.uniform(0.0, 0.05, n)),
    "near-earth": lambda g, n: (g.uniform(0.1, 1.3, n), g.uniform(0.0, 0.95, n)),
    "circle": lambda g, n: (1.0 + power(g, -6.0, -1.0, n), power(g, -8.0, -1.0, n)),
    "main-belt": lambda g, n: (g.uniform(1.5, 3.0, n), g.uniform(0.0, 0.4, n)),
    "sungrazer": lambda g, n: (power(g, -2.0, -0.5, n), 1.0 - power(g, -4.0, -1.0, n)),
    "comet": lambda g, n: (power(g, -1.0, 0.5, n), 1.0 - power(g, -3.0, -1.0, n)),
    "parabola": lambda g, n: (power(g, -1.0, 0.3, n), np.ones(n)),
    "hyperbola": lambda g, n: (power(g, -1.0, 0.3, n), 1.0 + power(g, -6.0, 1.0, n)),
    "distant": lambda g, n: (power(g, 0.3, 1.5, n), g.uniform(0.0, 0.9, n)),
}


def attained_au(result, objects, references):
    ours = positions_at_true_anomaly_au(objects, result.true_anomaly_deg)
    theirs = positions_at_true_anomaly_au(references, result.reference_true_anomaly_deg)
    radius = np.maximum(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1))
    return np.linalg.norm(ours - theirs, axis=1), radius


@pytest.mark.parametrize("pairs", [60, pytest.param(375, marks=pytest.mark.long)])
@pytest.mark.parametrize("reference", ["earth-like", "main-belt", "comet"])
@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_brute_force(kind, reference, pairs):
    generator = np.random.default_rng([list(KINDS).index(kind), list(KINDS).index(reference)])
    objects = random_orbits(generator, *KINDS[kind](generator, pairs), inclinations(generator, pairs))
    references = random_orbits(generator, *KINDS[reference](generator, pairs), inclinations(generator, pairs))
    result = moid(objects, references)
    scale = 10.0 + objects.perihelion_distance_au + references.perihelion_distance_au
    assert (result.distance_au <= brute_force_moid_au(objects, references) + 1e-13 * scale).all()
    attained, radius = attained_au(result, objects, references)
    stretch = radius / np.minimum(objects.perihelion_distance_au, references.perihelion_distance_au)
    assert (np.abs(attained - result.distance_au) <= 1e-14 * (radius + 1.0) * (1.0 + stretch)).all()
    assert result.converged.mean() > 0.99


@given(orbits(), orbits(eccentricity=eccentricities.filter(lambda e: e < 1.0)))
def test_any_pair_gets_a_distance_that_is_attained_and_below_every_pair_of_points(orbit, reference):
    result = moid(orbit, reference)
    assert np.isfinite(result.distance_au[0])
    attained, radius = attained_au(result, orbit, reference)
    shortest = min(orbit.perihelion_distance_au[0], reference.perihelion_distance_au[0])
    assert abs(attained[0] - result.distance_au[0]) <= 1e-14 * radius[0] * (10.0 + radius[0] / shortest)
    perihelia = [positions_at_true_anomaly_au(o, 0.0)[0] for o in (orbit, reference)]
    apart = np.linalg.norm(perihelia[0] - perihelia[1])
    assert result.distance_au[0] <= apart + 1e-14 * (apart + radius[0])


@given(
    orbits(eccentricity=st.floats(0.0, 0.99)),
    orbits(eccentricity=st.floats(0.0, 0.99)),
    st.floats(0.0, 360.0),
)
def test_neither_order_nor_a_turn_of_both_orbits_changes_it(first, second, turn_deg):
    there = moid(first, second)
    back = moid(second, first)
    scale = 1.0 + first.aphelion_distance_au[0] + second.aphelion_distance_au[0]
    slack = 1e-13 * scale + there.error_au[0] + back.error_au[0]
    assert abs(there.distance_au[0] - back.distance_au[0]) <= slack or not (there.converged & back.converged)[0]

    def turned(orbit):
        columns = {name: getattr(orbit, name) for name in Orbits.__slots__}
        node = columns["longitude_of_ascending_node_deg"]
        return Orbits(**(columns | {"longitude_of_ascending_node_deg": np.remainder(node + turn_deg, 360.0)}))

    again = moid(turned(first), turned(second))
    assert abs(again.distance_au[0] - there.distance_au[0]) <= slack + again.error_au[0] + 1e-12 * scale

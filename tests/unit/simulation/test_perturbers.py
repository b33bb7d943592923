# SPDX-License-Identifier: GPL-3.0-or-later
"""An object that is itself one of the perturbing asteroids does not perturb itself."""

from pathlib import Path

import numpy as np
import pytest
from jplephem.spk import SPK

from gateway.neo.frames import icrf_to_ecliptic
from gateway.neo.units import AU_KM, J2000_TDB_JD
from gateway.simulation import ephemeris
from gateway.simulation.bodies import Body
from gateway.simulation.decode import read_scenario
from gateway.simulation.deflection.decode import read_deflection
from gateway.simulation.impact.decode import read_question
from gateway.simulation.impact.passages import follow
from gateway.simulation.nbody import Fidelity, Forces, Integrator
from orrery.inference import v1

KERNEL = Path(__file__).parents[2] / "testdata" / "kernels" / "sb441-n16-sixty-days.bsp"
EPOCH_TDB_JD = 2_461_010.5
START_D = EPOCH_TDB_JD - J2000_TDB_JD
DAYS = 30.0
CERES, VESTA = 2_000_001, 2_000_004
STATE = ("x_au", "y_au", "z_au", "vx_au_d", "vy_au_d", "vz_au_d")


def heliocentric_icrf(code, time_d):
    """(6,) as the kernel has it, au and au/d."""
    with SPK.open(str(KERNEL)) as kernel:
        (segment,) = (one for one in kernel.segments if one.target == code)
        return np.concatenate(segment.compute_and_differentiate(J2000_TDB_JD, time_d)) / AU_KM


def barycentric(code, time_d):
    return heliocentric_icrf(code, time_d) + ephemeris.states(Body.SUN, [time_d])[0]


def object_at(code, *, off_au=0.0):
    state = heliocentric_icrf(code, START_D) + np.array([off_au, 0, 0, 0, 0, 0])
    given = dict(zip(STATE, state, strict=True))
    return v1.NearEarthObject(
        state=v1.StateVector(epoch_tdb_jd=EPOCH_TDB_JD, frame=v1.FRAME_ICRF, origin=v1.ORIGIN_SUN, **given)
    )


def flown(start, without, fidelity=Fidelity.FAST):
    """Where an object is at the end."""
    flight = Integrator(start, START_D, Forces(fidelity, asteroid_kernel=KERNEL, without_asteroid=without))
    while flight.advance(START_D + DAYS, max_steps=100) is not None:
        pass
    return flight.state


def off_km(state, code):
    return float(np.linalg.norm((state - barycentric(code, START_D + DAYS))[:3])) * AU_KM


@pytest.mark.parametrize("fidelity", Fidelity)
@pytest.mark.parametrize("code", [CERES, VESTA])
def test_an_asteroid_follows_its_own_ephemeris(code, fidelity):
    assert off_km(flown(barycentric(code, START_D), code, fidelity), code) < 0.1


def test_clones_of_an_asteroid_follow_its_ephemeris():
    forces = Forces(asteroid_kernel=KERNEL, without_asteroid=CERES)
    clones = np.tile(barycentric(CERES, START_D), (3, 1))
    flight = follow(clones, START_D, START_D + DAYS, forces=forces, reach_au={})
    assert max(off_km(state, CERES) for state in flight.states) < 0.1


def test_the_others_still_act():
    # Vesta acts on an object 150,000 km from it, whether Ceres is left out or not.
    start = barycentric(VESTA, START_D) + np.array([1e-3, 0, 0, 0, 0, 0])
    ends = {without: flown(start, without)[:3] * AU_KM for without in (None, CERES, VESTA)}
    assert np.linalg.norm(ends[CERES] - ends[None]) < 0.01
    assert np.linalg.norm(ends[VESTA] - ends[None]) > 100


def test_an_asteroid_that_is_not_there_cannot_be_left_out():
    with pytest.raises(RuntimeError, match="2000433 is not among"):
        Integrator(barycentric(CERES, START_D), START_D, Forces(asteroid_kernel=KERNEL, without_asteroid=2_000_433))


def scenario(item):
    request = v1.SimulateRequest(scenario=v1.Scenario(object=item, duration_days=DAYS))
    return read_scenario(request, KERNEL).forces


def deflection(item):
    request = v1.EstimateDeflectionRequest(
        object=item, from_tdb_jd=EPOCH_TDB_JD, to_tdb_jd=EPOCH_TDB_JD + DAYS, lead_time_d=[1.0]
    )
    return read_deflection(request, KERNEL)[0].forces


def impact(item):
    item.uncertainty.covariance.CopyFrom(
        v1.Covariance(epoch_tdb_jd=EPOCH_TDB_JD, labels=STATE, values=(1e-20 * np.eye(6)).ravel())
    )
    window = v1.ImpactWindow(end_tdb_jd=EPOCH_TDB_JD + DAYS)
    return read_question(v1.EstimateImpactRequest(object=item, window=window), KERNEL).forces


@pytest.mark.parametrize("read", [scenario, deflection, impact])
def test_every_question_knows_an_asteroid_that_perturbs(read):
    forces = read(object_at(CERES, off_au=1e-6))
    assert forces.without_asteroid == CERES
    source = f"DE440; 15 asteroid perturbers from {KERNEL.name}"
    assert forces.ephemeris_description == f"{source}, without (1), the object itself"
    assert "Pluto, 15 asteroids" in forces.description
    near = read(object_at(CERES, off_au=1e-3))
    assert near.without_asteroid is None
    assert near.ephemeris_description == f"DE440; 16 asteroid perturbers from {KERNEL.name}"


def test_the_places_are_compared_in_the_ecliptic():
    state = icrf_to_ecliptic(heliocentric_icrf(VESTA, START_D))
    assert ephemeris.perturber_at(state, START_D, KERNEL) == VESTA
    assert ephemeris.perturber_at(state * np.array([1, 1, 1, 1.1, 1.1, 1.1]), START_D, KERNEL) is None

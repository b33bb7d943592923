# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation's own speed, in this process: MOIDs, what-ifs, clones, and other ways to propagate an orbit."""

import multiprocessing
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import numpy as np
import rebound
from numpy.typing import NDArray

from bench import objects
from bench.timing import Spread, in_turns
from gateway.neo.elements import from_states, to_states
from gateway.neo.moid import moid
from gateway.neo.orbits import Orbits
from gateway.neo.units import AU_KM, JULIAN_YEAR_D
from gateway.simulation import ephemeris
from gateway.simulation.bodies import DEFAULT_REPORTED, PROPERTIES, Body, Planet
from gateway.simulation.branch import barycentric, heliocentric
from gateway.simulation.clones import carry
from gateway.simulation.nbody import Fidelity, Forces, Integrator
from gateway.simulation.scenario import Push, PushAxes, Scenario
from gateway.simulation.settings import KernelSettings
from gateway.simulation.simulate import simulate

Floats = NDArray[np.float64]

_PEER_MOIDS: Final = 200
_OWN_MOIDS: Final = 50_000
_CLONES: Final = 1_000
_CLONE_YEARS: Final = 7.0
_PEER_YEARS: Final = 10.0
_SEED: Final = 20261123


def random_orbits(count: int) -> Orbits:
    """Made-up near-Earth orbits, flat in all elements."""
    draw = np.random.default_rng(_SEED).uniform
    return Orbits(
        perihelion_distance_au=draw(0.1, 1.3, count),
        eccentricity=draw(0.0, 0.95, count),
        inclination_deg=draw(0.0, 60.0, count),
        longitude_of_ascending_node_deg=draw(0.0, 360.0, count),
        argument_of_perihelion_deg=draw(0.0, 360.0, count),
        perihelion_time_tdb_jd=np.full(count, objects.EPOCH_TDB_JD),
        epoch_tdb_jd=np.full(count, objects.EPOCH_TDB_JD),
    )


def moids() -> str:
    """Time of a MOID with Earth's orbit, beside DISTLINK's (Baluev & Mikryukov 2019, Astron. Comput. 27, 11)."""
    earth = ephemeris.planet_orbits(Planet.EARTH, np.array([objects.EPOCH_TDB_JD]))
    orbits = random_orbits(_OWN_MOIDS)
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: moid(orbits, earth)}
    if find_spec("distlink") is None:
        note = "distlink-python is not installed: run `make bench`, which installs it."
    else:
        contenders["distlink-python"] = lambda: _distlink_au(orbits[:_PEER_MOIDS], earth)
        off_au = np.abs(_distlink_au(orbits[:_PEER_MOIDS], earth) - moid(orbits[:_PEER_MOIDS], earth).distance_au)
        note = f"Greatest difference between the two over {_PEER_MOIDS} orbits: {off_au.max():.1e} au."
    spreads = in_turns(contenders)
    counts = {"ours": _OWN_MOIDS, "distlink-python": _PEER_MOIDS}
    lines = ["| implementation | us a MOID, one core | times ours |", "|---|---|---|"]
    ours_us = 1e6 * spreads["ours"].median_s / _OWN_MOIDS
    for name, spread in spreads.items():
        low, mid, high = (1e6 * s / counts[name] for s in (min(spread.seconds), spread.median_s, max(spread.seconds)))
        lines.append(f"| {name} | {mid:,.3g} ({low:,.3g} to {high:,.3g}) | {mid / ours_us:,.0f} |")
    return "\n".join([*lines, "", note])


def _distlink_au(orbits: Orbits, reference: Orbits) -> Floats:
    distlink = import_module("distlink")

    def data(row: Orbits) -> object:
        q, e = float(row.perihelion_distance_au[0]), float(row.eccentricity[0])
        angles = (row.inclination_deg, row.longitude_of_ascending_node_deg, row.argument_of_perihelion_deg)
        i, node, peri = (float(np.radians(angle[0])) for angle in angles)
        return distlink.COrbitData(q / (1.0 - e), e, i, peri, node)

    most, least, _ = distlink.detect_suitable_options()
    other = data(reference)
    return np.array(
        [distlink.MOID_fast(other, data(orbits[k : k + 1]), most, least).distance for k in range(len(orbits))]
    )


def what_ifs() -> str:
    """Scenarios from question to answer: with encounter search, trajectory left out."""
    kernel = KernelSettings().asteroid_kernel
    rows: dict[str, tuple[str, Scenario]] = {}
    for name in ("Bennu", "Apophis", "Itokawa"):
        rows[f"10-year FAST what-if, {name}"] = ("< 100 ms", _scenario(name, 10, Fidelity.FAST, pushed=True))
    for name in ("Bennu", "Apophis", "Itokawa"):
        rows[f"100-year PRECISE, {name}"] = ("< 1 s", _scenario(name, 100, Fidelity.PRECISE))
    if kernel:
        with_them = Forces(Fidelity.FAST, asteroid_kernel=kernel)
        asked = _scenario("Bennu", 10, Fidelity.FAST, pushed=True, forces=with_them)
        rows["10-year FAST what-if, Bennu, 16 asteroids"] = ("< 100 ms", asked)
        with_them = Forces(Fidelity.PRECISE, asteroid_kernel=kernel)
        asked = _scenario("Bennu", 100, Fidelity.PRECISE, forces=with_them)
        rows["100-year PRECISE, Bennu, 16 asteroids"] = ("< 1 s", asked)
    spreads = in_turns({name: partial(simulate, asked, lambda _: None) for name, (_, asked) in rows.items()})
    lines = ["| scenario | median (range) | target |", "|---|---|---|"]
    lines += [f"| {name} | {spreads[name]} | {target} |" for name, (target, _) in rows.items()]
    return "\n".join(lines)


def _scenario(
    name: str, years: float, fidelity: Fidelity, *, pushed: bool = False, forces: Forces | None = None
) -> Scenario:
    start = objects.heliocentric_state(name)
    impulse = Push(objects.EPOCH_D + JULIAN_YEAR_D, (0.0, 1e-5, 0.0), PushAxes.RADIAL_TRANSVERSE_NORMAL)
    return Scenario(
        epoch_d=objects.EPOCH_D,
        baseline_state=start,
        changed_state=start if pushed else None,
        pushes=(impulse,) if pushed else (),
        duration_d=years * JULIAN_YEAR_D,
        forces=forces or Forces(fidelity),
        limits_au=dict.fromkeys(DEFAULT_REPORTED, 0.1),
    )


def _carry_block(states: Floats) -> Floats:
    return carry(states, objects.EPOCH_D, objects.EPOCH_D + _CLONE_YEARS * JULIAN_YEAR_D).states


def _one_after_another(blocks: list[Floats]) -> list[Floats]:
    return [_carry_block(block) for block in blocks]


def clones() -> str:
    """A thousand clones over seven years, in blocks of several sizes, on one process and on two."""
    lines = ["| object | clones a block | processes | median (range) | target |", "|---|---|---|---|---|"]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for name in ("Bennu", "Apophis"):
            start = barycentric(objects.heliocentric_state(name), objects.EPOCH_D)
            spread = np.array([1e-8] * 3 + [1e-10] * 3)
            states = start + np.random.default_rng(_SEED).normal(size=(_CLONES, 6)) * spread
            contenders: dict[str, Callable[[], object]] = {}
            for size in (125, 500):
                blocks = np.split(states, _CLONES // size)
                contenders[f"| {name} | {size} | 1 |"] = partial(_one_after_another, blocks)
                contenders[f"| {name} | {size} | 2 |"] = partial(pool.map, _carry_block, blocks, 1)
            contenders[f"| {name} | {_CLONES} | 1 |"] = partial(_carry_block, states)
            for row, times in in_turns(contenders, repeats=3).items():
                lines.append(f"{row} {times} | {'< 2 s' if '| 2 |' in row else ''} |")
    return "\n".join(lines)


def propagators() -> str:
    """The same object over the same span by other means: time, and km from AUDIT."""
    lines = ["| object | how | median (range) | km off after 10 years |", "|---|---|---|---|"]
    end_d = objects.EPOCH_D + _PEER_YEARS * JULIAN_YEAR_D
    for name in ("Bennu", "Apophis"):
        start = barycentric(objects.heliocentric_state(name), objects.EPOCH_D)
        ways: dict[str, Callable[[], Floats]] = {
            level.name: partial(_ours, start, end_d, level) for level in (Fidelity.FAST, Fidelity.PRECISE)
        }
        ways["REBOUND IAS15, planets as particles"] = partial(_rebound, start, end_d, "ias15")
        ways["REBOUND WHFast, 1 day, planets as particles"] = partial(_rebound, start, end_d, "whfast")
        ways["two bodies (Kepler)"] = partial(_kepler, name, end_d)
        exact = _ours(start, end_d, Fidelity.AUDIT)
        spreads: dict[str, Spread] = in_turns(ways)
        for way, spread in spreads.items():
            off_km = float(np.linalg.norm((ways[way]() - exact)[:3])) * AU_KM
            lines.append(f"| {name} | {way} | {spread} | {off_km:,.3g} |")
    return "\n".join(lines)


def _ours(start: Floats, end_d: float, fidelity: Fidelity) -> Floats:
    integrator = Integrator(start, objects.EPOCH_D, Forces(fidelity))
    while integrator.advance(end_d, max_steps=1000):
        pass
    return heliocentric(integrator.state, integrator.time_d)


def _rebound(start: Floats, end_d: float, integrator: str) -> Floats:
    """Newton's forces alone, the Sun, the planets and the Moon as particles."""
    simulation = rebound.Simulation()
    at = np.array([objects.EPOCH_D])
    gm_unit = AU_KM**3 / 86_400.0**2
    for body in Body:
        _add(simulation, ephemeris.states(body, at)[0], PROPERTIES[body].gm_km3_s2 / gm_unit)
    _add(simulation, start, 0.0)
    simulation.N_active = len(Body)
    simulation.integrator = integrator
    simulation.dt = 1.0
    simulation.integrate(end_d - objects.EPOCH_D)
    sun, last = (simulation.particles[index] for index in (0, len(Body)))
    relative = np.array([*last.xyz, *last.vxyz]) - np.array([*sun.xyz, *sun.vxyz])
    sun_then = ephemeris.states(Body.SUN, np.array([end_d]))[0]
    return heliocentric(relative + sun_then, end_d)


def _add(simulation: rebound.Simulation, state: Floats, mass: float) -> None:
    x, y, z, vx, vy, vz = (float(value) for value in state)
    simulation.add(m=mass, x=x, y=y, z=z, vx=vx, vy=vy, vz=vz)


def _kepler(name: str, end_d: float) -> Floats:
    orbit = from_states(objects.heliocentric_state(name)[None], np.array([objects.EPOCH_TDB_JD]))
    state: Floats = to_states(orbit, np.array([objects.EPOCH_TDB_JD + end_d - objects.EPOCH_D]))[0]
    return state


SECTIONS: Final = {
    f"MOID with Earth, {_OWN_MOIDS:,} random orbits of ours to {_PEER_MOIDS} of the peer": moids,
    "Scenarios": what_ifs,
    f"{_CLONES:,} clones, {_CLONE_YEARS:.0f} years, FAST": clones,
    "Other ways over the same ten years": propagators,
}

# SPDX-License-Identifier: GPL-3.0-or-later
"""What IAS15's step control costs and what it leaves: against much stricter steps, with the same forces and clock.

Writes docs/benchmarks/step-control.md: ten years of real objects, and a year of orbits that pass Earth at any speed.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench import objects
from gateway.neo.elements import Orbits, to_states
from gateway.neo.units import AU_KM, J2000_TDB_JD, JULIAN_YEAR_D
from gateway.simulation.branch import barycentric
from gateway.simulation.impact.passages import follow
from gateway.simulation.nbody import Fidelity, Forces, Integrator, forces

Floats = NDArray[np.float64]

_YEARS: Final = 10
_FLY_BY_ORBITS: Final = 1_000
# Of the references: ten years in mode 2, which leaves less of Apophis' encounter to rounding; a year in mode 1.
_REFERENCE: Final = (2, 1e-13)
_FLY_BY_REFERENCE: Final = (1, 1e-11)
_TRIED: Final = (
    (Fidelity.FAST, 2, 1e-9),
    (Fidelity.FAST, 2, 1e-10),
    (Fidelity.FAST, 1, 3e-7),
    (Fidelity.FAST, 1, 1e-7),
    (Fidelity.FAST, 1, 3e-8),
    (Fidelity.FAST, 1, 1e-8),
    (Fidelity.PRECISE, 2, 1e-11),
    (Fidelity.PRECISE, 2, 1e-12),
    (Fidelity.PRECISE, 1, 1e-8),
    (Fidelity.PRECISE, 1, 3e-9),
    (Fidelity.AUDIT, 1, 1e-9),
)


@contextlib.contextmanager
def _steps_of(fidelity: Fidelity, adaptive_mode: int, epsilon: float) -> Iterator[None]:
    recipes = forces.RECIPES
    kept = recipes[fidelity]
    recipes[fidelity] = dataclasses.replace(kept, adaptive_mode=adaptive_mode, epsilon=epsilon)
    try:
        yield
    finally:
        recipes[fidelity] = kept


def _carried(start: Floats, start_d: float, fidelity: Fidelity, *, years: int = _YEARS) -> tuple[Floats, int]:
    """The state after some years, and how many steps it took."""
    integrator = Integrator(start, start_d, Forces(fidelity))
    count = 0
    while steps := integrator.advance(start_d + years * JULIAN_YEAR_D, max_steps=1000):
        count += len(steps)
    return integrator.state, count


def _followed(start: Floats, start_d: float, fidelity: Fidelity) -> tuple[Floats, int]:
    """The same as a swarm of one, which is calm where no body is near."""
    ends_d: list[float] = []
    end_d = start_d + _YEARS * JULIAN_YEAR_D
    flight = follow(start[None], start_d, end_d, forces=Forces(fidelity), reach_au={}, moved=ends_d.append)
    return flight.states[0], len(ends_d)


def report() -> str:
    """The table, as Markdown."""
    starts = [barycentric(objects.heliocentric_state(name), objects.EPOCH_D) for name in objects.NAMES]
    references: dict[Fidelity, list[Floats]] = {}
    for fidelity in Fidelity:
        with _steps_of(fidelity, *_REFERENCE):
            references[fidelity] = [_carried(start, objects.EPOCH_D, fidelity)[0] for start in starts]
    lines = [
        "| level | step control | steps a year | ms a year | error after 10 years: median | worst | object |",
        "|---|---|---|---|---|---|---|",
    ]
    for fidelity, mode, epsilon in _TRIED:
        name = _name(fidelity, mode, epsilon)
        with _steps_of(fidelity, mode, epsilon):
            lines.append(_row(name, fidelity, starts, references[fidelity], _carried))
    fast = forces.RECIPES[Fidelity.FAST]
    name = f"**clones (here one): epsilon {fast.calm_epsilon:.0e} far from all bodies**"
    lines.append(_row(name, Fidelity.FAST, starts, references[Fidelity.FAST], _followed))
    return "\n".join(lines)


def fly_bys() -> str:
    """A year of orbits near Earth's, in all inclinations: some pass Earth within a step, at up to 70 km/s."""
    starts = _orbits_near_earths()
    lines = [
        "| level | step control | steps a year | ms a year | error after a year: median | 99 % | worst | above 100 m |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for fidelity in Fidelity:
        with _steps_of(fidelity, *_FLY_BY_REFERENCE):
            references = [_carried(*start, fidelity, years=1)[0] for start in starts]
        for mode, epsilon in ((mode, epsilon) for level, mode, epsilon in _TRIED if level is fidelity):
            start_s = time.process_time()
            with _steps_of(fidelity, mode, epsilon):
                ends = [_carried(*start, fidelity, years=1) for start in starts]
            spent_ms = 1e3 * (time.process_time() - start_s) / len(starts)
            pairs = zip(ends, references, strict=True)
            errors_m = np.array([np.linalg.norm((end - there)[:3]) * AU_KM * 1e3 for (end, _), there in pairs])
            lines.append(
                f"| {fidelity.name} | {_name(fidelity, mode, epsilon)} | {np.mean([count for _, count in ends]):.0f} "
                f"| {spent_ms:.2f} | {np.median(errors_m):.2g} m | {np.quantile(errors_m, 0.99):.2g} m "
                f"| {errors_m.max():.2g} m | {np.mean(errors_m > 100.0):.1%} |"
            )
    return "\n".join(lines)


def _orbits_near_earths() -> list[tuple[Floats, float]]:
    """Barycentric states with their times."""
    draw = np.random.default_rng(20_261_129).uniform
    count = _FLY_BY_ORBITS
    epochs = draw(2_440_000.5, 2_480_000.5, count)
    orbits = Orbits(
        draw(0.9, 1.05, count),
        draw(0.0, 0.3, count),
        draw(0.0, 175.0, count),
        draw(0.0, 360.0, count),
        draw(0.0, 360.0, count),
        epochs + draw(-300.0, 300.0, count),
        epochs,
    )
    times_d = (epochs - J2000_TDB_JD).tolist()
    return [(barycentric(state, time_d), time_d) for state, time_d in zip(to_states(orbits), times_d, strict=True)]


def _name(fidelity: Fidelity, mode: int, epsilon: float) -> str:
    shipped = forces.RECIPES[fidelity]
    name = f"mode {mode}, epsilon {epsilon:.0e}"
    return f"**{name}**" if (mode, epsilon) == (shipped.adaptive_mode, shipped.epsilon) else name


def _row(
    name: str,
    fidelity: Fidelity,
    starts: list[Floats],
    references: list[Floats],
    carried: Callable[[Floats, float, Fidelity], tuple[Floats, int]],
) -> str:
    start_s = time.process_time()
    ends = [carried(start, objects.EPOCH_D, fidelity) for start in starts]
    spent_ms = 1e3 * (time.process_time() - start_s)
    pairs = zip(ends, references, strict=True)
    errors_m = np.array([np.linalg.norm((end - there)[:3]) * AU_KM * 1e3 for (end, _), there in pairs])
    total_years = _YEARS * len(starts)
    return (
        f"| {fidelity.name} | {name} | {sum(count for _, count in ends) / total_years:.0f} "
        f"| {spent_ms / total_years:.2f} | {np.median(errors_m):.2g} m | {errors_m.max():.2g} m "
        f"| {objects.NAMES[int(errors_m.argmax())]} |"
    )

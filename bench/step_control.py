# SPDX-License-Identifier: GPL-3.0-or-later
"""What IAS15's epsilon costs and what it wins: ten years of real objects against much stricter steps.

Writes docs/benchmarks/step-control.md. Only the steps differ from the reference: same forces, same clock.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench import objects
from gateway.neo.units import AU_KM, JULIAN_YEAR_D
from gateway.simulation.branch import barycentric
from gateway.simulation.impact.passages import follow
from gateway.simulation.nbody import Fidelity, Forces, Integrator, forces

Floats = NDArray[np.float64]

_YEARS: Final = 10
_REFERENCE_EPSILON: Final = 1e-13
_MODE_PRS23: Final = 2
_TRIED: Final = (
    (Fidelity.FAST, 2, 1e-9),
    (Fidelity.FAST, 2, 3e-10),
    (Fidelity.FAST, 2, 1e-10),
    (Fidelity.FAST, 2, 1e-11),
    (Fidelity.PRECISE, 2, 1e-9),
    (Fidelity.PRECISE, 2, 1e-10),
    (Fidelity.PRECISE, 2, 1e-11),
    (Fidelity.PRECISE, 2, 1e-12),
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


def _carried(start: Floats, fidelity: Fidelity) -> tuple[Floats, int]:
    """The state after ten years, and how many steps it took."""
    integrator = Integrator(start, objects.EPOCH_D, Forces(fidelity))
    count = 0
    while steps := integrator.advance(objects.EPOCH_D + _YEARS * JULIAN_YEAR_D, max_steps=1000):
        count += len(steps)
    return integrator.state, count


def _followed(start: Floats, fidelity: Fidelity) -> tuple[Floats, int]:
    """The same as a swarm of one, which is calm where no body is near."""
    ends_d: list[float] = []
    end_d = objects.EPOCH_D + _YEARS * JULIAN_YEAR_D
    flight = follow(start[None], objects.EPOCH_D, end_d, forces=Forces(fidelity), reach_au={}, moved=ends_d.append)
    return flight.states[0], len(ends_d)


def report() -> str:
    """The table, as Markdown."""
    starts = [barycentric(objects.heliocentric_state(name), objects.EPOCH_D) for name in objects.NAMES]
    references: dict[Fidelity, list[Floats]] = {}
    for fidelity in Fidelity:
        with _steps_of(fidelity, _MODE_PRS23, _REFERENCE_EPSILON):
            references[fidelity] = [_carried(start, fidelity)[0] for start in starts]
    lines = [
        "| level | step control | steps a year | ms a year | error after 10 years: median | worst | object |",
        "|---|---|---|---|---|---|---|",
    ]
    for fidelity, mode, epsilon in _TRIED:
        shipped = forces.RECIPES[fidelity]
        name = f"mode {mode}, epsilon {epsilon:.0e}"
        used = (mode, epsilon) == (shipped.adaptive_mode, shipped.epsilon)
        with _steps_of(fidelity, mode, epsilon):
            lines.append(_row(f"**{name}**" if used else name, fidelity, starts, references[fidelity], _carried))
    fast = forces.RECIPES[Fidelity.FAST]
    name = f"**clones (here one): epsilon {fast.calm_epsilon:.0e} far from all bodies**"
    lines.append(_row(name, Fidelity.FAST, starts, references[Fidelity.FAST], _followed))
    return "\n".join(lines)


def _row(
    name: str,
    fidelity: Fidelity,
    starts: list[Floats],
    references: list[Floats],
    carried: Callable[[Floats, Fidelity], tuple[Floats, int]],
) -> str:
    start_s = time.process_time()
    ends = [carried(start, fidelity) for start in starts]
    spent_ms = 1e3 * (time.process_time() - start_s)
    pairs = zip(ends, references, strict=True)
    errors_m = np.array([np.linalg.norm((end - there)[:3]) * AU_KM * 1e3 for (end, _), there in pairs])
    total_years = _YEARS * len(starts)
    return (
        f"| {fidelity.name} | {name} | {sum(count for _, count in ends) / total_years:.0f} "
        f"| {spent_ms / total_years:.2f} | {np.median(errors_m):.2g} m | {errors_m.max():.2g} m "
        f"| {objects.NAMES[int(errors_m.argmax())]} |"
    )

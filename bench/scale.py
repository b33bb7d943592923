# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clone-year and an object of a nightly run cost, in processor time of one core."""

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from google.protobuf import json_format

from bench.short_arcs import short_arcs
from bench.tables import markdown
from gateway.neo.units import JULIAN_YEAR_D
from gateway.serving.validation import Violations
from gateway.simulation.branch import barycentric
from gateway.simulation.impact.passages import follow
from gateway.simulation.nbody import Forces
from gateway.simulation.nightly import Night, answer
from gateway.simulation.objects import epoch_of, orbit_of, state_of
from gateway.simulation.settings import KernelSettings
from orrery.inference import v1

INTRO: Final = """
Written by `make bench-scale`. Processor time of one core, medians of three with the range; what these figures mean for
a million clones a day and for a whole catalogue is in [scale.md](../scale.md).
"""

_NAMED: Final = Path(__file__).resolve().parents[1] / "client" / "examples" / "named_orbits.json"
_REPEATS: Final = 3
_YEARS: Final = 10.0
_BLOCKS: Final = (1, 100, 500)
_SHORT_ARCS: Final = 200
_CLONES: Final = 200
# A clone differs from its fellows by about so much, au and au/d.
_SPREAD: Final = 1e-8


def clone_years() -> str:
    """Blocks of clones of each named object over ten years, as an impact estimate follows them: hits on any body."""
    kernel = KernelSettings().asteroid_kernel
    rows = []
    for item in _named():
        state = state_of(item, orbit_of(item, "object", Violations()))
        start_d = epoch_of(item) - 2_451_545.0
        start = barycentric(state, start_d)
        end_d = start_d + _YEARS * JULIAN_YEAR_D

        def block(
            count: int,
            start: "np.ndarray[tuple[int], np.dtype[np.float64]]" = start,
            start_d: float = start_d,
            end_d: float = end_d,
        ) -> Callable[[], object]:
            clones = start + _SPREAD * np.random.default_rng(6).normal(size=(count, 6))
            return lambda: follow(clones, start_d, end_d, forces=Forces(asteroid_kernel=kernel), reach_au={})

        cells = [_ms(_seconds(block(count)), per=count * _YEARS) for count in _BLOCKS]
        rows.append((item.designation, *cells))
    asteroids = "with 16 asteroids" if kernel else "without asteroids"
    head = (f"ms a clone-year ({asteroids})", "alone", *(f"blocks of {count}" for count in _BLOCKS[1:]))
    return markdown(head, rows)


def nightly_objects() -> str:
    """MOID, encounters of ten years, and an impact estimate of at most 2,000 clones where the orbit has sigmas."""
    rows = []
    night = Night(_YEARS * JULIAN_YEAR_D, 2_000, KernelSettings().asteroid_kernel)
    for item in _named():
        bare = v1.NearEarthObject()
        bare.CopyFrom(item)
        bare.ClearField("uncertainty")
        known = v1.NearEarthObject()
        known.CopyFrom(bare)
        known.uncertainty.sigmas.CopyFrom(
            v1.ElementSigmas(
                semi_major_axis_au=1e-8,
                eccentricity=1e-7,
                inclination_deg=1e-5,
                longitude_of_ascending_node_deg=1e-5,
                argument_of_perihelion_deg=1e-5,
                mean_anomaly_deg=1e-5,
            )
        )
        cells = []
        for asked in (bare, known):
            text = json_format.MessageToJson(asked, indent=None)
            cells.append(_ms(_seconds(partial(answer, text, night))))
        rows.append((item.designation, *cells))
    return markdown(("ms an object", "MOID and encounters", "and an impact estimate"), rows)


def short_arc_clones() -> str:
    """200 clones over ten years of orbits drawn from the catalogue with an arc of seven days: hits on any body."""
    kernel = KernelSettings().asteroid_kernel
    costs = []
    for arc in short_arcs(_SHORT_ARCS):
        clones = arc.clones(_CLONES)
        begun_s = time.process_time()
        end_d = arc.epoch_d + _YEARS * JULIAN_YEAR_D
        follow(clones, arc.epoch_d, end_d, forces=Forces(asteroid_kernel=kernel), reach_au={})
        costs.append((time.process_time() - begun_s, arc))
    costs.sort(key=lambda cost: cost[0])
    middle_s = median(cost_s for cost_s, _ in costs)
    chosen = {"least": costs[0], "95 %": costs[int(0.95 * len(costs))], "most": costs[-1]}
    rows = [("median", f"{middle_s:.2f}", "1", "", "", "")]
    for name, (cost_s, arc) in chosen.items():
        years = f"{arc.period_d / JULIAN_YEAR_D:.2f}"
        rows.append((name, f"{cost_s:.2f}", f"{cost_s / middle_s:.2f}", arc.name, f"{arc.eccentricity:.2f}", years))
    head = (f"{_SHORT_ARCS} objects", "s", "of the median", "object", "e", "period, years")
    return markdown(head, rows)


SECTIONS: Final = {
    "A clone-year": clone_years,
    "An object of a nightly run": nightly_objects,
    "Clones of short arcs": short_arc_clones,
}


def _named() -> Iterable[v1.NearEarthObject]:
    for entry in json.loads(_NAMED.read_text(encoding="utf-8")):
        yield json_format.ParseDict(entry["object"], v1.NearEarthObject())


def _seconds(call: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(_REPEATS):
        begun_s = time.process_time()
        call()
        taken.append(time.process_time() - begun_s)
    return taken


def _ms(seconds: list[float], per: float = 1.0) -> str:
    middle, least, most = (1e3 * value / per for value in (median(seconds), min(seconds), max(seconds)))
    return f"{middle:.3g} ({least:.3g} to {most:.3g})"

# SPDX-License-Identifier: GPL-3.0-or-later
"""The anomaly pod's own speed, in this process on the newest published forest: scores, explanations, single calls."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.timing import Spread, in_turns
from gateway.anomaly.explanation import path_length_shares
from gateway.anomaly.forests import Forests
from gateway.anomaly.servicer import AnomalyServicer
from gateway.anomaly.settings import AnomalySettings
from gateway.serving.settings import FOREST_NAME
from gateway.serving.turns import Turns, complete
from orrery.inference import v1

_COLUMNS: Final = 100_000
_ROWS: Final = 1_000
_SINGLE_CALLS: Final = 200
_SEED: Final = 20261123
_EPOCH_TDB_JD: Final = 2461000.5
_NAMES: Final = (
    "perihelion_distance_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
)

Floats = NDArray[np.float64]


def _orbits(count: int) -> Floats:
    """(N, 6) made-up orbits with H, crowded where the known population is."""
    draw = np.random.default_rng(_SEED)
    q = np.clip(draw.normal(0.95, 0.2, count), 0.1, 1.3)
    e = draw.beta(4.0, 5.0, count)
    i = np.clip(draw.rayleigh(8.0, count), 0.01, 120.0)
    return np.column_stack(
        [q, e, i, draw.uniform(0, 360, count), draw.uniform(0, 360, count), draw.normal(24.0, 2.5, count).clip(10, 32)]
    )


def _forests() -> Forests:
    settings = AnomalySettings()
    forests = Forests(settings.model_store / FOREST_NAME, kept_versions=1)
    forests.refresh()
    return forests


def _request(rows: Floats, *, explain: bool) -> v1.ScoreAnomaliesRequest:
    objects = []
    for row in rows:
        elements = v1.OrbitalElements(epoch_tdb_jd=_EPOCH_TDB_JD, mean_anomaly_deg=0.0)
        for name, value in zip(_NAMES, row, strict=False):
            setattr(elements, name, value)
        physical = v1.PhysicalParameters(absolute_magnitude_h=row[5])
        objects.append(v1.NearEarthObject(elements=elements, physical=physical))
    return v1.ScoreAnomaliesRequest(objects=objects, explain=explain)


def columns() -> str:
    """Scores without explanations, 100,000 objects a call."""
    table = _orbits(_COLUMNS)
    orbits = v1.OrbitColumns(epoch_tdb_jd=[_EPOCH_TDB_JD], absolute_magnitude_h=table[:, 5].tolist())
    for name, column in zip(_NAMES, table.T, strict=False):
        getattr(orbits, name).extend(column.tolist())
    content = v1.ScoreAnomalyColumnsRequest(orbits=orbits).SerializeToString()
    threads = AnomalySettings().threads

    forests = _forests()

    def ask(count: int) -> None:
        with Turns(count, name="score") as turns:
            servicer = AnomalyServicer(forests, "neo_anomaly", turns)
            request = v1.ScoreAnomalyColumnsRequest.FromString(content)
            asyncio.run(servicer.score_columns(request)).SerializeToString()

    contenders: dict[str, Callable[[], object]] = {
        f"{count} thread{'s' if count > 1 else ''}": partial(ask, count) for count in sorted({1, threads})
    }
    spreads = in_turns(contenders)
    return _rates(spreads, dict.fromkeys(spreads, _COLUMNS), "> 100,000")


def explanations() -> str:
    """Exact Shapley values alone, and the whole call of 1,000 rows with and without them."""
    rows = _orbits(_ROWS)
    forests = _forests()
    forest = forests.choose(v1.ModelSelector())
    features = forest.score(rows).features

    def ask(explain: bool) -> Callable[[], object]:
        content = _request(rows, explain=explain).SerializeToString()

        def call() -> None:
            with Turns(1, name="score") as turns:
                servicer = AnomalyServicer(forests, "neo_anomaly", turns)
                request = v1.ScoreAnomaliesRequest.FromString(content)
                complete(servicer.rows_in_pieces(request)).SerializeToString()

        return call

    spreads = in_turns(
        {
            "Shapley values alone, one core": lambda: path_length_shares(forest.tables, features),
            "ScoreAnomalies, 1,000 rows explained, one core": ask(explain=True),
            "ScoreAnomalies, 1,000 rows, one core": ask(explain=False),
        }
    )
    return _rates(spreads, dict.fromkeys(spreads, _ROWS), "> 1,000")


def single() -> str:
    """A call of one row, decoded already: what each pays that asks for one object."""
    forests = _forests()

    def ask(explain: bool) -> Callable[[], object]:
        request = _request(_orbits(1), explain=explain)

        def call() -> None:
            with Turns(1, name="score") as turns:
                servicer = AnomalyServicer(forests, "neo_anomaly", turns)
                for _ in range(_SINGLE_CALLS):
                    complete(servicer.rows_in_pieces(request))

        return call

    spreads = in_turns({"one row": ask(explain=False), "one row, explained": ask(explain=True)})
    lines = ["| call | us, median (range) |", "|---|---:|"]
    for name, spread in spreads.items():
        low, mid, high = (1e6 * s / _SINGLE_CALLS for s in (min(spread.seconds), spread.median_s, max(spread.seconds)))
        lines.append(f"| {name} | {mid:,.0f} ({low:,.0f} to {high:,.0f}) |")
    return "\n".join(lines)


def _rates(spreads: dict[str, Spread], counts: dict[str, int], target: str) -> str:
    lines = ["| what | objects a second, median (range) | target |", "|---|---:|---:|"]
    for name, spread in spreads.items():
        low, mid, high = (counts[name] / s for s in (max(spread.seconds), spread.median_s, min(spread.seconds)))
        lines.append(f"| {name} | {mid:,.0f} ({low:,.0f} to {high:,.0f}) | {target} |")
    return "\n".join(lines)


INTRO: Final = """
Written by `python -m bench anomaly`, in one process without the network: what the pod does with a message from its
bytes to the reply's bytes, on the newest published forest. Medians of 7 in turns, with the range.
"""

SECTIONS: Final = {
    "Scores by columns": columns,
    "Explanations": explanations,
    "Single objects": single,
}

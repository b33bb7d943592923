# SPDX-License-Identifier: GPL-3.0-or-later
"""What the changes do to each encounter: the two branches' close approaches, told apart or matched."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import DAY_S
from orrery.inference import v1

# Farther apart in time two encounters with one body are different ones.
MAX_APART_D: Final = 30.0

Approaches: TypeAlias = Sequence[v1.CloseApproach]
Floats = NDArray[np.float64]


def encounter_differences(
    baseline: Approaches, changed: Approaches, *, backwards: bool
) -> list[v1.EncounterDifference]:
    """Every encounter of either branch once, with its counterpart where it has one.

    Two encounters with one body belong together where each is the other's nearest in time, at most 30 days apart.

    Args:
        baseline: of the object as it is.
        changed: of the changed object.
        backwards: the integration's direction, which orders the answer.
    """
    found = [
        _difference(baseline, changed, one, other)
        for body in sorted({approach.body for approach in (*baseline, *changed)})
        for one, other in _pairs(_of(baseline, body), _of(changed, body), baseline, changed)
    ]

    def when(difference: v1.EncounterDifference) -> float:
        in_baseline = difference.HasField("baseline_index")
        met = baseline[difference.baseline_index] if in_baseline else changed[difference.changed_index]
        return -met.time_tdb_jd if backwards else met.time_tdb_jd

    return sorted(found, key=when)


def _of(approaches: Approaches, body: int) -> list[int]:
    return [index for index, approach in enumerate(approaches) if approach.body == body]


def _pairs(
    ones: list[int], others: list[int], baseline: Approaches, changed: Approaches
) -> Iterator[tuple[int | None, int | None]]:
    """Indices into the two branches; None where there is no counterpart."""
    times = np.array([baseline[one].time_tdb_jd for one in ones])
    other_times = np.array([changed[other].time_tdb_jd for other in others])
    left = set(others)
    there, back = _nearest(times, other_times), _nearest(other_times, times)
    for row, one in enumerate(ones):
        column = there[row] if len(others) else -1
        if len(others) and back[column] == row and abs(times[row] - other_times[column]) <= MAX_APART_D:
            left.discard(others[column])
            yield one, others[column]
        else:
            yield one, None
    for other in sorted(left):
        yield None, other


def _nearest(of: Floats, among: Floats) -> list[int]:
    """For each instant the position of the nearest of some others, the earlier in the list of two equals."""
    return [int(np.argmin(np.abs(among - instant))) for instant in of] if len(among) else []


def _difference(
    baseline: Approaches, changed: Approaches, one: int | None, other: int | None
) -> v1.EncounterDifference:
    if one is None or other is None:
        body = baseline[one].body if one is not None else changed[other or 0].body
        return v1.EncounterDifference(body=body, baseline_index=one, changed_index=other)
    was, is_now = baseline[one], changed[other]
    difference = v1.EncounterDifference(
        body=was.body,
        baseline_index=one,
        changed_index=other,
        distance_km=is_now.distance_km - was.distance_km,
        time_s=(is_now.time_tdb_jd - was.time_tdb_jd) * DAY_S,
    )
    # Through the very centre there is no speed.
    if was.relative_velocity_km_s and is_now.relative_velocity_km_s:
        difference.relative_velocity_km_s = is_now.relative_velocity_km_s - was.relative_velocity_km_s
    if was.HasField("b_plane") and is_now.HasField("b_plane"):
        difference.xi_km = is_now.b_plane.xi_km - was.b_plane.xi_km
        difference.zeta_km = is_now.b_plane.zeta_km - was.b_plane.zeta_km
    return difference

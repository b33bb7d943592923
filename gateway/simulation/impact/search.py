# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual impactors: regions of the uncertainty that hit, found along the line of variations.

Members along the line, evenly out to 5 sigma, are flown (Milani et al. 2005, Icarus 173, 362; out to 5 sigma with Del
Vigna, Guerra & Valsecchi 2020, Commun. Nonlinear Sci. 85); between neighbours with the same encounter the trace in the
target plane is taken as straight, and where it comes nearest to the body an iteration begins. That is the orbit fit
with an impact as one more observation of Roa, Farnocchia & Chesley 2021 (AJ 162, 277), in coordinates in which
everything observed so far says |z|^2: minimise |z|^2 + |b(z)|^2 / s^2. Nothing confines it to the line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.simulation.bodies import Body
from gateway.simulation.impact.passages import Passage
from gateway.simulation.impact.question import Moved, Question, TargetMap, mover
from gateway.simulation.impact.target_maps import (
    SAME_ENCOUNTER_D,
    fitted,
    fly,
    linearise,
    passages_by_clone,
    pierced_km,
    probability,
)
from gateway.simulation.impact.uncertainty import Cloud

Floats = NDArray[np.float64]

REACH_SIGMA: Final = 5.0
SCAN: Final = 200
"""Members along the line."""
MOST_CANDIDATES: Final = 24
# Virtual impactors less probable than this are not worth a clone.
LEAST: Final = 1e-11

_ITERATIONS: Final = 8
# The accuracy of the pretended observation, in parts of the capture radius.
_SHARPNESS: Final = 1.0 / 3.0
_CONVERGED: Final = 0.05
_LONGEST_STEP: Final = 1.5
_FARTHEST_SIGMA: Final = 7.5
_BEYOND_D: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Sighted:
    """An encounter of one member of the line: its coordinate, the body, when, and where it pierces the plane."""

    sigma: float
    body: Body
    time_d: float
    pierced_km: Floats


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where the line comes nearest to a body: an iteration may begin there."""

    sigma: float
    body: Body
    time_d: float
    distance_km: float


def scan(
    question: Question,
    cloud: Cloud,
    direction: Floats,
    sigmas: Floats,
    emit: Callable[[Moved], None],
    cancelled: Callable[[], bool],
) -> list[Sighted]:
    """A job: fly members along a line and tell whom they meet within the window.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    moved = mover(emit, cloud.epoch_d, question.window_d[1])
    flight, sound = fly(cloud, sigmas[:, None] * direction, question, moved=moved, cancelled=cancelled)
    return [
        Sighted(float(sigmas[clone]), passage.body, passage.time_d, at_km)
        for clone, passages in enumerate(passages_by_clone(flight, len(sigmas)))
        for passage in passages
        if sound[clone] and _counts(passage, question) and (at_km := pierced_km(passage)) is not None
    ]


def _counts(passage: Passage, question: Question) -> bool:
    return passage.body in question.bodies and question.window_d[0] <= passage.time_d <= question.window_d[1]


def candidates(sighted: Sequence[Sighted], spacing: float) -> list[Candidate]:
    """Where the traces of an encounter come nearest to the body, the nearest first.

    Args:
        sighted: all encounters along the line.
        spacing: of its members, in sigma.
    """
    found: list[Candidate] = []
    for body in Body:
        own = sorted((s for s in sighted if s.body is body), key=lambda s: (s.sigma, s.time_d))
        joined: set[int] = set()
        for index, one in enumerate(own):
            other = _neighbour(one, own[index + 1 :], spacing)
            if other is None:
                continue
            joined |= {id(one), id(other)}
            way = other.pierced_km - one.pierced_km
            share = float(np.clip(-(one.pierced_km @ way) / max(float(way @ way), 1e-12), 0.0, 1.0))
            nearest = float(np.linalg.norm(one.pierced_km + share * way))
            sigma = one.sigma + share * (other.sigma - one.sigma)
            found.append(Candidate(sigma, body, one.time_d + share * (other.time_d - one.time_d), nearest))
        alone = [s for s in own if id(s) not in joined]
        found += [Candidate(s.sigma, body, s.time_d, float(np.linalg.norm(s.pierced_km))) for s in alone]
    return _least_of_each(found, spacing)[:MOST_CANDIDATES]


def _neighbour(one: Sighted, later: Sequence[Sighted], spacing: float) -> Sighted | None:
    """The same encounter of the next member of the line."""
    for other in later:
        if other.sigma > one.sigma + 1.5 * spacing:
            return None
        if other.sigma > one.sigma + 0.5 * spacing and abs(other.time_d - one.time_d) <= SAME_ENCOUNTER_D:
            return other
    return None


def _least_of_each(found: list[Candidate], spacing: float) -> list[Candidate]:
    """Of neighbouring stretches of one trace only the one that comes nearest."""
    kept: list[Candidate] = []
    for candidate in sorted(found, key=lambda c: (c.distance_km, c.sigma)):
        if not any(
            other.body is candidate.body
            and abs(other.time_d - candidate.time_d) <= SAME_ENCOUNTER_D
            and abs(other.sigma - candidate.sigma) <= 1.5 * spacing
            for other in kept
        ):
            kept.append(candidate)
    return [c for c in kept if not _on_a_slope(c, kept, spacing)]


def _on_a_slope(candidate: Candidate, kept: Sequence[Candidate], spacing: float) -> bool:
    """Whether the same trace comes nearer within a few members."""
    return any(
        other.body is candidate.body
        and other.distance_km < candidate.distance_km
        and abs(other.time_d - candidate.time_d) <= SAME_ENCOUNTER_D
        and abs(other.sigma - candidate.sigma) <= 4.0 * spacing
        for other in kept
    )


def refine(
    question: Question,
    cloud: Cloud,
    start: Floats,
    body: Body,
    time_d: float,
    emit: Callable[[Moved], None],
    cancelled: Callable[[], bool],
) -> TargetMap | str:
    """A job: from a member near an impact to the virtual impactor's centre.

    Args:
        question: what is asked.
        cloud: the orbits.
        start: (k,) where to begin.
        body: to be hit.
        time_d: about when.
        emit: told of progress.
        cancelled: asked before every step.

    Returns:
        The map around it, or why there is none.

    Raises:
        Cancelled: when told so.
        RuntimeError: the integrator failed.
    """
    z, sharpest = start, _SHARPNESS
    for iteration in range(_ITERATIONS):
        until_d = min(question.window_d[1], time_d + SAME_ENCOUNTER_D + _BEYOND_D)
        moved = mover(emit, cloud.epoch_d, until_d, done=iteration / _ITERATIONS, share=1.0 / _ITERATIONS)
        around = linearise(cloud, z, question, until_d=until_d, moved=moved, cancelled=cancelled)
        near = [m for m in around.maps if m.body is body and abs(m.time_d - time_d) <= SAME_ENCOUNTER_D]
        if not near:
            return "the encounter is lost"
        target = min(near, key=lambda m: abs(m.time_d - time_d))
        time_d = target.time_d
        step = fitted(target, sharpest * target.capture_km) - z
        length = float(np.linalg.norm(step))
        if float(np.linalg.norm(target.slope_km @ step)) < _CONVERGED * target.capture_km:
            return target if probability(target) > LEAST else f"less probable than {LEAST:g}"
        z = z + step * min(1.0, _LONGEST_STEP / length)
        if float(np.linalg.norm(z)) > _FARTHEST_SIGMA:
            return f"farther than {_FARTHEST_SIGMA:g} sigma"
    return f"no end after {_ITERATIONS} iterations"


def distinct(targets: Sequence[TargetMap | str]) -> list[TargetMap]:
    """Virtual impactors without those found twice, the most probable first."""
    kept: list[TargetMap] = []
    for target in sorted((t for t in targets if not isinstance(t, str)), key=probability, reverse=True):
        if not any(
            other.body is target.body
            and abs(other.time_d - target.time_d) <= SAME_ENCOUNTER_D
            and float(np.linalg.norm(other.slope_km @ (target.at - other.at))) < other.capture_km
            for other in kept
        ):
            kept.append(target)
    return kept

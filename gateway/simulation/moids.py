# SPDX-License-Identifier: GPL-3.0-or-later
"""ComputeMoid and its columns: from a request to a reply, in pieces of some milliseconds."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

import numpy as np

from gateway.neo.elements import Orbits
from gateway.neo.moid import MoidResult, moid
from gateway.serving.orbit_columns import read_columns
from gateway.serving.orbits import read_orbits
from gateway.serving.turns import Pieces, by_blocks
from gateway.serving.validation import Violations, check
from gateway.simulation.bodies import Planet
from gateway.simulation.encode import elements_message
from gateway.simulation.ephemeris import planet_orbits
from orrery.inference import v1

_PLANETS: Final = {int(planet) for planet in Planet}


def answer_rows(request: v1.ComputeMoidRequest) -> Pieces[v1.ComputeMoidResponse]:
    """MOIDs of every object with every planet, some at a time.

    Raises:
        InvalidRequest: naming every violated field.
    """
    violations = Violations()
    check(request, violations)
    planets = _planets(request, violations)
    orbits = read_orbits(request.objects, violations)
    columns = []
    for planet in planets:
        references, found = yield from _moids(orbits, planet, certify=request.certify)
        columns.append((planet, references, found))
    objects: list[v1.ObjectMoids] = []

    def encode(part: slice) -> None:
        objects.extend(_message(request.objects[row], row, columns) for row in range(*part.indices(len(orbits))))

    yield from by_blocks(len(orbits), encode)
    return v1.ComputeMoidResponse(objects=objects)


def _message(
    item: v1.NearEarthObject, row: int, columns: Sequence[tuple[Planet, Orbits, MoidResult]]
) -> v1.ObjectMoids:
    return v1.ObjectMoids(
        designation=item.designation,
        moids=[
            v1.Moid(
                planet=v1.Planet.ValueType(planet),
                distance_au=found.distance_au[row],
                object_true_anomaly_deg=found.true_anomaly_deg[row] % 360.0,
                planet_true_anomaly_deg=found.reference_true_anomaly_deg[row] % 360.0,
                reference_orbit=elements_message(references[row : row + 1]),
                converged=found.converged[row],
                certified=found.certified[row],
            )
            for planet, references, found in columns
        ],
    )


def answer_columns(request: v1.ComputeMoidColumnsRequest) -> Pieces[v1.ComputeMoidColumnsResponse]:
    """MOIDs of columns of orbits with one planet, some at a time.

    Raises:
        InvalidRequest: naming every violated field.
    """
    violations = Violations()
    check(request, violations)
    orbits = read_columns(request.orbits, violations)
    _, found = yield from _moids(orbits, Planet(request.planet or v1.PLANET_EARTH), certify=request.certify)
    return v1.ComputeMoidColumnsResponse(
        distance_au=found.distance_au,
        object_true_anomaly_deg=found.true_anomaly_deg % 360.0,
        planet_true_anomaly_deg=found.reference_true_anomaly_deg % 360.0,
        converged=found.converged,
        certified=found.certified if request.certify else None,
    )


def _moids(orbits: Orbits, planet: Planet, *, certify: bool) -> Pieces[tuple[Orbits, MoidResult]]:
    """The planet's orbit at each object's epoch, and the MOIDs with it.

    Raises:
        ArithmeticError: a MOID is not finite.
    """
    epochs, rows = np.unique(orbits.epoch_tdb_jd, return_inverse=True)
    references = planet_orbits(planet, epochs)[rows]
    parts: list[MoidResult] = []

    def work(part: slice) -> None:
        parts.append(moid(orbits[part], references[part], certify=certify))

    yield from by_blocks(len(orbits), work)
    found = MoidResult(
        **{column.name: np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(MoidResult)}
    )
    if not all(
        np.isfinite(c).all() for c in (found.distance_au, found.true_anomaly_deg, found.reference_true_anomaly_deg)
    ):
        raise ArithmeticError(f"a MOID with {planet.name} is not finite")
    return references, found


def _planets(request: v1.ComputeMoidRequest, violations: Violations) -> list[Planet]:
    """The planets that a request names, Earth where it names none."""
    planets: list[Planet] = []
    for row, number in enumerate(request.planets):
        if number not in _PLANETS:
            violations.add(f"planets[{row}]", "must name a planet")
        elif (planet := Planet(number)) in planets:
            violations.add(f"planets[{row}]", f"{planet.name} is named twice")
        else:
            planets.append(planet)
    return planets or [Planet.EARTH]

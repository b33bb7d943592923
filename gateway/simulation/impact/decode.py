# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request to a `Question`, or a refusal that names every violated field."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.errors import InvalidImpactError
from gateway.neo.impact import Impactor
from gateway.neo.orbits import Orbits
from gateway.neo.units import J2000_TDB_JD
from gateway.serving.bounds import NUMBERS
from gateway.serving.validation import Violations, check
from gateway.simulation import objects
from gateway.simulation.assessing import impactor_of_message
from gateway.simulation.bodies import Body
from gateway.simulation.impact.question import DEFAULT_BODIES, Method, Question
from gateway.simulation.impact.uncertainty import (
    CARTESIAN,
    PHASES,
    PUSHES,
    SHAPE,
    SIZES,
    NotACovariance,
    spread_of,
)
from gateway.simulation.nbody import Forces
from orrery.inference import v1

Floats = NDArray[np.float64]

_BODIES: Final = {int(body) for body in DEFAULT_BODIES}
_DEFAULT_SAMPLES: Final = 10_000
_DEFAULT_PRECISION: Final = 0.1
_CENTURY_D: Final = 36_525.0
_VALIDATED_D: Final = 4_018.0
_SIGMAS_NOTE: Final = (
    "from sigmas alone: the elements are taken as independent, which they never are; the probability may be wrong by "
    "orders of magnitude"
)
_OBJECT: Final = "object"
_UNCERTAINTY: Final = "object.uncertainty"
# What lies beyond is noted already, number by number, and would overflow here.
_NOTED_BEYOND: Final = NUMBERS["Covariance"]["values"]
# The sigmas' own names, where they are not those of the elements.
_SIGMA_OF: Final = {"perihelion_time_d": "perihelion_time_tdb_jd"}


def read_question(request: v1.EstimateImpactRequest, asteroid_kernel: Path | None) -> Question:
    """The question that a request asks.

    Args:
        request: as it came.
        asteroid_kernel: what the pod was given.

    Raises:
        InvalidRequest: naming every violated field.
        OutsideEphemeris: an epoch, or the end of the window, is outside the kernels.
    """
    violations = Violations()
    check(request, violations)
    bodies = _bodies(request, violations)
    item = request.object
    epoch_tdb_jd = objects.epoch_of(item)
    labels, spread, spread_tdb_jd = _uncertainty(item, epoch_tdb_jd, violations)
    orbit = objects.orbit_of(item, _OBJECT, violations) if item.WhichOneof("orbit") else None
    _check_window(request.window, spread_tdb_jd, violations)
    violations.raise_if_any()
    end_tdb_jd = request.window.end_tdb_jd
    objects.check_within("window.end_tdb_jd", end_tdb_jd, asteroid_kernel)
    objects.check_within(f"object.{item.WhichOneof('orbit')}.epoch_tdb_jd", epoch_tdb_jd, asteroid_kernel)
    objects.check_within(f"{_UNCERTAINTY}.covariance.epoch_tdb_jd", spread_tdb_jd, asteroid_kernel)
    state = objects.state_of(item, orbit)
    state_d, spread_d = epoch_tdb_jd - J2000_TDB_JD, spread_tdb_jd - J2000_TDB_JD
    objects.check_start(state, state_d, _OBJECT, violations)
    violations.raise_if_any()
    pushed, given = item.non_gravitational, item.WhichOneof("orbit") == "state"
    start_tdb_jd = request.window.start_tdb_jd if request.window.HasField("start_tdb_jd") else spread_tdb_jd
    return Question(
        state=state,
        state_d=state_d,
        orbit=None if given else _from_epoch(item.elements, orbit),
        pushes_au_d2=np.array([pushed.a1_au_d2, pushed.a2_au_d2, pushed.a3_au_d2]),
        labels=labels,
        spread=spread,
        spread_d=spread_d,
        icrf=given and item.state.frame == v1.FRAME_ICRF,
        barycentric=given and item.state.origin == v1.ORIGIN_SOLAR_SYSTEM_BARYCENTER,
        window_d=(start_tdb_jd - J2000_TDB_JD, end_tdb_jd - J2000_TDB_JD),
        bodies=bodies,
        method=Method(request.method) if request.method else None,
        samples=request.samples or _DEFAULT_SAMPLES,
        target=request.target_relative_precision or _DEFAULT_PRECISION,
        seed=request.seed,
        forces=Forces(
            asteroid_kernel=asteroid_kernel,
            without_asteroid=objects.perturber_of(item, state, asteroid_kernel),
            marsden=objects.marsden_of(pushed),
        ),
        impactor=_impactor(item.physical),
        notes=_notes(item, end_tdb_jd - min(epoch_tdb_jd, spread_tdb_jd), asteroid_kernel),
    )


def _bodies(request: v1.EstimateImpactRequest, violations: Violations) -> tuple[Body, ...]:
    bodies: list[Body] = []
    for row, number in enumerate(request.bodies):
        if number not in _BODIES:
            violations.add(f"bodies[{row}]", "must be EARTH, MOON, VENUS or MARS")
        elif Body(number) in bodies:
            violations.add(f"bodies[{row}]", f"{Body(number).name} is named twice")
        else:
            bodies.append(Body(number))
    return tuple(bodies) or DEFAULT_BODIES


def _check_window(window: v1.ImpactWindow, spread_tdb_jd: float, violations: Violations) -> None:
    start_tdb_jd = window.start_tdb_jd if window.HasField("start_tdb_jd") else spread_tdb_jd
    if start_tdb_jd < spread_tdb_jd:
        violations.add(
            "window.start_tdb_jd", f"must not lie before the epoch of the uncertainty, TDB JD {spread_tdb_jd:.17g}"
        )
    if window.end_tdb_jd and not window.end_tdb_jd > start_tdb_jd:
        violations.add("window.end_tdb_jd", f"must lie after the start, TDB JD {start_tdb_jd:.17g}")


def _uncertainty(
    item: v1.NearEarthObject, epoch_tdb_jd: float, violations: Violations
) -> tuple[tuple[str, ...], Floats, float]:
    """Labels, spread and epoch; anything where something was noted."""
    kind = item.uncertainty.WhichOneof("uncertainty")
    if kind is None:
        violations.add_missing(_UNCERTAINTY, item.uncertainty.DESCRIPTOR.oneofs_by_name["uncertainty"])
        return (), np.zeros((0, 0)), epoch_tdb_jd
    if kind == "sigmas":
        return (*_sigmas(item.uncertainty.sigmas, violations), epoch_tdb_jd)
    covariance = item.uncertainty.covariance
    labels = tuple(covariance.labels)
    path = f"{_UNCERTAINTY}.covariance"
    _check_labels(labels, f"{path}.labels", violations)
    count = len(labels)
    if len(covariance.values) != count**2:
        violations.add(
            f"{path}.values", f"must hold {count**2} values for {count} labels, not {len(covariance.values)}"
        )
        return labels, np.zeros((count, 0)), covariance.epoch_tdb_jd
    values = np.array(covariance.values).reshape(count, count)
    if not _NOTED_BEYOND.holds(values).all():
        return labels, np.zeros((count, 0)), covariance.epoch_tdb_jd
    try:
        spread = spread_of(values)
    except NotACovariance as refusal:
        violations.add(f"{path}.values", f"is no covariance: {refusal}")
        spread = np.zeros((count, 0))
    else:
        if not spread.shape[1]:
            violations.add(f"{path}.values", "leaves nothing uncertain")
    return labels, spread, covariance.epoch_tdb_jd


def _check_labels(labels: tuple[str, ...], path: str, violations: Violations) -> None:
    known = {*SIZES, *SHAPE, *PHASES, *CARTESIAN, *PUSHES}
    for row, label in enumerate(labels):
        if label not in known:
            violations.add(f"{path}[{row}]", "must be a field of OrbitalElements, StateVector or NonGravitational")
        elif label in labels[:row]:
            violations.add(f"{path}[{row}]", f"{label} is named twice")
    orbit = [label for label in labels if label not in PUSHES]
    cartesian = set(orbit) == set(CARTESIAN)
    keplerian = (
        set(orbit) >= set(SHAPE) and sum(s in orbit for s in SIZES) == 1 and sum(p in orbit for p in PHASES) == 1
    )
    if not (cartesian or (keplerian and len(orbit) == 6)):
        violations.add(path, "must name six fields of OrbitalElements (one size, one phase), or six of StateVector")


def _sigmas(sigmas: v1.ElementSigmas, violations: Violations) -> tuple[tuple[str, ...], Floats]:
    given = {_SIGMA_OF.get(field.name, field.name): float(value) for field, value in sigmas.ListFields()}
    for names in (SIZES, PHASES):
        chosen = [name for name in names if name in given]
        if len(chosen) != 1:
            what = " or ".join("perihelion_time_d" if name in _SIGMA_OF.values() else name for name in names)
            violations.add(f"{_UNCERTAINTY}.sigmas", f"must hold one of {what}")
    for name in SHAPE:
        if name not in given:
            violations.add(f"{_UNCERTAINTY}.sigmas.{name}", "is required: unset is unknown, not 0")
    labels = tuple(given)
    values = np.array([given[label] for label in labels])
    if not (_NOTED_BEYOND.holds(values).all() and (values > 0.0).any()):
        violations.add(f"{_UNCERTAINTY}.sigmas", "leaves nothing uncertain")
        return labels, np.zeros((len(labels), 0))
    return labels, spread_of(np.diag(values**2))


def _from_epoch(elements: v1.OrbitalElements, orbit: Orbits | None) -> Orbits | None:
    """The orbit as its elements came, with times that count from its epoch: Julian dates would lose a metre."""
    if orbit is None:
        return None
    e, q = orbit.eccentricity[0], orbit.perihelion_distance_au[0]
    angles = {
        "inclination_deg": orbit.inclination_deg,
        "longitude_of_ascending_node_deg": orbit.longitude_of_ascending_node_deg,
        "argument_of_perihelion_deg": orbit.argument_of_perihelion_deg,
    }
    if elements.WhichOneof("phase") == "mean_anomaly_deg":
        return Orbits.from_mean_anomaly(
            semi_major_axis_au=elements.semi_major_axis_au or q / (1.0 - e),
            eccentricity=e,
            **angles,
            mean_anomaly_deg=elements.mean_anomaly_deg,
            epoch_tdb_jd=0.0,
        )
    return Orbits(
        perihelion_distance_au=orbit.perihelion_distance_au,
        eccentricity=orbit.eccentricity,
        **angles,
        perihelion_time_tdb_jd=orbit.perihelion_time_tdb_jd - orbit.epoch_tdb_jd,
        epoch_tdb_jd=np.zeros(1),
    )


def _impactor(physical: v1.PhysicalParameters) -> Impactor | None:
    try:
        return impactor_of_message(physical)
    except InvalidImpactError:
        return None


def _notes(item: v1.NearEarthObject, span_d: float, asteroid_kernel: Path | None) -> tuple[str, ...]:
    notes = []
    if item.uncertainty.WhichOneof("uncertainty") == "sigmas":
        notes.append(_SIGMAS_NOTE)
    if span_d > _VALIDATED_D:
        notes.append("encounters more than 11 years from the epoch are not validated")
    if span_d > _CENTURY_D:
        pushed = any(value for _, value in item.non_gravitational.ListFields())
        notes.append(
            "over more than a century the probability is only as good as A1 to A3 and their uncertainty, and the masses"
            " of the asteroids" + ("" if pushed else "; no A1 to A3 are given: the Yarkovsky effect is left out")
        )
    if _impactor(item.physical) is None:
        notes.append("no hazard scales and no consequences: mass, diameter or absolute magnitude are not known")
    if asteroid_kernel is None:
        notes.append("without asteroid perturbers positions are off by up to 18 km after 7 years")
    return tuple(notes)

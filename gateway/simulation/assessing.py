# SPDX-License-Identifier: GPL-3.0-or-later
"""From a question about an impact to its consequences, in the contract's messages."""

import math
from typing import Final

from google.protobuf.message import Message

from gateway.neo.errors import InvalidImpactError, Violation
from gateway.neo.impact import Consequences, Impactor, Quantiles, Rock, assess, impactor_of, palermo_scale, torino_scale
from gateway.neo.impact.consequences import DEFAULT_ANGLE_DEG, SOURCE
from gateway.neo.impact.thermal import Burn
from gateway.serving.bounds import NUMBERS
from gateway.serving.orbits import check_body
from gateway.serving.validation import Violations, check
from gateway.simulation.bodies import PROPERTIES, Body
from orrery.inference import v1

_ELSEWHERE: Final = "only Earth has laws of entry, crater and blast here: elsewhere the energy is all that is known"
# Where Earth's atmosphere begins, as elsewhere in this project; slow arrivals are judged there on every body.
_TOP_KM: Final = 100.0
_FASTEST_KM_S: Final = NUMBERS["AssessConsequencesRequest"]["speed_km_s"].high
# What the domain of impacts calls a number, and what the contract does.
_PATHS: Final = {"diameter_m": "physical.diameter_km"}


def answer(request: v1.AssessConsequencesRequest) -> v1.AssessConsequencesResponse:
    """The consequences of an impact.

    Raises:
        InvalidRequest: naming every violated field.
    """
    violations = Violations()
    check(request, violations)
    check_body(request.physical, violations, "physical")
    body_hit = request.body or v1.BODY_EARTH
    speed_km_s = _speed_km_s(request, Body(body_hit), violations)
    if request.HasField("impact_probability") != request.HasField("years_to_impact"):
        missing = "years_to_impact" if request.HasField("impact_probability") else "impact_probability"
        violations.add(missing, "is required with the other of probability and time")
    violations.raise_if_any()
    try:
        body = impactor_of_message(request.physical, absolute_magnitude_sigma=request.absolute_magnitude_sigma)
        message = consequences_message(
            body,
            speed_km_s,
            request.angle_deg if request.HasField("angle_deg") else DEFAULT_ANGLE_DEG,
            body_hit=body_hit,
            rock=Rock(request.rock or v1.ROCK_SEDIMENTARY),
            distances_km=tuple(request.distance_km),
        )
    except InvalidImpactError as error:
        for violation in error.violations:
            path = _PATHS.get(violation.column, f"physical.{violation.column}")
            violations.add(path, f"what is given {_complaint(violation)}")
        violations.raise_if_any()
        raise
    if request.HasField("v_infinity_km_s"):
        message.notes.append(
            f"speed {speed_km_s:.2f} km/s: from v_infinity and the escape speed at the surface,"
            f" {_escape_km_s(Body(body_hit)):.2f} km/s"
        )
    if not request.HasField("angle_deg"):
        message.notes.append(f"angle {DEFAULT_ANGLE_DEG:g} deg: assumed, the most probable")
    response = v1.AssessConsequencesResponse(consequences=message)
    if request.HasField("impact_probability"):
        scales = scales_message(
            request.impact_probability, message.energy_mt, request.years_to_impact, body_hit=message.body
        )
        response.scales.CopyFrom(scales)
    return response


def _escape_km_s(body: Body, altitude_km: float = 0.0) -> float:
    """What falls from far away at rest is so fast there."""
    known = PROPERTIES[body]
    return math.sqrt(2.0 * known.gm_km3_s2 / (known.mean_radius_km + altitude_km))


def _speed_km_s(request: v1.AssessConsequencesRequest, body: Body, violations: Violations) -> float:
    """The speed at the impact, as given or from v_infinity; notes what cannot be."""
    if body is Body.SUN:
        violations.add(
            "body", "must not be the Sun: what falls into it is faster than the 100 km/s that are known here"
        )
        return math.nan
    given, far = request.speed_km_s != 0.0, request.HasField("v_infinity_km_s")
    if given and far:
        for name, other in (("speed_km_s", "v_infinity_km_s"), ("v_infinity_km_s", "speed_km_s")):
            violations.add(name, f"and {other} are two ways to say one thing: give one of them")
    elif far:
        speed_km_s = math.hypot(request.v_infinity_km_s, _escape_km_s(body))
        if speed_km_s > _FASTEST_KM_S:
            violations.add("v_infinity_km_s", f"makes {speed_km_s:.1f} km/s at the impact: at most {_FASTEST_KM_S:g}")
        return speed_km_s
    elif not given:
        violations.add("speed_km_s", "is required, or v_infinity_km_s")
    elif request.speed_km_s < (least := _escape_km_s(body, _TOP_KM)):
        violations.add(
            "speed_km_s",
            f"must be at least {least:.2f} at {body.name.capitalize()}, whose gravity makes it so: a speed far away is"
            " v_infinity_km_s",
        )
    return request.speed_km_s


def _complaint(violation: Violation) -> str:
    """Of a number that lies in its own bounds, but leads to one that does not."""
    if violation.requirement.startswith("must"):
        return f"makes {violation.column}, which {violation.requirement}, something else"
    return violation.requirement


def impactor_of_message(physical: v1.PhysicalParameters, *, absolute_magnitude_sigma: float = 0.0) -> Impactor:
    """What a message says of a body.

    Raises:
        InvalidImpactError: it says neither mass nor diameter nor H, or what follows from it cannot be.
    """
    message: Message = physical

    def given(name: str) -> float | None:
        return float(getattr(message, name)) if message.HasField(name) else None

    diameter_km = given("diameter_km")
    return impactor_of(
        mass_kg=given("mass_kg"),
        diameter_m=None if diameter_km is None else diameter_km * 1e3,
        density_kg_m3=given("density_kg_m3"),
        absolute_magnitude_h=given("absolute_magnitude_h"),
        absolute_magnitude_sigma=absolute_magnitude_sigma,
        albedo=given("albedo"),
    )


def scales_message(
    probability: float, energy_mt: float, years: float, *, body_hit: v1.Body.ValueType
) -> v1.HazardScales:
    """The hazard scales; they are Earth's.

    Raises:
        InvalidImpactError: a number is out of its domain.
    """
    scales = v1.HazardScales()
    if body_hit != v1.BODY_EARTH:
        return scales
    palermo = palermo_scale(probability, energy_mt, years)
    if math.isfinite(palermo):
        scales.palermo_scale = palermo
    torino = torino_scale(probability, energy_mt, years)
    if torino is not None:
        scales.torino_scale = torino
    return scales


def consequences_message(
    body: Impactor,
    speed_km_s: float,
    angle_deg: float,
    *,
    body_hit: v1.Body.ValueType = v1.BODY_EARTH,
    rock: Rock = Rock.SEDIMENTARY,
    distances_km: tuple[float, ...] = (),
) -> v1.ImpactConsequences:
    """The consequences of an impact of a body.

    Args:
        body: what hits, by its best values.
        speed_km_s: at the top of the atmosphere, or at the surface where there is none.
        angle_deg: above the horizon.
        body_hit: Earth, or another for the energy alone.
        rock: on Earth.
        distances_km: where to tell what is felt.

    Raises:
        InvalidImpactError: a number is out of its domain.
    """
    message = v1.ImpactConsequences(
        body=body_hit,
        diameter_km=body.diameter_m / 1e3,
        density_kg_m3=body.density_kg_m3,
        mass_kg=body.mass_kg,
        speed_km_s=speed_km_s,
        angle_deg=angle_deg,
        energy_mt=body.energy_mt(speed_km_s),
        diameter_range_km=_range(body.diameter_range_m.scaled(1e-3)),
        mass_range_kg=_range(body.mass_range_kg),
        energy_range_mt=_range(body.energy_range_mt(speed_km_s)),
        size_source=body.source,
    )
    if body_hit != v1.BODY_EARTH:
        message.notes.append(_ELSEWHERE)
        return message
    found = assess(body.diameter_m, body.density_kg_m3, speed_km_s, angle_deg, rock=rock, distances_km=distances_km)
    _fill(message, found)
    message.source = SOURCE
    message.notes.extend(found.notes)
    return message


def _range(quantiles: Quantiles) -> v1.Quantiles:
    return v1.Quantiles(p05=quantiles.p05, p50=quantiles.p50, p95=quantiles.p95)


def _fill(message: v1.ImpactConsequences, found: Consequences) -> None:
    way = found.entry
    message.entry.CopyFrom(
        v1.AtmosphericPassage(
            strength_pa=way.strength_pa,
            breakup_altitude_km=_km(way.breakup_altitude_m),
            burst_altitude_km=_km(way.burst_altitude_m),
            final_speed_km_s=way.final_speed_km_s,
            air_energy_mt=found.air_energy_mt,
            ground_energy_mt=found.ground_energy_mt,
        )
    )
    if found.crater is not None:
        message.crater.CopyFrom(
            v1.ImpactCrater(
                transient_diameter_km=found.crater.transient_diameter_m / 1e3,
                final_diameter_km=found.crater.final_diameter_m / 1e3,
                final_depth_km=found.crater.final_depth_m / 1e3,
                is_complex=found.crater.is_complex,
                is_field=found.crater.is_field,
            )
        )
    reaches = [v1.BlastReach(overpressure_psi=psi, distance_km=reach) for psi, reach in found.blast_reach_km.items()]
    message.blast.CopyFrom(
        v1.AirBlast(
            energy_mt=found.blast_energy_mt,
            reaches=reaches,
            burst_damage_km=found.burst_damage_km,
            burst_burns_km=found.burst_burns_km,
        )
    )
    if found.fireball_radius_km is not None:
        burns = found.burn_reach_km
        message.fireball.CopyFrom(
            v1.Fireball(
                radius_km=found.fireball_radius_km,
                clothing_ignites_km=burns[Burn.CLOTHING_IGNITES],
                third_degree_burns_km=burns[Burn.THIRD_DEGREE],
                second_degree_burns_km=burns[Burn.SECOND_DEGREE],
                first_degree_burns_km=burns[Burn.FIRST_DEGREE],
            )
        )
    if found.seismic_magnitude is not None:
        message.seismic_magnitude = found.seismic_magnitude
    message.felt.extend(
        v1.FeltEffects(
            distance_km=felt.distance_km,
            overpressure_pa=felt.overpressure_pa,
            thermal_exposure_j_m2=felt.thermal_exposure_j_m2,
        )
        for felt in found.felt
    )


def _km(metres: float | None) -> float | None:
    return None if metres is None else metres / 1e3

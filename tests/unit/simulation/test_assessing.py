# SPDX-License-Identifier: GPL-3.0-or-later
"""AssessConsequences, but for the transport; the laws behind it have tests of their own."""

import math

import pytest
from google.protobuf import json_format

from gateway.serving.errors import InvalidRequest
from gateway.simulation.assessing import answer
from orrery.inference import v1


def asked(**fields):
    return json_format.ParseDict(
        {"physical": {"absolute_magnitude_h": 23.92}, "speed_km_s": 17.32, **fields}, v1.AssessConsequencesRequest()
    )


def refused(request):
    with pytest.raises(InvalidRequest) as caught:
        answer(request)
    return {violation.path for violation in caught.value.violations}


def numbers(message):
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if field.message_type is not None:
                yield from numbers(item)
            elif isinstance(item, float):
                yield item


def test_an_airburst():
    reply = answer(asked(impact_probability=0.031, years_to_impact=7.84, distance_km=[1.0, 50.0]))
    found = reply.consequences
    assert found.body == v1.BODY_EARTH
    assert found.angle_deg == 45.0
    assert found.HasField("entry")
    assert found.entry.HasField("burst_altitude_km")
    assert not found.HasField("crater")
    assert not found.HasField("fireball")
    assert not found.HasField("seismic_magnitude")
    assert [felt.distance_km for felt in found.felt] == [1.0, 50.0]
    assert not found.felt[0].HasField("thermal_exposure_j_m2")
    assert [reach.overpressure_psi for reach in found.blast.reaches] == [1.0, 2.0, 4.0, 10.0]
    assert found.blast.burst_damage_km > found.blast.burst_burns_km >= 0.0
    assert found.blast.HasField("burst_burns_km")
    assert found.energy_range_mt.p05 < found.energy_mt < found.energy_range_mt.p95
    assert "albedo 0.14 (assumed)" in found.size_source
    assert "Collins" in found.source
    assert found.notes
    # 2024 YR4 at its peak, here from H alone; NASA had 7.8 Mt and -0.18.
    assert reply.scales.torino_scale == 3
    assert reply.scales.palermo_scale == pytest.approx(-0.18, abs=0.1)
    assert all(math.isfinite(number) for number in numbers(reply))


def test_a_crater_with_a_fireball():
    found = answer(
        asked(physical={"diameter_km": 1.5, "density_kg_m3": 2_700}, speed_km_s=20, rock="ROCK_CRYSTALLINE")
    ).consequences
    assert 10.0 < found.crater.final_diameter_km < 30.0
    assert found.crater.is_complex
    assert found.fireball.clothing_ignites_km < found.fireball.first_degree_burns_km
    assert found.seismic_magnitude > 8.0
    assert not found.entry.HasField("burst_altitude_km")


@pytest.mark.parametrize("body", ["BODY_MOON", "BODY_VENUS", "BODY_MARS", "BODY_JUPITER"])
def test_elsewhere_only_the_energy_is_told(body):
    reply = answer(asked(body=body, speed_km_s=70.0, impact_probability=0.04, years_to_impact=7.0))
    assert reply.consequences.energy_mt > 0.0
    assert not any(reply.consequences.HasField(name) for name in ("entry", "crater", "blast", "fireball"))
    assert not reply.consequences.source
    assert "only Earth" in reply.consequences.notes[0]
    assert not reply.scales.HasField("palermo_scale")
    assert not reply.scales.HasField("torino_scale")


def test_no_probability_no_scales_and_zero_is_no_hazard():
    assert not answer(asked()).HasField("scales")
    scales = answer(asked(impact_probability=0.0, years_to_impact=1.0)).scales
    assert not scales.HasField("palermo_scale")
    assert scales.torino_scale == 0
    assert not answer(asked(impact_probability=0.5, years_to_impact=200.0)).scales.HasField("torino_scale")


def test_the_speed_follows_from_v_infinity():
    # Sentry's 2000 SG344: v_infinity 1.36 km/s, impact at 11.27 (JPL lists 11.26), 1.1 Mt, Palermo -2.7.
    request = asked(
        physical={"absolute_magnitude_h": 24.7}, v_infinity_km_s=1.36, impact_probability=2.7e-3, years_to_impact=47
    )
    request.ClearField("speed_km_s")
    reply = answer(request)
    assert reply.consequences.speed_km_s == pytest.approx(11.26, abs=0.02)
    assert reply.consequences.energy_mt == pytest.approx(1.07, rel=0.01)
    assert reply.scales.palermo_scale == pytest.approx(-2.69, abs=0.01)
    assert any("escape speed" in note for note in reply.consequences.notes)
    assert any("angle 45 deg: assumed" in note for note in reply.consequences.notes)
    at_rest = asked(v_infinity_km_s=0.0, body="BODY_MOON")
    at_rest.ClearField("speed_km_s")
    assert answer(at_rest).consequences.speed_km_s == pytest.approx(2.376, abs=1e-3)


def test_speeds_that_cannot_be_are_refused():
    assert refused(asked(speed_km_s=1.36)) == {"speed_km_s"}
    with pytest.raises(InvalidRequest, match=r"at least 11.10 at Earth.*v_infinity_km_s"):
        answer(asked(speed_km_s=11.05))
    assert answer(asked(speed_km_s=11.1)).consequences.speed_km_s == 11.1
    assert refused(asked(speed_km_s=50.0, body="BODY_JUPITER")) == {"speed_km_s"}
    assert refused(asked(speed_km_s=20.0, body="BODY_SUN")) == {"body"}
    assert refused(asked(v_infinity_km_s=5.0)) == {"speed_km_s", "v_infinity_km_s"}
    neither = asked()
    neither.ClearField("speed_km_s")
    assert refused(neither) == {"speed_km_s"}
    too_fast = asked(v_infinity_km_s=99.9)
    too_fast.ClearField("speed_km_s")
    assert refused(too_fast) == {"v_infinity_km_s"}


def test_mass_diameter_and_density_that_contradict_are_named():
    body = {"diameter_km": 0.05, "mass_kg": 1e8, "density_kg_m3": 1_000}
    assert refused(asked(physical=body)) == {"physical.diameter_km", "physical.mass_kg", "physical.density_kg_m3"}
    with pytest.raises(InvalidRequest, match="make 1528 kg/m3, and 1000 is given"):
        answer(asked(physical=body))
    found = answer(asked(physical={**body, "density_kg_m3": 1_500})).consequences
    assert found.density_kg_m3 == pytest.approx(1_528, abs=1)


def test_every_violated_field_is_named():
    request = asked(angle_deg=0.0, distance_km=[-1.0], impact_probability=2.0, absolute_magnitude_sigma=-1.0)
    request.speed_km_s = math.nan
    assert refused(request) == {
        "speed_km_s",
        "angle_deg",
        "distance_km[0]",
        "impact_probability",
        "absolute_magnitude_sigma",
        "years_to_impact",
    }
    assert refused(v1.AssessConsequencesRequest()) == {"physical", "speed_km_s"}
    assert refused(asked(physical={"albedo": 0.2})) == {"physical.mass_kg"}
    assert refused(asked(physical={"mass_kg": 0.0})) == {"physical.mass_kg"}
    assert refused(asked(distance_km=[1.0] * 101)) == {"distance_km"}


def test_numbers_that_make_impossible_ones_are_blamed():
    # Heavier than anything of that size, and larger than the Moon.
    assert refused(asked(physical={"mass_kg": 1e22, "diameter_km": 1e-3})) == {"physical.density_kg_m3"}
    assert refused(asked(physical={"mass_kg": 1e22, "density_kg_m3": 1.0})) == {"physical.diameter_km"}
    assert refused(asked(physical={"diameter_km": 2_000.0, "density_kg_m3": 20_000.0})) == {"physical.mass_kg"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e308])
def test_no_number_gets_through(bad):
    for name in ("mass_kg", "diameter_km", "density_kg_m3", "absolute_magnitude_h", "albedo"):
        request = asked()
        setattr(request.physical, name, bad)
        assert f"physical.{name}" in refused(request)
    for name in ("angle_deg", "impact_probability", "years_to_impact", "absolute_magnitude_sigma"):
        request = asked(impact_probability=0.1, years_to_impact=1.0)
        setattr(request, name, bad)
        assert name in refused(request)

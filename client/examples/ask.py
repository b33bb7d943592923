# SPDX-License-Identifier: Apache-2.0
"""All three questions about real asteroids: `python client/examples/ask.py [HOST:PORT]`.

The orbits are in named_orbits.json beside this file, at full precision and with their sources.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.protobuf import json_format

from orrery.inference import InferenceClient, InferenceError, v1

# TDB - UTC, good to a second from 2017 until the next leap second (IERS Bulletin C; TT = UTC + 37 s + 32.184 s).
TDB_MINUS_UTC = timedelta(seconds=69.184)
J2000_TDB = datetime(2000, 1, 1, 12, tzinfo=UTC)

PUSH_TDB_JD = 2461406.5  # 2027-01-01 00:00 TDB
PUSH_KM_S = 1e-6  # 1 mm/s along the motion


def main() -> None:
    """Ask about every named object, and what a push would do to Apophis."""
    named = json.loads((Path(__file__).parent / "named_orbits.json").read_text(encoding="utf-8"))
    objects = [json_format.ParseDict(entry["object"], v1.NearEarthObject()) for entry in named]
    with InferenceClient(*sys.argv[1:2]) as client:
        try:
            show_predictions(client.predict(objects))
            show_anomalies(client.score_anomalies(objects, explain=True))
            show_encounter(client, objects[0])
            show_refusal(client, objects[0])
        except InferenceError as refusal:
            sys.exit(str(refusal))


def show_predictions(reply: v1.PredictResponse) -> None:
    """The network's answer beside the exact rule's."""
    print("\nIs it potentially hazardous, and which orbit class?")
    print(f"  {'':18}{'network':^24}{'exact rule':^30}")
    print(f"  {'object':18}{'P(PHA)':>9}  {'class':13}{'PHA':>5}  {'class':9}{'Earth MOID au':>14}")
    for said in reply.predictions:
        rule = said.definition
        print(
            f"  {said.designation:18}{said.pha_probability:9.4f}  {class_name(said.orbit_class):13}"
            f"{'yes' if rule.potentially_hazardous else 'no':>5}  {class_name(rule.orbit_class):9}"
            f"{rule.earth_moid_au:14.8f}"
        )
    show_model(reply.model)


def show_anomalies(reply: v1.ScoreAnomaliesResponse) -> None:
    """Scores with what pushed them."""
    print("\nHow unusual is it among the known near-Earth asteroids, and why?")
    print(f"  {'object':18}{'score':>7}{'percentile':>12}  pushed by (share of the score; + is towards unusual)")
    for said in reply.scores:
        pushed = ", ".join(f"{c.feature} {c.value:.4g} ({c.contribution:+.3f})" for c in said.contributions[:3])
        tags = f"  [{', '.join(said.tags)}]" if said.tags else ""
        print(f"  {said.designation:18}{said.score:7.4f}{said.population_percentile:12.2f}  {pushed}{tags}")
    show_model(reply.model)


def show_encounter(client: InferenceClient, apophis: v1.NearEarthObject) -> None:
    """Apophis' 2029 encounter, and the same after 1 mm/s in 2027."""
    push = v1.Impulse(time_tdb_jd=PUSH_TDB_JD, transverse_km_s=PUSH_KM_S)
    scenario = v1.Scenario(
        object=apophis,
        changes=[v1.Change(impulse=push)],
        duration_days=1300,
        fidelity=v1.FIDELITY_PRECISE,
        output=v1.OutputOptions(bodies=[v1.BODY_EARTH], max_distance_au=0.01),
    )
    result = client.simulate(scenario)
    print(f"\nWhat if {apophis.designation} were pushed by 1 mm/s along its motion on 2027-01-01?")
    print(f"  {'':12}{'closest to Earth (UTC)':24}{'distance km':>14}{'speed km/s':>12}")
    for name, encounters in (("as it is", result.baseline), ("pushed", result.changed)):
        for met in encounters:
            print(
                f"  {name:12}{utc(met.time_tdb_jd):24}{met.distance_km:14,.1f}{met.relative_velocity_km_s:12.4f}"
                f"{'  IMPACT' if met.HasField('impact') else ''}"
            )
    told = result.provenance
    print(f"  computed with {told.integrator}; {told.force_model}; {told.ephemeris}")
    for note in result.notes:
        print(f"  note: {note}")


def show_refusal(client: InferenceClient, apophis: v1.NearEarthObject) -> None:
    """What a mistake looks like."""
    broken = v1.NearEarthObject()
    broken.CopyFrom(apophis)
    broken.elements.eccentricity = -0.2
    broken.elements.inclination_deg = float("nan")
    print("\nWhat if the question is wrong?")
    try:
        client.predict([broken])
    except InferenceError as refusal:
        print(f"  {refusal.code.name} {refusal.reason}")
        for violation in refusal.violations:
            print(f"  {violation.path}: {violation.description}")


def show_model(model: v1.ModelSpec) -> None:
    """Who answered."""
    print(f"  answered by {model.name} {model.version} ({model.variant}), trained on {model.training_data}")


def class_name(orbit_class: v1.OrbitClass.ValueType) -> str:
    """The name without its prefix: Aten for ORBIT_CLASS_ATEN."""
    return v1.OrbitClass.Name(orbit_class).removeprefix("ORBIT_CLASS_").capitalize()


def utc(time_tdb_jd: float) -> str:
    """A TDB Julian date as UTC, to the second."""
    time = J2000_TDB + timedelta(days=time_tdb_jd - 2451545.0) - TDB_MINUS_UTC
    return f"{time:%Y-%m-%d %H:%M:%S}"


if __name__ == "__main__":
    main()

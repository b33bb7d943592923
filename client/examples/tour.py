# SPDX-License-Identifier: Apache-2.0
"""The contract in a few calls, as the examples in Go and TypeScript make them: `python tour.py [HOST:PORT]`."""

import json
import sys
from pathlib import Path

from google.protobuf import json_format

from orrery.inference import InferenceClient, InferenceError, v1


def main() -> None:
    """Ask about every named object; follow the first; make a mistake."""
    named = json.loads((Path(__file__).parent / "named_orbits.json").read_text(encoding="utf-8"))
    objects = [json_format.ParseDict(entry["object"], v1.NearEarthObject()) for entry in named]
    with InferenceClient(*sys.argv[1:2]) as client:
        predicted = client.predict(objects).predictions
        scored = client.score_anomalies(objects).scores
        for said, unusual in zip(predicted, scored, strict=True):
            rule = said.definition
            print(
                f"{said.designation}: {v1.OrbitClass.Name(rule.orbit_class)},"
                f" Earth MOID {rule.earth_moid_au:.6f} au, P(PHA) {said.pha_probability:.3f},"
                f" anomaly {unusual.score:.3f}"
            )

        scenario = v1.Scenario(object=objects[0], duration_days=1300)
        for update in client.stream_simulate(scenario):
            if update.HasField("result"):
                nearest = min(update.result.baseline, key=lambda met: met.distance_km)
                print(f"{objects[0].designation} passes {v1.Body.Name(nearest.body)} at {nearest.distance_km:.0f} km")

        objects[0].elements.eccentricity = -0.2
        try:
            client.predict(objects)
        except InferenceError as refusal:
            print(refusal.code.name, refusal.reason, refusal.violations[0].path)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Does 2024 YR4 hit the Moon in 2032, and what push prevents it? `python client/examples/impact.py [HOST:PORT]`.

Its orbit with covariance is in 2024_yr4.json beside this file, at full precision and with its source.
"""

import json
import sys
from pathlib import Path

from google.protobuf import json_format

from orrery.inference import InferenceClient, InferenceError, v1

END_TDB_JD = 2463650.5  # 2033-02-20
CLEARANCE_KM = 50_000.0
LEAD_TIMES_D = [90.0, 365.25, 1461.0]


def main() -> None:
    """Ask for the probability, then for the pushes."""
    known = json.loads((Path(__file__).parent / "2024_yr4.json").read_text(encoding="utf-8"))
    item = json_format.ParseDict(known["object"], v1.NearEarthObject())
    with InferenceClient(*sys.argv[1:2]) as client:
        try:
            likeliest = show_impact(client, item)
            show_pushes(client, item, likeliest.time_tdb_jd)
        except InferenceError as refusal:
            sys.exit(str(refusal))


def show_impact(client: InferenceClient, item: v1.NearEarthObject) -> v1.VirtualImpactor:
    """The final estimate; what comes before it is for those who watch."""
    request = v1.EstimateImpactRequest(object=item, window=v1.ImpactWindow(end_tdb_jd=END_TDB_JD))
    *_, last = client.estimate_impact(request)
    found = last.estimate
    print(
        f"{item.designation} hits something with {found.probability:.2%}"
        f" ({found.probability_low:.2%} to {found.probability_high:.2%}, {v1.ImpactMethod.Name(found.method)})"
    )
    for row in found.virtual_impactors:
        print(
            f"  {v1.Body.Name(row.body)} TDB JD {row.time_tdb_jd:.2f}: {row.probability:.2%}, one sigma is"
            f" {row.ellipse.semi_major_axis_km:,.0f} by {row.ellipse.semi_minor_axis_km:.1f} km"
        )
    return max(found.virtual_impactors, key=lambda row: row.probability)


def show_pushes(client: InferenceClient, item: v1.NearEarthObject, time_tdb_jd: float) -> None:
    """What the nominal orbit needs to pass the Moon farther away: pushes as they are found."""
    request = v1.EstimateDeflectionRequest(
        object=item,
        body=v1.BODY_MOON,
        from_tdb_jd=time_tdb_jd - 5.0,
        to_tdb_jd=time_tdb_jd + 5.0,
        lead_time_d=LEAD_TIMES_D,
        clearance_km=CLEARANCE_KM,
    )
    pushes = []
    for update in client.estimate_deflection(request):
        if update.HasField("encounter"):
            print(f"its nominal orbit passes the Moon at {update.encounter.distance_km:,.0f} km")
        elif update.HasField("minimum_push"):
            pushes.append(update.minimum_push)
    print(f"to pass {CLEARANCE_KM:,.0f} km above the surface it needs")
    for push in sorted(pushes, key=lambda push: push.lead_time_d):
        print(f"  {push.push_mm_s:.3g} mm/s along its motion, {push.lead_time_d:g} days before")


if __name__ == "__main__":
    main()

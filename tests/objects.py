# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that tests ask about."""

import json
from pathlib import Path

from google.protobuf import json_format

from orrery.inference import v1

NAMED_ORBITS = Path(__file__).resolve().parents[1] / "client" / "examples" / "named_orbits.json"


def named_objects() -> dict[str, v1.NearEarthObject]:
    """The demo's objects by designation."""
    entries = json.loads(NAMED_ORBITS.read_text(encoding="utf-8"))
    objects = [json_format.ParseDict(entry["object"], v1.NearEarthObject()) for entry in entries]
    return {item.designation: item for item in objects}


def eros() -> v1.NearEarthObject:
    """A fresh copy of an ordinary, well-known object."""
    return named_objects()["(433) Eros"]

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the package shows is pinned, and it stays light."""

import subprocess
import sys

import gateway.neo


def test_public_names():
    assert gateway.neo.__all__ == [
        "ColumnShapeError",
        "EpochOutOfRangeError",
        "InvalidOrbitError",
        "MoidResult",
        "NeoError",
        "OrbitClass",
        "Orbits",
        "Violation",
        "classify",
        "earth_moid_au",
        "earth_orbits",
        "ecliptic_to_icrf",
        "from_states",
        "icrf_to_ecliptic",
        "potentially_hazardous",
        "to_states",
        "why_other",
    ]
    assert all(hasattr(gateway.neo, name) for name in gateway.neo.__all__)


def test_knows_no_transport_and_no_ephemeris_library():
    code = (
        "import sys, gateway.neo;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'grpc', 'google', 'jplephem', 'scipy', 'rebound'}))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation pod: distances between orbits, and what would happen if an object were another."""

import sys


def main() -> None:
    """`python -m gateway simulation`: the pod, or with arguments one shard of a whole catalogue."""
    # Worker processes import this package too, and need neither gRPC nor settings.
    if len(sys.argv) > 1:
        from gateway.simulation.nightly import main as run_shard  # noqa: PLC0415

        run_shard(sys.argv[1:])
        return
    from gateway.simulation.app import main as serve  # noqa: PLC0415

    serve()

# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulation pod: distances between orbits, and what would happen if an object were another."""


def main() -> None:
    """`python -m gateway simulation`."""
    # Worker processes import this package too, and need neither gRPC nor settings.
    from gateway.simulation.app import main as serve  # noqa: PLC0415

    serve()

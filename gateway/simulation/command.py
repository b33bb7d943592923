# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway simulation`: the pod, or with arguments one shard of a whole catalogue."""

import sys
from argparse import ArgumentParser

from gateway.simulation import app, nightly


def main(parser: ArgumentParser) -> None:
    """Serve if nothing is asked for, else compute the shard that the arguments name."""
    if len(sys.argv) > 1:
        nightly.main(parser)
    else:
        app.main()

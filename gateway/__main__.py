# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway COMMAND`: start one pod, or all of them here with `up`."""

import importlib
import sys

# Loaded by name, so that each process imports its own pod's libraries and no other's.
_COMMANDS = {
    "front": "gateway.front",
    "anomaly": "gateway.anomaly",
    "simulation": "gateway.simulation",
    "feedback": "gateway.feedback",
    "model-server": "gateway.model_server",
    "deliver": "gateway.delivery",
    "edge": "gateway.edge",
    "up": "gateway.up",
}


def main() -> None:
    """Run the command that the first argument names; the rest is the command's own."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _COMMANDS:
        sys.exit(f"usage: python -m gateway {{{'|'.join(_COMMANDS)}}}")
    del sys.argv[1]
    importlib.import_module(_COMMANDS[name]).main()


if __name__ == "__main__":
    main()

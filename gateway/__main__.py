# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway COMMAND`: start one pod, or all of them here with `up`."""

import importlib
import sys

from gateway.serving import logs
from gateway.serving.starting import CannotStart

# Loaded by name, so that each process imports its own pod's libraries and no other's.
_COMMANDS = {
    "front": "gateway.front.app",
    "anomaly": "gateway.anomaly.app",
    "simulation": "gateway.simulation.command",
    "feedback": "gateway.feedback.commands",
    "model-server": "gateway.model_server.command",
    "deliver": "gateway.delivery.app",
    "edge": "gateway.edge.app",
    "up": "gateway.up.command",
}
_PODS = _COMMANDS.keys() - {"up"}
# Extras of libraries that only some settings ask for; others are in the extra that has the pod's name.
_EXTRAS = {"jwt": "jwt", "redis": "redis", "opentelemetry": "tracing", "sentry_sdk": "errors"}


def main() -> None:
    """Run the command that the first argument names; the rest is the command's own."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _COMMANDS:
        sys.exit(f"usage: python -m gateway {{{'|'.join(_COMMANDS)}}}")
    del sys.argv[1]
    try:
        importlib.import_module(_COMMANDS[name]).main()
    except CannotStart as error:
        if name not in _PODS:
            sys.exit(str(error))
        logs.report_failure(name, error.causes)
        sys.exit(1)
    except ModuleNotFoundError as error:
        library = (error.name or "gateway").partition(".")[0]
        # Libraries come with a pod's extra; a module of ours that is missing is a fault.
        if library in ("gateway", "orrery"):
            raise
        extra = _EXTRAS.get(library, name)
        logs.report_failure(name, [f"{library} is not installed: pip install 'orrery-inference[{extra}]'"])
        sys.exit(1)


if __name__ == "__main__":
    main()

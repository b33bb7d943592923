# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway COMMAND`: start one pod, or all of them here with `up`."""

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.configuration.registry import MODULES, settings_of
from gateway.configuration.unknown import require_known
from gateway.serving import logs
from gateway.serving.arguments import command_parser
from gateway.serving.starting import CannotStart


@dataclass(frozen=True, slots=True)
class Command:
    """What a command is.

    Attributes:
        module: has its `main`; loaded by name, so that each process imports its own pod's libraries and no other's.
        does: a sentence.
        has_arguments: `main` takes the parser and adds its arguments.
    """

    module: str
    does: str
    has_arguments: bool = False


_COMMANDS: Final[Mapping[str, Command]] = {
    "up": Command("gateway.up.command", "Start all pods on this machine, until Ctrl-C.", has_arguments=True),
    "settings": Command(
        "gateway.configuration.command", "List all settings with their values now.", has_arguments=True
    ),
    "front": Command("gateway.front.app", "Serve the gateway: predictions, and the way to the other pods."),
    "anomaly": Command("gateway.anomaly.app", "Serve anomaly scores and their explanations."),
    "simulation": Command(
        "gateway.simulation.command",
        "Serve what-if simulations; or compute a shard of a catalogue.",
        has_arguments=True,
    ),
    "feedback": Command(
        "gateway.feedback.commands", "Serve citizens' votes; or work on their store.", has_arguments=True
    ),
    "model-server": Command(
        "gateway.model_server.command",
        "Serve the network, where TensorFlow Serving does not run: on a laptop, in tests.",
    ),
    "deliver": Command("gateway.delivery.app", "Bring published models to the model store.", has_arguments=True),
    "edge": Command("gateway.edge.app", "Run Envoy before the fronts: REST, gRPC-Web and gRPC.", has_arguments=True),
}

# Extras of libraries that only some settings ask for; others are in the extra that has the pod's name.
_EXTRAS: Final = {"jwt": "jwt", "redis": "redis", "opentelemetry": "tracing", "sentry_sdk": "errors"}


def main() -> None:
    """Run the command that the first argument names; the rest is the command's own."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(_usage())
        return
    if name not in _COMMANDS:
        sys.stderr.write(_usage() + "\n")
        sys.exit(2)
    del sys.argv[1]
    try:
        _run(name, _COMMANDS[name])
    except CannotStart as error:
        if name not in MODULES:
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


def _run(name: str, command: Command) -> None:
    parser = command_parser(name, command.does, settings_of(name) if name in MODULES else ())
    if not command.has_arguments:
        parser.parse_args()
    # `settings` shows unknown ones itself.
    if name != "settings" and not {"-h", "--help"} & set(sys.argv[1:]):
        require_known(os.environ)
    module = importlib.import_module(command.module)
    if command.has_arguments:
        module.main(parser)
    else:
        module.main()


def _usage() -> str:
    commands = (f"  {name:14}{command.does}" for name, command in _COMMANDS.items())
    return "\n".join(
        [
            "usage: python -m gateway COMMAND [--help]",
            "",
            *commands,
            "",
            "Settings are environment variables, ORRERY_…: `python -m gateway settings`, docs/settings.md.",
        ]
    )


if __name__ == "__main__":
    main()

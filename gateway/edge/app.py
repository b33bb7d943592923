# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge as a process: `python -m gateway edge [render FOLDER [SEEN_AT] | openapi DESCRIPTORS]`."""

import importlib.util
import os
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from gateway.edge import openapi
from gateway.edge.certificates import require_usable
from gateway.edge.envoy import supervise
from gateway.edge.render import OPENAPI, SOURCES, render
from gateway.edge.settings import EdgeSettings
from gateway.serving.arguments import command_adder
from gateway.serving.listening import require_free
from gateway.serving.starting import CannotStart


class NoEnvoy(CannotStart):
    """Envoy is not installed here."""


def main(parser: ArgumentParser) -> None:
    """Render and run Envoy; or only render; or write docs/openapi.json."""
    add_command = command_adder(parser)
    rendering = add_command("render", "write all that Envoy needs, and do not run it")
    rendering.add_argument("folder", type=Path, help="made if absent")
    rendering.add_argument("seen_at", nargs="?", help="the folder's path where Envoy will run, if it is another")
    documenting = add_command("openapi", "write docs/openapi.json")
    documenting.add_argument("descriptors", type=Path, help="build/protos.binpb, which `make protos` writes")
    options = parser.parse_args()
    if options.command == "render":
        render(EdgeSettings(), options.folder, seen_at=options.seen_at)
    elif options.command == "openapi":
        openapi.write(options.descriptors, SOURCES / "examples", OPENAPI)
    else:
        sys.exit(run(EdgeSettings()))


def run(settings: EdgeSettings) -> int:
    """Run Envoy until SIGTERM or SIGINT, then let the calls in flight end.

    Returns:
        Envoy's exit code.

    Raises:
        CannotStart: an address is taken, a file is not there, Envoy is not installed; or see `render` and
            `require_usable`.
    """
    settings.require_files()
    program = _program(settings)
    # Envoy itself would share a port with another Envoy (SO_REUSEPORT), and each would get half of the calls.
    require_free({"edge": settings})
    require_usable(settings)
    with tempfile.TemporaryDirectory(prefix="orrery-edge-") as folder:
        render(settings, Path(folder))
        return supervise(program, Path(folder), settings)


def _program(settings: EdgeSettings) -> Path:
    """Envoy's own binary, past the Python around it."""
    if settings.program is not None:
        if not os.access(settings.program, os.X_OK):
            raise NoEnvoy(f"{settings.variable('program')} names {settings.program}, which cannot be run")
        return settings.program
    package = importlib.util.find_spec("envoy")
    if package is None or package.origin is None:
        raise NoEnvoy("Envoy is not installed: the extra `edge` has it")
    return Path(package.origin).parent / "_bin" / "envoy"

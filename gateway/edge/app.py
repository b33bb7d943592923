# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge as a process: `python -m gateway edge [render FOLDER [SEEN_AT] | openapi DESCRIPTORS]`."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from gateway.edge import openapi
from gateway.edge.certificates import require_usable
from gateway.edge.envoy import supervise
from gateway.edge.render import OPENAPI, SOURCES, render
from gateway.edge.settings import EdgeSettings
from gateway.serving.listening import require_free
from gateway.serving.starting import CannotStart


class NoEnvoy(CannotStart):
    """Envoy is not installed here."""


def main() -> None:
    """Render and run Envoy; or only render; or write docs/openapi.json."""
    match sys.argv[1:]:
        case []:
            sys.exit(run(EdgeSettings()))
        case ["render", folder]:
            render(EdgeSettings(), Path(folder))
        case ["render", folder, seen_at]:
            render(EdgeSettings(), Path(folder), seen_at=seen_at)
        case ["openapi", descriptors]:
            openapi.write(Path(descriptors), SOURCES / "examples", OPENAPI)
        case _:
            sys.exit("usage: python -m gateway edge [render FOLDER [SEEN_AT] | openapi DESCRIPTORS]")


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

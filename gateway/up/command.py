# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway up [-- COMMAND ...]`: all pods and the edge, until Ctrl-C or until the command has ended.

Settings may protect every pod but the model server, which stays on loopback in plaintext. Whether a front with TLS is
ready is asked on its health port, which needs no certificate; the edge asks it with the pods' own certificates.
"""

import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from gateway.front.settings import FrontSettings
from gateway.serving.settings import PROJECT_ROOT
from gateway.up.plan import Plan
from gateway.up.system import System, running_pods

_POLL_S: Final = 0.5
_DEFAULT_FRONT: Final[str] = FrontSettings.model_fields["address"].default


def main(parser: ArgumentParser) -> None:
    """Start everything, run what follows "--" (or wait), stop everything; exits with the command's code.

    Raises:
        CannotStart: see `running_pods`.
    """
    parser.usage = "%(prog)s [-h] [-- COMMAND ...]"
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="run it when all pods are ready, then stop them")
    command = parser.parse_args().command
    if sys.argv[1:] and (sys.argv[1] != "--" or not command):
        parser.error("a command follows --")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with running_pods(_log_folder(os.environ.get("ORRERY_FRONT_ADDRESS", _DEFAULT_FRONT))) as system:
            code = subprocess.call(command) if command else _stay(system)  # noqa: S603  # the user's own command
    except KeyboardInterrupt:
        code = 0
    print("all pods have drained and stopped", flush=True)
    sys.exit(code)


def _log_folder(front_address: str) -> Path:
    """A folder for each front's address, so that two systems do not write to the same files."""
    folder = PROJECT_ROOT / "var" / "log"
    return folder if front_address == _DEFAULT_FRONT else folder / front_address.replace(":", "-").replace("/", "-")


def _stay(system: System) -> int:
    """Until Ctrl-C, or until a pod dies."""
    print("\n".join(what_to_try(system.plan)), flush=True)
    while True:
        if reason := system.first_stopped():
            print(f"{reason}\nstopping the others", flush=True)
            return 1
        time.sleep(_POLL_S)


def what_to_try(plan: Plan) -> list[str]:
    """Lines with the addresses of the system and with commands to try."""
    front, edge = plan.front, plan.edge
    lines = [f"gRPC at {front.address}"]
    if edge is not None:
        scheme = "https" if edge.tls_certificate_file else "http"
        lines.append(
            f"REST, gRPC-Web and gRPC at {edge.address}; the API's reference at {scheme}://{edge.address}/api/docs/"
        )
    if front.tls_certificate_file or front.authenticates:
        lines.append("callers need what the settings ask for, a certificate or a token: client/README.md")
    else:
        lines.append(f"try next: {_python()} client/examples/ask.py{_argument(front.address)}")
        if edge is not None and not edge.tls_certificate_file:
            lines.append(
                f"     and: curl http://{edge.address}/api/predict -H 'content-type: application/json'"
                " -d @serving_config/envoy/examples/Predict.json"
            )
    return [*lines, "Ctrl-C drains and stops"]


def _argument(front_address: str) -> str:
    return "" if front_address == _DEFAULT_FRONT else f" {front_address}"


def _python() -> str:
    """This interpreter, as it is called from the project's folder."""
    program = Path(sys.executable)
    return str(program.relative_to(PROJECT_ROOT)) if program.is_relative_to(PROJECT_ROOT) else str(program)

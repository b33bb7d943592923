# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of all pods: started, waited for, and drained whatever happens."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from gateway.serving.settings import PROJECT_ROOT
from gateway.serving.starting import CannotStart
from gateway.up.plan import Plan, make_plan
from gateway.up.readiness import readiness_checks

Processes: TypeAlias = Mapping[str, subprocess.Popen[bytes]]

# TensorFlow alone takes 20 s to import on two busy cores.
START_TIMEOUT_S: Final = 180.0
_STOP_TIMEOUT_S: Final = 20.0
# How often readiness is checked, and how often the pods that are not ready are printed.
_POLL_S: Final = 0.2
_PRINT_S: Final = 10.0
_TAIL_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class System:
    """All pods, ready."""

    plan: Plan
    processes: Processes
    logs: Path

    def first_stopped(self) -> str | None:
        """The sentence about a pod that has ended by itself; None while all run."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                return f"{name} stopped with code {process.returncode}: {_last_words(self.logs / f'{name}.log')}"
        return None


@contextlib.contextmanager
def running_pods(logs: Path, environment: Mapping[str, str] | None = None) -> Iterator[System]:
    """Processes of all pods, ready while entered; progress is printed.

    Args:
        logs: folder of their log files.
        environment: settings on top of this process' own; they may ask for TLS and for callers.

    Raises:
        CannotStart: nothing was started (see `make_plan`); or a pod died, or readiness did not come in time.
    """
    plan = make_plan({**os.environ, **(environment or {})})
    logs.mkdir(parents=True, exist_ok=True)
    if plan.no_edge:
        print(f"no REST and no gRPC-Web: {plan.no_edge}", flush=True)
    print(f"starting {', '.join(plan.pods)}; logs in {_shown(logs)}", flush=True)
    started_s = time.monotonic()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in plan.pods:
            with (logs / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-m", "gateway", name]
                # In sessions of their own: Ctrl-C is ours to hand on.
                processes[name] = subprocess.Popen(  # noqa: S603  # our own modules
                    command, stderr=log, stdout=log, env=plan.environment, cwd=PROJECT_ROOT, start_new_session=True
                )
        system = System(plan, processes, logs)
        _await_ready(system, started_s)
        print(f"all pods ready after {time.monotonic() - started_s:.1f} s", flush=True)
        yield system
    finally:
        _stop(processes)


def _await_ready(system: System, started_s: float) -> None:
    """Print each pod as it becomes ready, and from time to time which are awaited.

    Raises:
        CannotStart: a pod died, or readiness did not come in time.
    """
    print_at_s = _PRINT_S
    with readiness_checks(system.plan) as waiting:
        while waiting:
            if reason := system.first_stopped():
                raise CannotStart(reason)
            for name in [name for name, is_ready in waiting.items() if is_ready()]:
                del waiting[name]
                print(f"  {name} is ready after {time.monotonic() - started_s:.1f} s", flush=True)
            waited_s = time.monotonic() - started_s
            if waiting and waited_s > START_TIMEOUT_S:
                names = ", ".join(waiting)
                raise CannotStart(f"not ready after {START_TIMEOUT_S:.0f} s: {names}; see {_shown(system.logs)}")
            if waiting and waited_s > print_at_s:
                print_at_s += _PRINT_S
                print(f"  waiting for {', '.join(waiting)} ({waited_s:.0f} s)", flush=True)
            if waiting:
                time.sleep(_POLL_S)


def _stop(processes: Processes) -> None:
    """The edge and the front first, so that nothing asks a pod that is gone."""
    for process in reversed(list(processes.values())):
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(log: Path) -> str:
    """Why a pod could not start, if that is what its log ends with; else the end of the log."""
    lines = log.read_text(errors="replace").splitlines()
    with contextlib.suppress(ValueError, IndexError, KeyError, TypeError):
        return str(json.loads(lines[-1])["error"])
    return "\n".join([f"the end of {_shown(log)} is", *lines[-_TAIL_LINES:]])


def _shown(path: Path) -> str:
    """A path as short as it can be written from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

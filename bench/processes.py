# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods as processes of their own: how benchmarks start them, and what they have used."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.pod import _free_address

_ROOT: Final = Path(__file__).resolve().parents[1]
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def settings_of_pods(address: Mapping[str, str]) -> dict[str, str]:
    """What a model server, an anomaly pod and the fronts before them need to find each other; no simulations.

    Args:
        address: of "model-server" and "anomaly".
    """
    return {
        "ORRERY_MODEL_SERVER_ADDRESS": address["model-server"],
        "ORRERY_MODEL_SERVER_STATUS_ADDRESS": _free_address(),
        "ORRERY_ANOMALY_ADDRESS": address["anomaly"],
        "ORRERY_ANOMALY_METRICS_ADDRESS": _free_address(),
        "ORRERY_FRONT_MODEL_SERVER_ADDRESS": address["model-server"],
        "ORRERY_FRONT_ANOMALY_ADDRESS": address["anomaly"],
        "ORRERY_FRONT_SIMULATION_ADDRESS": _free_address(),
    }


@contextlib.contextmanager
def started(arguments: Sequence[str], settings: Mapping[str, str]) -> Iterator[int]:
    """The id of a process of this Python, in this environment and with some settings; ended when this is left."""
    process = subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, *arguments],
        env=os.environ | settings,
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time of some processes so far (proc(5): utime and stime)."""
    total = 0
    for pid in pids:
        # The name, in brackets, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S

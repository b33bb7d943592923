# SPDX-License-Identifier: GPL-3.0-or-later
"""How many processors this process may use."""

import math
import os
from pathlib import Path
from typing import Final

_CGROUP_CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")


def cpu_quota(cpu_max: Path = _CGROUP_CPU_MAX) -> int:
    """The cgroup v2 quota rounded up, at most the processors that this process may run on."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota_us, period_us = cpu_max.read_text().split()
    except OSError:
        return processors
    if quota_us == "max":
        return processors
    return min(processors, max(1, math.ceil(int(quota_us) / int(period_us))))

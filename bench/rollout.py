# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling restarts under load: `make rollout`. The exit code says whether every call was answered well."""

import argparse
import asyncio
import datetime as dt
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench import rollout_names
from bench.rollout_load import Load
from bench.tables import markdown
from bench.topology import Replica, Topology, running_topology

_REPORT: Final = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "rollout.md"
_SETTLE_S: Final = 3.0
_CALLERS: Final = 6
_HEADER: Final = ("restarted", "preStop s", "calls meanwhile", "lost", "slowest call s", "exit code")
_INTRODUCTION: Final = """
Written by `make rollout`: two fronts behind Envoy and two of each pod behind the fronts, on one machine, restarted one
after the other under load (REST, gRPC and streams through the edge: predictions, scores, MOIDs, simulations, votes).
Numbers are read from `k8s/base`: preStop, grace, age of connections. A call is lost unless it ends with 200 or OK
and holds the answer; callers do not retry, Envoy and the fronts do. It is harder than a cluster's rollout: a pod
restarts in place, with none beside it, and no address is taken off any list, so that only health, GOAWAY and retries
lead calls away.
"""


async def _restart(pod: Replica, load: Load) -> tuple[str, ...]:
    answered, lost = load.mark()
    code = await pod.restart()
    await asyncio.sleep(_SETTLE_S)
    slowest_s = load.slowest_s
    now_answered, now_lost = load.mark()
    calls = now_answered + now_lost - answered - lost
    row = (pod.role, f"{pod.numbers.pre_stop_s:g}", f"{calls:,}", str(now_lost - lost), f"{slowest_s:.2f}", str(code))
    sys.stdout.write(" | ".join(row) + "\n")
    sys.stdout.flush()
    return row


def _chosen(topology: Topology, *, short: bool) -> list[Replica]:
    """All of them; in short one front, one anomaly pod, one simulation pod."""
    if not short:
        return list(topology.replicas)
    return [next(pod for pod in topology.replicas if pod.role == role) for role in ("front", "anomaly", "simulation")]


async def _run(*, short: bool) -> int:
    before = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    with tempfile.TemporaryDirectory(prefix="orrery-rollout-") as folder:
        async with running_topology(Path(folder)) as topology:
            load = Load(topology.edge.address, _CALLERS)
            sys.stdout.write(" | ".join(_HEADER) + "\n")
            async with load.running():
                await asyncio.sleep(_SETTLE_S)
                rows = [await _restart(pod, load) for pod in _chosen(topology, short=short)]
    total = f"{sum(load.answered.values()):,} calls answered, {len(load.lost)} lost"
    kinds = ", ".join(f"{name} {count:,}" for name, count in sorted(load.answered.items()))
    sys.stdout.write("\n".join([f"{total} ({kinds})", *load.lost[:20]]) + "\n")
    # The numbers of k8s/base lose none; those before them are measured to be compared.
    names = [] if short else await rollout_names.measure()
    lost_by_name = sum(int(row[-1]) for row in names[len(names) // 2 :])
    if not short:
        where = (
            f"{dt.datetime.now(dt.UTC).date()}; {len(os.sched_getaffinity(0))} cores for everything; load average"
            f" {before} before. In all {total}: {kinds}."
        )
        _REPORT.write_text(
            f"# Rolling restarts under load\n{_INTRODUCTION}\n{where}\n\n{markdown(_HEADER, rows)}"
            f"{rollout_names.INTRODUCTION}\n{markdown(rollout_names.HEADER, names)}",
            encoding="utf-8",
        )
    return 1 if load.lost or lost_by_name else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one of each, no report")
    sys.exit(asyncio.run(_run(short=parser.parse_args().short)))

# SPDX-License-Identifier: GPL-3.0-or-later
"""A hostile connection beside a bystander who asks real questions: none of the bystander's calls may fail.

`ORRERY_TEST_ATTACK_S` is how long each attack lasts (default 2 s).
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from orrery.inference import v1
from tests.attacks import ATTACKS
from tests.objects import eros
from tests.pods import PROJECT_ROOT, free_settings

# The attacks that `make test` tries, on a front.
SHORT = ("call_resets", "bombs", "unread_streams")
ATTACK_S = float(os.environ.get("ORRERY_TEST_ATTACK_S", "2"))
# The bystander asks so often, and waits so long for an answer.
PERIOD_S, DEADLINE_S = 0.1, 3.0
# What a server may grow by meanwhile. The figures that are larger are those of attacks that are not bounded yet.
MOST_GROWTH_MB = {"half_messages": 400}
# Streams that stay open take the places that calls share: more of them than there are places refuse others.
NOT_YET = {"tiny_messages": 2, "unread_streams": 1}


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """A front and an anomaly pod behind it, as processes: their ports and process ids by name."""
    folder = tmp_path_factory.mktemp("hostile")
    addresses, environment = free_settings(folder)
    with ExitStack() as stack:
        started = {}
        for name in ("anomaly", "front"):
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            command = [sys.executable, "-m", "gateway", name]
            process = subprocess.Popen(
                command, cwd=PROJECT_ROOT, env={**os.environ, **environment}, stdout=log, stderr=log
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            started[name] = (int(addresses[name].rpartition(":")[2]), process.pid)
        asyncio.run(until_answered(addresses["front"]))
        yield started


async def until_answered(address):
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(60):
        while await ask(channel) != "OK":
            await asyncio.sleep(0.2)


async def ask(channel):
    try:
        await v1.AnomalyServiceStub(channel).ScoreAnomalies(
            v1.ScoreAnomaliesRequest(objects=[eros()]), timeout=DEADLINE_S
        )
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


def resident_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


async def bystander(port, seconds):
    """How each call ended, and how long each took."""
    ended, took_s = [], []

    async def timed(channel):
        began_s = time.monotonic()
        ended.append(await ask(channel))
        took_s.append(time.monotonic() - began_s)

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as calls:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            calls.create_task(timed(channel))
            await asyncio.sleep(PERIOD_S)
    return ended, took_s


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read memory from: Linux alone has it")
@pytest.mark.parametrize("pod", ["front", pytest.param("anomaly", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in ATTACKS]
)
def test_a_bystander_is_served(pods, name, pod, record_property):
    port, pid = pods[pod]
    before_mb = resident_mb(pid)
    connections = [str(NOT_YET[name])] if name in NOT_YET else []
    command = [sys.executable, "-m", "tests.attacks", name, str(port), str(ATTACK_S + 1), *connections]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as attacker:
        ended, took_s = asyncio.run(bystander(port, ATTACK_S))
        after_mb = resident_mb(pid)
        cut_off = attacker.communicate()[0].strip()
    slowest_ms, grown_mb = max(took_s) * 1e3, after_mb - before_mb
    record_property(
        "figures",
        f"{pod} {name}: {len(ended)} calls, slowest {slowest_ms:.0f} ms, {grown_mb:+.0f} MB, cut off {cut_off} times",
    )
    assert set(ended) == {"OK"}
    assert grown_mb < MOST_GROWTH_MB.get(name, 100)

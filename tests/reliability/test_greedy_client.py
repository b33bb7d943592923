# SPDX-License-Identifier: GPL-3.0-or-later
"""One caller asks for ten times its quota; the others must not notice."""

import asyncio
import hashlib
import secrets

import grpc

from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests.objects import eros
from tests.pods import running_anomaly, running_front

NAMES = ("greedy", "one", "two", "three")
TOKENS = {name: secrets.token_hex(32) for name in NAMES}
CALLERS = ";".join(
    f"{name} reader sha256:{hashlib.sha256(token.encode()).hexdigest()}" for name, token in TOKENS.items()
)
QUOTA_OBJECTS_PER_S = 20
SECONDS = 2
REQUEST = v1.ScoreAnomaliesRequest(objects=[eros()])


async def ask(score, name, rate_per_s):
    """Outcomes of calls made at a steady rate, whatever becomes of the ones before."""

    async def once():
        try:
            await score(REQUEST, timeout=10, metadata=(("authorization", f"Bearer {TOKENS[name]}"),))
        except grpc.aio.AioRpcError as error:
            return InferenceError(error).reason or error.code().name
        return "OK"

    calls = []
    for _ in range(int(rate_per_s * SECONDS)):
        calls.append(asyncio.create_task(once()))
        await asyncio.sleep(1 / rate_per_s)
    return await asyncio.gather(*calls)


async def test_others_are_answered_while_one_asks_for_ten_times_its_quota():
    quota = {"quota_objects_per_s": QUOTA_OBJECTS_PER_S, "quota_burst_objects": QUOTA_OBJECTS_PER_S}
    async with (
        running_anomaly() as anomaly,
        running_front(anomaly_address=anomaly.address, callers=CALLERS, **quota) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        score = v1.AnomalyServiceStub(channel).ScoreAnomalies
        async with asyncio.timeout(30):
            while (await ask(score, "one", 1 / SECONDS))[0] != "OK":
                pass
        await asyncio.sleep(1)
        rates = {name: QUOTA_OBJECTS_PER_S * (10 if name == "greedy" else 0.7) for name in NAMES}
        outcomes = dict(
            zip(NAMES, await asyncio.gather(*(ask(score, name, rate) for name, rate in rates.items())), strict=True)
        )
    greedy = outcomes.pop("greedy")
    assert set(greedy) == {"OK", "QUOTA_EXCEEDED"}
    # Its bucket and what flowed into it; a slow machine takes longer over the calls, hence the margin.
    assert greedy.count("OK") < 0.5 * len(greedy)
    others = [outcome for answers in outcomes.values() for outcome in answers]
    assert others.count("OK") >= 0.99 * len(others)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Two fronts that remember together, in a real Redis, and what becomes of them without it."""

import asyncio
import contextlib

import grpc
import pytest
from redis import asyncio as redis

from gateway.front import metrics
from orrery.inference import v1
from tests.contract.test_batching import expected, item, model_server
from tests.pods import running_front
from tests.redis_server import NEEDED, running_redis

__all__ = ["model_server"]

pytestmark = NEEDED


@contextlib.asynccontextmanager
async def two_fronts(model_server, url):
    """Their Predict methods; both know already what "the newest" means."""
    settings = {"model_server_address": model_server.server.address, "cache_fresh_s": 60.0, "cache_redis_url": url}
    async with (
        running_front(**settings) as one,
        running_front(**settings) as other,
        grpc.aio.insecure_channel(one.address) as to_one,
        grpc.aio.insecure_channel(other.address) as to_other,
    ):
        fronts = [v1.PredictionServiceStub(channel).Predict for channel in (to_one, to_other)]
        for number, predict in enumerate(fronts):
            await predict(v1.PredictRequest(objects=[item(-1.0 - number)]), timeout=30)
        yield fronts


def shared_hits():
    return metrics.CACHE_SHARED_HITS.value


async def until_kept(url, count):
    store = redis.Redis.from_url(url)
    async with asyncio.timeout(10):
        while len(await store.keys("orrery:prediction:*")) < count:
            await asyncio.sleep(0.02)
    return store


async def test_what_one_front_asked_the_other_remembers(model_server, tmp_path):
    with running_redis(tmp_path) as (url, _):
        async with two_fronts(model_server, url) as (one, other):
            before = shared_hits()
            first = await one(v1.PredictRequest(objects=[item(2.0)]), timeout=30)
            store = await until_kept(url, 3)
            assert shared_hits() == before
            assert await other(v1.PredictRequest(objects=[item(2.0)]), timeout=30) == first
            assert shared_hits() == before + 1
            # From here on it is the other front's own.
            await other(v1.PredictRequest(objects=[item(2.0)]), timeout=30)
            assert shared_hits() == before + 1
            assert 0 < await store.ttl((await store.keys("orrery:prediction:*"))[0]) <= 86_400
            await store.aclose()


async def test_a_value_that_is_no_prediction_is_a_miss(model_server, tmp_path):
    with running_redis(tmp_path) as (url, _):
        async with two_fronts(model_server, url) as (one, other):
            await one(v1.PredictRequest(objects=[item(2.0)]), timeout=30)
            store = await until_kept(url, 3)
            for key in await store.keys("orrery:prediction:*"):
                await store.set(key, b"\xff\xff\xff")
            reply = await other(v1.PredictRequest(objects=[item(2.0)]), timeout=30)
            await store.aclose()
    assert reply.predictions[0].pha_probability == pytest.approx(expected(2.0), rel=1e-4)


async def test_without_redis_nothing_fails(model_server, tmp_path):
    with running_redis(tmp_path) as (url, process):
        async with two_fronts(model_server, url) as (one, other):
            process.kill()
            await asyncio.to_thread(process.wait)
            for magnitude in (1.0, 2.0, 1.0):
                for predict in (one, other):
                    reply = await predict(v1.PredictRequest(objects=[item(magnitude)]), timeout=30)
                    assert reply.predictions[0].pha_probability == pytest.approx(expected(magnitude), rel=1e-4)

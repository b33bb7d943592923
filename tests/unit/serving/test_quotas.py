# SPDX-License-Identifier: GPL-3.0-or-later
"""Token buckets, here and in a real Redis: the same rules."""

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.serving import metrics
from gateway.serving.quotas import BYTES_PER_OBJECT, LocalBuckets, Quota, cost_of, network_of
from gateway.serving.redis_quotas import RedisBuckets
from tests.pods import free_address
from tests.redis_server import NEEDED, redis_url

__all__ = ["redis_url"]


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


async def test_a_burst_is_admitted_and_then_the_rate(clock):
    buckets = LocalBuckets(Quota(objects_per_s=10, burst_objects=5), 100, clock)
    assert [await buckets.take("a", 1) for _ in range(5)] == [0] * 5
    assert await buckets.take("a", 1) == pytest.approx(0.1)
    clock.now_s += 0.1
    assert await buckets.take("a", 1) == 0
    assert await buckets.take("a", 1) > 0
    assert await buckets.take("b", 1) == 0


async def test_waiting_as_told_is_enough_and_refusals_cost_nothing(clock):
    buckets = LocalBuckets(Quota(objects_per_s=10, burst_objects=5), 100, clock)
    await buckets.take("a", 5)
    waits = [await buckets.take("a", 3) for _ in range(10)]
    assert waits == [pytest.approx(0.3)] * 10
    clock.now_s += waits[0] + 1e-9
    assert await buckets.take("a", 3) == 0


async def test_a_huge_call_is_admitted_once_and_paid_for_afterwards(clock):
    buckets = LocalBuckets(Quota(objects_per_s=10, burst_objects=5), 100, clock)
    assert await buckets.take("a", 100) == 0
    assert await buckets.take("a", 1) == pytest.approx(9.6)
    clock.now_s += 1e9
    assert [await buckets.take("a", 1) for _ in range(6)][-1] > 0


async def test_callers_are_remembered_up_to_a_number(clock):
    buckets = LocalBuckets(Quota(objects_per_s=1, burst_objects=1), 10, clock)
    for number in range(1_000):
        await buckets.take(f"caller {number}", 1)
    assert len(buckets) == 10
    assert await buckets.take("caller 999", 1) > 0


def test_a_request_costs_its_objects():
    assert cost_of(0) == 1
    assert cost_of(100_000 * BYTES_PER_OBJECT) == 100_000


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:%5B::1%5D:4711", "::/64"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::/64"),
        ("ipv6:[::ffff:192.0.2.1]:1", "192.0.2.1"),
        ("unix:", "unix"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_caller_without_a_name_is_its_network(peer, network):
    assert network_of(peer) == network


@NEEDED
async def test_redis_keeps_one_bucket_for_all_fronts(redis_url):
    quota = Quota(objects_per_s=0.01, burst_objects=50)
    fronts = [RedisBuckets(quota, redis_url) for _ in range(4)]
    await asyncio.gather(*(front.take("warm-up", 1) for front in fronts))
    waits = []
    for _ in range(25):
        waits += await asyncio.gather(*(front.take("shared", 1) for front in fronts))
    assert waits.count(0) == 50
    assert all(0 < wait_s <= 100 for wait_s in waits if wait_s)
    assert await fronts[0].take("another", 1) == 0
    for front in fronts:
        await front.close()


@NEEDED
async def test_redis_has_the_same_rules(redis_url):
    buckets = RedisBuckets(Quota(objects_per_s=10, burst_objects=5), redis_url)
    assert await buckets.take("huge", 100) == 0
    assert await buckets.take("huge", 1) == pytest.approx(9.6, abs=0.2)
    await buckets.take("brief", 5)
    wait_s = await buckets.take("brief", 1)
    assert 0 < wait_s <= 0.1
    await asyncio.sleep(wait_s + 0.01)
    assert await buckets.take("brief", 1) == 0
    assert 0 < await buckets._store.redis.pttl("orrery:quota:brief") <= 1_600
    await buckets.close()


async def test_without_redis_every_call_is_admitted_and_it_is_said():
    buckets = RedisBuckets(Quota(objects_per_s=1, burst_objects=1), f"redis://{free_address()}/0")
    before = metrics.QUOTA_UNCHECKED._value.get()
    with capture_logs() as logs:
        assert [await buckets.take("a", 1) for _ in range(20)] == [0] * 20
    assert metrics.QUOTA_UNCHECKED._value.get() - before == 20
    assert [line["log_level"] for line in logs] == ["warning"]
    await buckets.close()

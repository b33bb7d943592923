# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams answered in order, with a limit on what is under way."""

import asyncio

import pytest

from gateway.serving.streams import BusyStreams, in_order


class Source:
    """A stream of numbers that knows how many were taken."""

    def __init__(self, numbers):
        self.numbers = numbers
        self.taken = 0

    async def __aiter__(self):
        for number in self.numbers:
            self.taken += 1
            yield number


def answered(source, answer, **limits):
    return in_order(source, answer, **{"weigh": lambda _: 1, "most_messages": 4, "most_weight": 100, **limits})


async def read(replies, seen):
    """Take all replies there are, up to a failure."""
    async for reply in replies:
        seen.append(reply)


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


async def test_replies_keep_the_order_though_later_ones_are_ready_first():
    async def answer(number):
        for _ in range(20 - 2 * number):
            await asyncio.sleep(0)
        return number

    assert [reply async for reply in answered(Source(range(10)), answer)] == list(range(10))


@pytest.mark.parametrize(("limits", "most"), [({}, 4), ({"weigh": lambda _: 40}, 2), ({"weigh": lambda _: 500}, 1)])
async def test_no_more_is_read_than_is_being_answered(limits, most):
    source, gate = Source(range(10)), asyncio.Semaphore(0)
    running = peak = 0

    async def answer(number):
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await gate.acquire()
        running -= 1
        return number

    replies = answered(source, answer, **limits)
    first = asyncio.ensure_future(anext(replies))
    await settle()
    # One more may have been read, and waits for room.
    assert source.taken <= most + 1
    for _ in range(10):
        gate.release()
    assert [await first] + [reply async for reply in replies] == list(range(10))
    assert peak == most


async def test_the_first_failure_comes_after_the_replies_before_it_and_ends_everything():
    ended = []

    async def answer(number):
        if number == 2:
            raise ValueError("the third")
        try:
            if number > 2:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(number)
            raise
        return number

    seen = []
    with pytest.raises(ValueError, match="the third"):
        await read(answered(Source(range(10)), answer), seen)
    assert seen == [0, 1]
    assert set(ended) <= {3, 4, 5, 6}
    await settle()
    assert len(asyncio.all_tasks()) == 1


async def test_a_stream_that_breaks_is_told_of_after_its_replies():
    async def source():
        yield 1
        raise ConnectionError("gone")

    async def answer(number):
        return number

    seen = []
    with pytest.raises(ConnectionError):
        await read(answered(source(), answer), seen)
    assert seen == [1]


async def test_whoever_stops_iterating_leaves_nothing_running():
    async def answer(number):
        if number:
            await asyncio.Event().wait()
        return number

    replies = answered(Source(range(10)), answer)
    assert await anext(replies) == 0
    await replies.aclose()
    await settle()
    assert len(asyncio.all_tasks()) == 1


async def test_streams_share_the_limits_and_each_may_have_one_message():
    busy, gate = BusyStreams(), asyncio.Event()

    async def answer(number):
        await gate.wait()
        return number

    sources = [Source(range(20)) for _ in range(8)]
    seen = [[] for _ in sources]
    reading = [
        asyncio.ensure_future(read(answered(source, answer, most_messages=16, busy=busy), replies))
        for source, replies in zip(sources, seen, strict=True)
    ]
    await settle()
    # The first took some before the others were there; one more is read than begun.
    assert busy.count == 8
    assert sum(source.taken for source in sources) <= 16 + 2 * 8
    gate.set()
    await asyncio.gather(*reading)
    assert seen == [list(range(20))] * 8
    assert busy.count == 0


async def test_a_stream_whose_replies_are_not_taken_begins_nothing_more():
    source = Source(range(20))

    async def answer(number):
        return number

    replies = answered(source, answer, most_messages=16)
    assert await anext(replies) == 0
    await settle()
    taken = source.taken
    assert taken < 20
    assert await anext(replies) == 1
    await settle()
    assert source.taken <= taken + 2
    await replies.aclose()

# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import contextlib

import pytest

from gateway.simulation.heartbeat import with_heartbeat


class Work:
    """Says 1, is silent until told, says 2, and fails if it is to."""

    def __init__(self, error=None):
        self.told = asyncio.Event()
        self.closed = False
        self._error = error

    async def messages(self):
        try:
            yield 1
            await self.told.wait()
            yield 2
            if self._error:
                raise self._error
        finally:
            self.closed = True


async def test_silence_is_broken_and_nothing_is_lost():
    work, heard = Work(), []
    async for message in with_heartbeat(work.messages(), 0.01):
        heard.append(message)
        if heard.count(None) == 3:
            work.told.set()
    assert heard[0] == 1
    assert heard[-1] == 2
    assert heard.count(None) >= 3
    assert work.closed


async def test_what_goes_wrong_reaches_the_listener():
    work = Work(LookupError("no more"))
    work.told.set()
    with pytest.raises(LookupError, match="no more"):
        assert [message async for message in with_heartbeat(work.messages(), 5.0)]
    assert work.closed


async def test_who_stops_listening_stops_the_work():
    work = Work()
    async with contextlib.aclosing(with_heartbeat(work.messages(), 0.01)) as messages:
        while await anext(messages) is not None:
            pass
    assert work.closed


async def test_a_listener_that_is_cancelled_stops_the_work():
    work = Work()

    async def listen():
        async for _ in with_heartbeat(work.messages(), 60.0):
            pass

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await asyncio.sleep(0)
    assert work.closed

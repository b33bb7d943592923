# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging concurrent callers: who goes together, who waits, who is told what."""

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from gateway.front.batching import MicroBatcher
from gateway.serving.errors import BackendUnavailable, DeadlineExceeded

NEWEST = b""


@dataclass
class Echo:
    """An answer that repeats the question."""

    rows: np.ndarray

    def part(self, rows):
        return Echo(self.rows[rows])


class Backend:
    """Answers each call when told to, and remembers what it was asked."""

    def __init__(self):
        self.calls = []
        self.selectors = []
        self.timeouts = []
        self.cancelled = 0
        self.refusal = None
        self.gate = asyncio.Semaphore(0)

    async def ask(self, selector, rows, *, timeout, metadata):  # noqa: ASYNC109, ARG002  # what a batcher calls
        self.calls.append(rows[:, 0].tolist())
        self.selectors.append(selector)
        self.timeouts.append(timeout)
        try:
            await self.gate.acquire()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.refusal:
            raise self.refusal
        return Echo(rows)


@pytest.fixture
async def backend():
    return Backend()


@pytest.fixture
async def batcher(backend):
    return MicroBatcher(backend.ask, most_rows=4, most_under_way=1)


def submit(batcher, *numbers, selector=NEWEST, timeout=10.0):
    rows = np.array([[number] for number in numbers], dtype=np.float64)
    return asyncio.create_task(batcher.submit(selector, rows, timeout=timeout))


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_idle_backend_is_asked_at_once(backend, batcher):
    submitted = submit(batcher, 1)
    await settle()
    assert backend.calls == [[1]]
    backend.gate.release()
    assert (await submitted).rows.tolist() == [[1]]


async def test_arrivals_during_a_call_go_together_and_each_gets_its_own(backend, batcher):
    tasks = [submit(batcher, 1), submit(batcher, 2), submit(batcher, 3, 4)]
    await settle()
    assert backend.calls == [[1]]
    backend.gate.release()
    await settle()
    assert backend.calls == [[1], [2, 3, 4]]
    backend.gate.release()
    assert [(await task).rows[:, 0].tolist() for task in tasks] == [[1], [2], [3, 4]]


async def test_a_batch_keeps_its_row_limit_and_a_larger_caller_goes_alone(backend, batcher):
    tasks = [submit(batcher, 1), submit(batcher, 2, 3, 4), submit(batcher, 5, 6), submit(batcher, *range(10, 16))]
    for _ in tasks:
        backend.gate.release()
    await asyncio.gather(*tasks)
    assert backend.calls == [[1], [2, 3, 4], [5, 6], list(range(10, 16))]


async def test_different_selectors_are_never_merged(backend, batcher):
    tasks = [submit(batcher, number, selector=selector) for number, selector in ((1, b"a"), (2, b"b"), (3, b"a"))]
    await settle()
    assert backend.calls == [[1], [2]]
    for _ in tasks:
        backend.gate.release()
    await asyncio.gather(*tasks)
    assert backend.selectors == [b"a", b"b", b"a"]


async def test_a_caller_who_left_is_not_sent(backend, batcher):
    first, gone, stays = submit(batcher, 1), submit(batcher, 2), submit(batcher, 3)
    await settle()
    gone.cancel()
    for _ in range(2):
        backend.gate.release()
    await asyncio.gather(first, stays)
    assert backend.calls == [[1], [3]]


async def test_one_caller_who_leaves_does_not_disturb_the_others_of_a_batch(backend, batcher):
    first, gone, stays = submit(batcher, 1), submit(batcher, 2), submit(batcher, 3)
    await settle()
    backend.gate.release()
    await settle()
    gone.cancel()
    backend.gate.release()
    assert (await stays).rows.tolist() == [[3]]
    await first
    assert backend.cancelled == 0


async def test_the_call_is_cancelled_when_all_its_callers_left_and_the_next_goes(backend, batcher):
    first, other, late = submit(batcher, 1), submit(batcher, 2), submit(batcher, 3)
    await settle()
    first.cancel()
    await settle()
    assert backend.cancelled == 1
    assert backend.calls == [[1], [2, 3]]
    for task in (other, late):
        task.cancel()
    await settle()
    assert backend.cancelled == 2
    again = submit(batcher, 4)
    backend.gate.release()
    assert (await again).rows.tolist() == [[4]]


async def test_a_caller_who_leaves_at_once_blocks_nobody(backend, batcher):
    coroutine = batcher.submit(NEWEST, np.array([[1.0]]), timeout=10.0)
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    # Its call has been created but has not taken its first step.
    task.cancel()
    await settle()
    after = submit(batcher, 2)
    backend.gate.release()
    assert (await after).rows.tolist() == [[2]]


async def test_a_deadline_is_kept_though_the_call_goes_on_for_the_others(backend, batcher):
    first = submit(batcher, 1)
    hurried, patient = submit(batcher, 2, timeout=0.05), submit(batcher, 3, timeout=10.0)
    await settle()
    backend.gate.release()
    await first
    with pytest.raises(DeadlineExceeded):
        await hurried
    assert not patient.done()
    assert backend.timeouts[1] > 5
    backend.gate.release()
    assert (await patient).rows.tolist() == [[3]]


async def test_a_refusal_goes_to_all_callers_of_the_batch_and_to_no_other(backend, batcher):
    first, two, three = submit(batcher, 1), submit(batcher, 2), submit(batcher, 3)
    await settle()
    backend.gate.release()
    assert (await first).rows.tolist() == [[1]]
    await settle()
    backend.refusal = BackendUnavailable("model server")
    backend.gate.release()
    for task in (two, three):
        with pytest.raises(BackendUnavailable):
            await task
    backend.refusal = None
    after = submit(batcher, 4)
    backend.gate.release()
    assert (await after).rows.tolist() == [[4]]


async def test_nothing_is_kept_of_selectors_that_nobody_waits_for(backend, batcher):
    tasks = [submit(batcher, 1, selector=bytes([number])) for number in range(20)]
    for _ in tasks:
        backend.gate.release()
    await asyncio.gather(*tasks)
    await settle()
    assert not batcher._lanes
    assert not batcher._under_way


async def test_the_next_question_is_put_before_the_answer_to_the_last_is_handed_out():
    put, order = [], []
    loop = asyncio.get_running_loop()

    def ask(_selector, rows, *, timeout, metadata):  # what a batcher calls
        order.append("put")
        put.append((rows, loop.create_future()))
        return put[-1][1]

    batcher = MicroBatcher(ask, most_rows=4, most_under_way=1)
    tasks = [submit(batcher, number) for number in (1, 2)]
    await settle()
    for task in tasks:
        task.add_done_callback(lambda _: order.append("answered"))
    put[0][1].set_result(Echo(put[0][0]))
    await settle()
    put[1][1].set_result(Echo(put[1][0]))
    await asyncio.gather(*tasks)
    assert order == ["put", "put", "answered", "answered"]


async def test_a_question_that_cannot_be_put_is_refused_to_those_who_asked_it():
    def ask(_selector, rows, *, timeout, metadata):  # what a batcher calls
        if len(rows) > 1:
            raise BackendUnavailable("model server")
        return asyncio.sleep(0, Echo(rows))

    batcher = MicroBatcher(ask, most_rows=4, most_under_way=1)
    results = await asyncio.gather(submit(batcher, 1, 2), submit(batcher, 3), return_exceptions=True)
    assert isinstance(results[0], BackendUnavailable)
    assert results[1].rows.tolist() == [[3]]


async def test_the_first_answers_of_a_large_batch_are_there_before_the_last_and_each_is_its_own(backend):
    batcher = MicroBatcher(backend.ask, most_rows=100, most_under_way=1)
    first = submit(batcher, 0)
    await settle()
    order = []
    tasks = [submit(batcher, number, -number) for number in range(1, 21)]
    await settle()
    for task in tasks:
        # What is written of an answer leaves a turn of the loop later.
        task.add_done_callback(lambda _: asyncio.get_running_loop().call_soon(order.append, "sent"))
        task.add_done_callback(lambda _: order.append("written"))
    backend.gate.release()
    await first
    tasks[9].cancel()
    await settle()
    backend.gate.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    await settle()
    assert [answer.rows[:, 0].tolist() for answer in found[:9]] == [[n, -n] for n in range(1, 10)]
    assert isinstance(found[9], asyncio.CancelledError)
    assert [answer.rows[:, 0].tolist() for answer in found[10:]] == [[n, -n] for n in range(11, 21)]
    assert order.count("written") == order.count("sent") == 20
    first_sent = order.index("sent", 2)
    assert "written" in order[first_sent:]

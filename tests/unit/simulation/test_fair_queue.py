# SPDX-License-Identifier: GPL-3.0-or-later
import random
from collections import Counter

import pytest

from gateway.simulation.fair_queue import FairQueue


def served(queue, rounds, cost_s):
    """Who gets `rounds` jobs, every one of which is replaced by another of the same request."""
    counts = Counter()
    for _ in range(rounds):
        caller, request = queue.get(guess_s=1.0)
        counts[caller, request] += 1
        queue.charge(caller, request, cost_s[caller, request] - 1.0)
        queue.put(caller, request, (caller, request))
    return counts


def filled(*owners):
    queue = FairQueue()
    for owner in owners:
        queue.put(*owner, owner)
    return queue


def test_callers_share_time_not_jobs():
    queue = filled(("a", 1), ("b", 1))
    counts = served(queue, 1_100, {("a", 1): 10.0, ("b", 1): 1.0})
    assert counts["a", 1] == pytest.approx(100, abs=2)


def test_a_caller_gains_nothing_by_many_requests():
    queue = filled(*(("a", n) for n in range(9)), ("b", 1))
    costs = {**{("a", n): 1.0 for n in range(9)}, ("b", 1): 1.0}
    counts = served(queue, 900, costs)
    assert counts["b", 1] == pytest.approx(450, abs=2)
    assert all(counts["a", n] == pytest.approx(50, abs=2) for n in range(9))


def test_a_newcomer_neither_waits_for_the_past_nor_makes_up_for_it():
    queue = filled(("a", 1), ("b", 1))
    costs = {("a", 1): 1.0, ("b", 1): 1.0, ("c", 1): 1.0}
    served(queue, 1_000, costs)
    queue.put("c", 1, ("c", 1))
    counts = served(queue, 300, costs)
    assert counts["c", 1] == pytest.approx(100, abs=2)


def test_debt_outlives_a_request():
    queue = filled(("a", 1), ("b", 1))
    assert queue.get(1.0) == ("a", 1)
    queue.charge("a", 1, 99.0)
    queue.forget("a", 1)
    queue.put("a", 2, ("a", 2))
    counts = served(queue, 50, {("b", 1): 1.0, ("a", 2): 1.0})
    assert counts["a", 2] == 0


def test_nothing_is_remembered_of_those_who_left():
    queue = FairQueue()
    for n in range(1_000):
        queue.put(f"caller {n}", n, n)
        assert queue.get(1.0) == n
        queue.charge(f"caller {n}", n, 5.0)
        queue.forget(f"caller {n}", n)
    assert not queue._callers.had_s
    assert not queue._requests
    assert not queue._waiting


def test_what_need_not_wait_is_taken_away():
    queue = filled(("a", 1), ("a", 2))
    queue.remove("a", 1, ("a", 1))
    queue.remove("a", 1, ("a", 1))
    queue.remove("x", 7, "never there")
    assert len(queue) == 1
    assert queue.get(1.0) == ("a", 2)
    with pytest.raises(LookupError):
        queue.get(1.0)


def test_everything_comes_out_once_and_in_order_within_its_request():
    chance = random.Random(6)  # noqa: S311  # nothing secret
    queue, out = FairQueue(), []
    for n in range(2_000):
        queue.put(chance.randrange(5), chance.randrange(7), n)
        if chance.random() < 0.4:
            out.append(queue.get(chance.random()))
    while len(queue):
        out.append(queue.get(chance.random()))
    assert sorted(out) == list(range(2_000))

# SPDX-License-Identifier: GPL-3.0-or-later
import random
from collections import Counter

import pytest

from gateway.serving.fair_queue import LEAD_S, FairQueue


def put(queue, caller, request, thing=None, *, short=False):
    queue.put(
        (caller, request) if thing is None else thing, caller=caller, request=request, expected_s=1.0, short=short
    )


def served(queue, rounds, cost_s, short=frozenset()):
    """Who gets `rounds` turns, after each of which the same request waits again."""
    counts = Counter()
    for _ in range(rounds):
        turn = queue.get()
        counts[turn.thing] += 1
        queue.finish(turn, cost_s[turn.thing])
        put(queue, *turn.thing, short=turn.thing in short)
    return counts


def filled(*owners, short=frozenset()):
    queue = FairQueue()
    for owner in owners:
        put(queue, *owner, short=owner in short)
    return queue


def test_callers_share_time_not_turns():
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
    put(queue, "c", 1)
    counts = served(queue, 300, costs)
    assert counts["c", 1] == pytest.approx(100, abs=2)


def test_short_work_of_a_newcomer_is_next():
    """Whoever else waits, and how many."""
    queue = filled(*((caller, n) for caller in range(20) for n in range(5)))
    served(queue, 777, Counter())
    put(queue, "new", 1, "short", short=True)
    assert queue.get().thing == "short"


def test_short_work_of_a_caller_goes_before_its_own_long_work():
    queue = filled(("a", 1), ("a", 2), ("a", 3))
    served(queue, 100, {("a", n): 1.0 for n in (1, 2, 3)})
    put(queue, "a", 4, "short", short=True)
    assert queue.get().thing == "short"


def test_short_work_does_not_starve_its_callers_long_work():
    queue = filled(("a", 1), ("a", 2), short={("a", 1)})
    counts = served(queue, 4_000, {("a", 1): 1.0, ("a", 2): 1.0}, short={("a", 1)})
    assert counts["a", 1] == pytest.approx(3_000, abs=5)


def test_a_caller_of_short_work_is_ahead_of_its_share_by_so_much_and_no_more():
    queue = filled(("a", 1), ("b", 1), short={("a", 1)})
    counts = served(queue, 1_000, {("a", 1): 0.5, ("b", 1): 0.5}, short={("a", 1)})
    had_s = {owner: 0.5 * count for owner, count in counts.items()}
    assert had_s["a", 1] - had_s["b", 1] == pytest.approx(LEAD_S, abs=1.0)


def test_what_a_caller_has_used_outlives_its_request():
    queue = filled(("a", 1), ("b", 1))
    turn = queue.get()
    assert turn.thing == ("a", 1)
    queue.finish(turn, 100.0)
    queue.forget("a", 1)
    put(queue, "a", 2)
    counts = served(queue, 50, {("b", 1): 1.0, ("a", 2): 1.0})
    assert counts["a", 2] == 0


def test_nothing_is_remembered_of_those_who_left():
    queue = FairQueue()
    for n in range(1_000):
        put(queue, f"caller {n}", n, n)
        turn = queue.get()
        assert turn.thing == n
        queue.finish(turn, 5.0)
        queue.forget(f"caller {n}", n)
    assert not queue._callers.used_s
    assert not queue._callers.active
    assert not queue._within


def test_what_need_not_wait_is_taken_away():
    queue = FairQueue()
    put(queue, "a", 1, "one")
    put(queue, "a", 2, "two")
    queue.remove("one")
    queue.remove("one")
    queue.remove("never there")
    assert len(queue) == 1
    assert queue.get().thing == "two"
    assert queue.get() is None


def test_what_does_not_fit_keeps_its_place():
    queue = FairQueue()
    put(queue, "a", 1, "elsewhere")
    put(queue, "b", 1, "here")
    assert queue.get(lambda thing: thing == "here").thing == "here"
    assert queue.get(lambda thing: thing == "here") is None
    assert queue.get().thing == "elsewhere"


def test_what_is_ahead_of_a_newcomer_is_what_is_given_out_before_it():
    queue = filled(("a", 1), ("a", 2), ("b", 1))
    assert queue.ahead_of("c") == 0.0
    for n in range(4):
        put(queue, "c", n, f"short {n}", short=True)
    put(queue, "d", 1, "short", short=True)
    # Four of its own, one of another; long work comes later, and nothing was changed by asking.
    assert queue.ahead_of("c") == pytest.approx(5.0, abs=1.0)
    assert len(queue) == 8
    assert queue.ahead_of("e") <= 2.0
    for caller in ("a", "c", "e"):
        for most_s in (-1.0, 0.0, 1.0, 4.0, 20.0):
            assert queue.has_ahead_of(caller, most_s) == (queue.ahead_of(caller) > most_s)


def test_everything_comes_out_once_and_in_order_within_its_request():
    chance = random.Random(6)  # noqa: S311  # nothing secret
    queue, out = FairQueue(), []

    def take():
        turn = queue.get()
        queue.finish(turn, chance.random())
        out.append(turn.thing)

    for n in range(2_000):
        put(queue, chance.randrange(5), chance.randrange(7), n, short=chance.random() < 0.3)
        if chance.random() < 0.4:
            take()
    while len(queue):
        take()
    assert sorted(out) == list(range(2_000))

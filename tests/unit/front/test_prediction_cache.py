# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered, for whom, and how long."""

from gateway.front.cache import PredictionCache

NEWEST, CANARY, PINNED = b"", b"\x12\x06canary", b"\x08\x01"


def test_rows_come_back_with_the_version_that_made_them():
    cache = PredictionCache(10, fresh_s=1.0)
    cache.store(NEWEST, 7, 100.0, [b"a", b"b"], [b"A", b"B"])
    assert cache.find(NEWEST, [b"b", b"a"], 100.5) == (7, [b"B", b"A"])
    assert cache.find(NEWEST, [b"a", b"c"], 100.5) is None


def test_what_newest_means_is_asked_anew_after_a_while():
    cache = PredictionCache(10, fresh_s=1.0)
    cache.store(NEWEST, 7, 100.0, [b"a"], [b"A"])
    assert cache.find(NEWEST, [b"a"], 101.0) is not None
    assert cache.find(NEWEST, [b"a"], 101.01) is None
    cache.store(NEWEST, 7, 101.5, [b"z"], [b"Z"])
    assert cache.find(NEWEST, [b"a"], 102.0) == (7, [b"A"])


def test_another_version_counts_at_once():
    cache = PredictionCache(10, fresh_s=1.0)
    cache.store(NEWEST, 7, 100.0, [b"a"], [b"A"])
    cache.store(NEWEST, 8, 100.1, [b"z"], [b"Z"])
    assert cache.find(NEWEST, [b"a"], 100.2) is None
    assert cache.find(NEWEST, [b"z"], 100.2) == (8, [b"Z"])


def test_an_answer_to_an_older_question_does_not_turn_back_the_version():
    cache = PredictionCache(10, fresh_s=1.0)
    cache.store(NEWEST, 8, 100.1, [b"a"], [b"new"])
    cache.store(NEWEST, 7, 100.0, [b"a"], [b"old"])
    assert cache.find(NEWEST, [b"a"], 100.2) == (8, [b"new"])


def test_a_selector_is_not_answered_by_what_another_one_means():
    cache = PredictionCache(10, fresh_s=1.0)
    cache.store(NEWEST, 7, 100.0, [b"a"], [b"A"])
    assert cache.find(CANARY, [b"a"], 100.0) is None
    assert cache.find(PINNED, [b"a"], 100.0) is None
    cache.store(CANARY, 7, 100.0, [], [])
    assert cache.find(CANARY, [b"a"], 100.0) == (7, [b"A"])


def test_the_least_recently_used_row_goes_first():
    cache = PredictionCache(2, fresh_s=1.0)
    cache.store(NEWEST, 7, 100.0, [b"a", b"b"], [b"A", b"B"])
    assert cache.find(NEWEST, [b"a"], 100.0) is not None
    cache.store(NEWEST, 7, 100.0, [b"c"], [b"C"])
    assert cache.find(NEWEST, [b"b"], 100.0) is None
    assert cache.find(NEWEST, [b"a", b"c"], 100.0) == (7, [b"A", b"C"])


def test_callers_who_invent_selectors_do_not_fill_the_memory():
    cache = PredictionCache(2, fresh_s=1.0)
    for number in range(1000):
        cache.store(str(number).encode(), 7, 100.0, [b"a"], [b"A"])
    assert len(cache._meanings) <= 256


def test_a_cache_of_no_rows_is_off():
    cache = PredictionCache(0, fresh_s=1.0)
    cache.store(NEWEST, 7, 100.0, [b"a"], [b"A"])
    assert cache.find(NEWEST, [b"a"], 100.0) is None

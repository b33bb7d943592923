# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of consensus: cases made by hand, and what holds whatever the votes."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feedback.consensus import (
    ANONYMOUS_CAP,
    ENOUGH_VOTES,
    FLOOR_WEIGHT,
    MIN_TOTAL_WEIGHT,
    NEWCOMER_WEIGHT,
    GoldAnswer,
    Status,
    Vote,
    decide,
    difficulty_of,
    weight_of,
)
from gateway.feedback.labels import ANSWERS, QUESTION_OF
from tests.unit.feedback.consensus_strategies import LABELS, anonymous, ballots, labels

A, B, C = LABELS[:3]


def votes(text, weight=NEWCOMER_WEIGHT):
    """Of "AAB"."""
    return [Vote(number, {"A": A, "B": B, "C": C}[letter], weight) for number, letter in enumerate(text, 1)]


@pytest.mark.parametrize(
    ("cast", "status", "label", "weighed"),
    [
        ("", Status.OPEN, 0, 0),
        ("AAA", Status.OPEN, 0, 3),
        ("AAAA", Status.AGREED, A, 4),
        ("AAAABBBBB", Status.AGREED, A, 4),
        ("AAAB", Status.OPEN, 0, 4),
        ("BAAAAAAA", Status.OPEN, 0, 8),
        ("BAAAAAAAA", Status.AGREED, A, 9),
        ("BBBAAAAAA", Status.AGREED, A, 9),
        ("BBBBAAAAA", Status.AGREED, B, 4),
        ("BABBBAAAA", Status.EXPERT_QUEUE, 0, 9),
        ("ABCABCABC", Status.EXPERT_QUEUE, 0, 9),
        ("ABCABCABCAAAAAAAA", Status.EXPERT_QUEUE, 0, 9),
    ],
)
def test_newcomers_votes(cast, status, label, weighed):
    found = decide(votes(cast), {})
    assert (found.status, found.label, len(found.weighed)) == (status, label, weighed)


def test_four_at_the_floor_decide_nothing_and_nine_neither():
    assert decide(votes("AAAA", FLOOR_WEIGHT), {}).status is Status.OPEN
    assert decide(votes("AAAAAAAAA", FLOOR_WEIGHT), {}).status is Status.EXPERT_QUEUE


def test_skill_outweighs_numbers():
    skilled = [Vote(number, A, 1.0) for number in range(1, 4)]
    careless = [Vote(number, B, FLOOR_WEIGHT) for number in range(4, 10)]
    found = decide([*skilled, *careless], {})
    assert (found.status, found.label) == (Status.AGREED, A)
    assert found.shares[A] == pytest.approx(3 / 3.3)


def test_anonymous_votes_decide_nothing_alone_and_weigh_one_newcomer_at_most():
    assert decide([], {A: 12_992}).status is Status.OPEN
    assert decide(votes("AAA"), {A: 12_992}).status is Status.OPEN
    few, flood = decide(votes("AAB"), {B: 10}), decide(votes("AAB"), {B: 12_992})
    assert few == flood
    assert flood.shares[B] == pytest.approx(0.5)


def test_an_experts_verdict_goes_before_everything():
    found = decide(votes("AAAA"), {}, verdict=B)
    assert (found.status, found.label) == (Status.EXPERT_DECIDED, B)


@given(ballots(), anonymous, labels)
def test_a_decision_is_of_a_label_with_votes_and_later_votes_change_nothing(cast, aside, later):
    found = decide(cast, aside)
    if found.status in {Status.AGREED, Status.EXPERT_QUEUE}:
        more = [*cast, *(Vote(len(cast) + number, later, 1.0) for number in range(1, 10))]
        assert decide(more, aside) == found
    if found.decided:
        assert found.label in {vote.label for vote in cast}
        weight = sum(vote.weight for vote in cast[: len(found.weighed)])
        assert weight >= MIN_TOTAL_WEIGHT - 1e-9
    assert len(found.weighed) <= ENOUGH_VOTES
    assert sum(found.shares.values()) == pytest.approx(1.0 if cast or aside else 0.0)


@given(ballots(), anonymous, st.permutations(LABELS))
def test_labels_are_alike(cast, aside, renamed):
    other = dict(zip(LABELS, renamed, strict=True))
    found = decide(cast, aside)
    swapped = decide(
        [dataclasses.replace(vote, label=other[vote.label]) for vote in cast],
        {other[label]: count for label, count in aside.items()},
    )
    assert swapped.status is found.status
    assert swapped.label == (other[found.label] if found.decided else 0)
    assert {other[label]: pytest.approx(share) for label, share in found.shares.items()} == swapped.shares


@given(ballots(), anonymous)
def test_anonymous_votes_together_weigh_no_more_than_the_cap(cast, aside):
    alone, together = decide(cast, {}), decide(cast, aside)
    weight = sum(vote.weight for vote in cast[: len(together.weighed)])
    for label in LABELS:
        moved = abs(together.shares.get(label, 0.0) - alone.shares.get(label, 0.0))
        if cast:
            assert moved <= ANONYMOUS_CAP / (weight + ANONYMOUS_CAP) + 1e-9


@given(ballots(max_size=8), st.integers(0, 7))
def test_one_vote_more_for_what_is_agreed_keeps_it_agreed(cast, place):
    """Adding an agreeing vote anywhere before the decision never turns agreement into something else."""
    found = decide(cast, {})
    if found.status is Status.AGREED and len(found.weighed) < ENOUGH_VOTES:
        place = min(place, len(cast))
        more = [*cast[:place], Vote(99, found.label, 1.0), *cast[place:]]
        assert decide(more, {}).label == found.label


def answers(question, right, wrong=0, difficulty=0.5):
    """So many about each answer of a question."""
    return [
        GoldAnswer(question, label, right=number < right, difficulty=difficulty)
        for label in ANSWERS[question]
        for number in range(right + wrong)
    ]


HAZARD, ORBIT_CLASS = QUESTION_OF[5], QUESTION_OF[7]


@pytest.mark.parametrize(
    ("given_answers", "weight"),
    [
        ([], NEWCOMER_WEIGHT),
        (answers(HAZARD, 9), NEWCOMER_WEIGHT),
        (answers(HAZARD, 10), 1.0),
        (answers(HAZARD, 0, 10), FLOOR_WEIGHT),
        (answers(HAZARD, 5, 5), FLOOR_WEIGHT),
        (answers(HAZARD, 9, 3), 0.5),
        (answers(ORBIT_CLASS, 7, 5), (7 / 12 - 1 / 4) / (3 / 4)),
        (answers(HAZARD, 10) + answers(ORBIT_CLASS, 0, 10), (1.0 - 1 / 3) / 2),
        # One class is missing: nothing is known yet.
        ([one for one in answers(HAZARD, 50) if one.label == 5], NEWCOMER_WEIGHT),
    ],
)
def test_weights(given_answers, weight):
    assert weight_of(given_answers, ANSWERS) == pytest.approx(weight)


def test_who_always_says_the_same_is_at_the_floor():
    said = [GoldAnswer(HAZARD, label, right=label == 6, difficulty=0.1) for label in (5, 6) for _ in range(100)]
    assert weight_of(said, ANSWERS) == FLOOR_WEIGHT


def test_hard_objects_count_for_and_easy_ones_against():
    hard = answers(HAZARD, 8, 4, difficulty=0.8)
    easy = answers(HAZARD, 8, 4, difficulty=0.2)
    assert weight_of(easy, ANSWERS) < weight_of(answers(HAZARD, 8, 4), ANSWERS) < weight_of(hard, ANSWERS)


def test_difficulty_is_the_share_of_wrong_answers():
    assert difficulty_of(0, 0) == 0.5
    assert difficulty_of(98, 0) == pytest.approx(0.01)
    assert difficulty_of(0, 98) == pytest.approx(0.99)


@given(st.lists(st.tuples(st.sampled_from(sorted(QUESTION_OF)), st.booleans(), st.floats(0.01, 0.99)), max_size=200))
def test_weights_stay_within_their_bounds(said):
    given_answers = [GoldAnswer(QUESTION_OF[label], label, right, difficulty) for label, right, difficulty in said]
    assert FLOOR_WEIGHT <= weight_of(given_answers, ANSWERS) <= 1.0

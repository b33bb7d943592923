# SPDX-License-Identifier: GPL-3.0-or-later
"""What votes amount to: a pure function of them, so that erasing some gives the consensus of the others.

The rule, for one question about one object:

1. Of each contributor the first vote counts, in the order in which votes were kept.
2. A vote weighs what its contributor's answers about objects whose answer is known (gold) are worth: `weight_of`.
3. Four or more votes, all for one label, that weigh 1 or more: agreed. Four newcomers suffice, four at the floor not.
4. At nine votes: agreed if one label has two thirds of the weight, and all weigh 1 or more; else an expert is to look.
5. Once decided, later votes are kept and not weighed.
6. Anonymous votes count neither to four nor to nine. At nine all of them together weigh one newcomer's vote at most,
   shared out as they were cast.

Skill from hidden objects whose answer is known, and retiring early: Marshall et al. 2016, MNRAS 455, 1171 ("Space
Warps I"); skill by class, from gold standard data: Zevin et al. 2017, CQG 34, 064003 ("Gravity Spy"). Weighting voters:
Lintott et al. 2008, MNRAS 389, 1179 ("Galaxy Zoo"). Difficulty of the objects beside the skill of the voters: Whitehill
et al. 2009, NIPS 22, 2035. Numbers here are our own choice.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from orrery.inference import v1

RULE: Final = "4-unanimous-9-two-thirds"

UNANIMOUS_VOTES: Final = 4
ENOUGH_VOTES: Final = 9
AGREED_SHARE: Final = 2 / 3
# Of all identified votes together, before they decide anything.
MIN_TOTAL_WEIGHT: Final = 1.0

FLOOR_WEIGHT: Final = 0.05
# Of a contributor who has not seen enough gold yet.
NEWCOMER_WEIGHT: Final = 0.5
GOLD_PER_CLASS: Final = 10
# All anonymous votes together, and each of them.
ANONYMOUS_CAP: Final = NEWCOMER_WEIGHT
ANONYMOUS_WEIGHT: Final = FLOOR_WEIGHT

_ROUNDING: Final = 1e-9


class Status(IntEnum):
    """Where a question stands; numbers are the contract's."""

    OPEN = v1.CONSENSUS_STATUS_OPEN
    AGREED = v1.CONSENSUS_STATUS_AGREED
    EXPERT_QUEUE = v1.CONSENSUS_STATUS_EXPERT_QUEUE
    EXPERT_DECIDED = v1.CONSENSUS_STATUS_EXPERT_DECIDED


@dataclass(frozen=True, slots=True)
class Vote:
    """A contributor's first vote on a question about an object."""

    vote_id: int
    label: int
    weight: float


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """What a contributor said about an object whose answer is known.

    Attributes:
        question: that was asked.
        label: the answer that is right.
        right: whether the contributor gave it.
        difficulty: of the object, in (0, 1): `difficulty_of`.
    """

    question: int
    label: int
    right: bool
    difficulty: float


@dataclass(frozen=True, slots=True)
class Consensus:
    """What became of a question about an object.

    Attributes:
        status: where it stands.
        label: the answer where it is decided, else 0.
        weighed: ids of the votes that took part, in order.
        shares: of the weight, by label, anonymous votes included.
    """

    status: Status
    label: int
    weighed: tuple[int, ...]
    shares: Mapping[int, float]

    @property
    def decided(self) -> bool:
        """Whether there is an answer."""
        return self.label != 0


def decide(votes: Sequence[Vote], anonymous: Mapping[int, int], verdict: int | None = None) -> Consensus:
    """Apply the rule above.

    Args:
        votes: the first of each contributor, in the order in which they were kept; those after the ninth do not matter.
        anonymous: how many anonymous votes there are, by label.
        verdict: an expert's answer, which goes before everything.
    """
    weights: defaultdict[int, float] = defaultdict(float)
    weighed: list[int] = []
    status, label = Status.OPEN, 0
    for vote in votes[:ENOUGH_VOTES]:
        weights[vote.label] += vote.weight
        weighed.append(vote.vote_id)
        unanimous = len(weights) == 1
        heavy = sum(weights.values()) >= MIN_TOTAL_WEIGHT - _ROUNDING
        if unanimous and heavy and len(weighed) >= UNANIMOUS_VOTES:
            status, label = Status.AGREED, vote.label
            break
    shares = _shares(weights, anonymous)
    if status is Status.OPEN and len(weighed) == ENOUGH_VOTES:
        first = max(shares, key=lambda one: (shares[one], -one))
        if heavy and shares[first] >= AGREED_SHARE - _ROUNDING:
            status, label = Status.AGREED, first
        else:
            status = Status.EXPERT_QUEUE
    if verdict is not None:
        status, label = Status.EXPERT_DECIDED, verdict
    return Consensus(status, label, tuple(weighed), shares)


def weight_of(answers: Iterable[GoldAnswer], classes: Mapping[int, frozenset[int]]) -> float:
    """What a contributor's votes weigh, from .05 to 1.

    For each question of which at least ten gold objects of every class were answered: the mean over the classes of the
    share of right answers, each weighted by its object's difficulty (right answers about hard objects and wrong ones
    about easy objects say most), on a scale where guessing is 0. The weight is the mean over these questions; without
    one of them it is a newcomer's.

    Args:
        answers: of one contributor.
        classes: the labels of each question.
    """
    right: defaultdict[tuple[int, int], float] = defaultdict(float)
    wrong: defaultdict[tuple[int, int], float] = defaultdict(float)
    seen: defaultdict[tuple[int, int], int] = defaultdict(int)
    for answer in answers:
        key = (answer.question, answer.label)
        seen[key] += 1
        if answer.right:
            right[key] += answer.difficulty
        else:
            wrong[key] += 1.0 - answer.difficulty
    skills = []
    for question, labels in classes.items():
        keys = [(question, label) for label in labels]
        if all(seen[key] >= GOLD_PER_CLASS for key in keys):
            mean = sum(right[key] / (right[key] + wrong[key]) for key in keys) / len(keys)
            guessing = 1.0 / len(keys)
            skills.append((mean - guessing) / (1.0 - guessing))
    if not skills:
        return NEWCOMER_WEIGHT
    return min(1.0, max(FLOOR_WEIGHT, sum(skills) / len(skills)))


def difficulty_of(right_votes: int, wrong_votes: int) -> float:
    """Of a gold object, from the answers it got: the share of wrong ones, one half where nobody has answered yet."""
    return (wrong_votes + 1) / (right_votes + wrong_votes + 2)


def _shares(weights: Mapping[int, float], anonymous: Mapping[int, int]) -> dict[int, float]:
    together = dict(weights)
    count = sum(anonymous.values())
    if count:
        each = min(ANONYMOUS_WEIGHT, ANONYMOUS_CAP / count)
        for label, votes in anonymous.items():
            together[label] = together.get(label, 0.0) + each * votes
    total = sum(together.values())
    return {label: weight / total for label, weight in together.items()} if total else {}

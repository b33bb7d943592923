# SPDX-License-Identifier: GPL-3.0-or-later
"""Votes in the store: kept once each, and read for consensus and export."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, select

from gateway.feedback.clock import now_unix_us
from gateway.feedback.consensus import (
    ENOUGH_VOTES,
    NEWCOMER_WEIGHT,
    Consensus,
    GoldAnswer,
    Vote,
    decide,
    difficulty_of,
    weight_of,
)
from gateway.feedback.labels import ANSWERS, QUESTION_OF
from gateway.feedback.pseudonyms import Pseudonyms
from gateway.feedback.store.contributors import count_for_gold, find, find_or_add
from gateway.feedback.store.schema import gold, verdicts, votes
from gateway.serving.errors import RequestIdReused

# A question about an object.
Subject: TypeAlias = tuple[str, int]

# Built once: see contributors.py.
_BY_REQUEST: Final = select(votes).where(votes.c.request_id == bindparam("request_id"))
_FIRST: Final = select(votes.c.vote_id).where(
    votes.c.designation == bindparam("designation"),
    votes.c.question == bindparam("question"),
    votes.c.pseudonym == bindparam("pseudonym"),
    votes.c.counted,
)
_ADD: Final = insert(votes)
_SHOWN: Final = ("shown_name", "shown_version", "shown_label", "shown_variant")


@dataclass(frozen=True, slots=True)
class Shown:
    """The model whose prediction was seen."""

    name: str
    version: int
    label: str
    variant: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A vote as it was handed in; its token is "" for an anonymous one."""

    request_id: str
    designation: str
    label: int
    shown: Shown | None
    token: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a contributor gets for a vote; `repeated` if the vote had been kept before."""

    request_id: str
    receipt_id: str
    received_unix_us: int
    counted: bool
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class KeptVote:
    """A vote as it is held."""

    vote_id: int
    receipt: Receipt
    designation: str
    label: int
    shown: Shown | None


def keep(connection: Connection, pseudonyms: Pseudonyms, submission: Submission) -> Receipt:
    """Keep a vote, unless it has been kept before.

    Raises:
        RequestIdReused: its id belongs to another vote.
        IntegrityError: another process was quicker with the same id, contributor or object; try again.
    """
    before = connection.execute(_BY_REQUEST, {"request_id": submission.request_id}).one_or_none()
    if before is not None:
        pseudonym = find(connection, pseudonyms, submission.token) if submission.token else None
        kept = (before.designation, before.label, _shown(before), before.pseudonym, before.pseudonym is None)
        if kept != (submission.designation, submission.label, submission.shown, pseudonym, not submission.token):
            raise RequestIdReused("request_id")
        return Receipt(before.request_id, before.receipt_id, before.received_unix_us, before.counted, repeated=True)
    pseudonym = find_or_add(connection, pseudonyms, submission.token) if submission.token else None
    question = QUESTION_OF[submission.label]
    counted = pseudonym is None or not _has_voted(connection, pseudonym, submission.designation, question)
    receipt = Receipt(submission.request_id, str(uuid.uuid4()), now_unix_us(), counted)
    shown = (None,) * len(_SHOWN) if submission.shown is None else astuple(submission.shown)
    connection.execute(
        _ADD,
        {
            "request_id": receipt.request_id,
            "receipt_id": receipt.receipt_id,
            "pseudonym": pseudonym,
            "designation": submission.designation,
            "question": question,
            "label": submission.label,
            **dict(zip(_SHOWN, shown, strict=True)),
            "received_unix_us": receipt.received_unix_us,
            "counted": counted,
        },
    )
    if counted and pseudonym is not None:
        count_for_gold(connection, submission.designation, question, submission.label)
    return receipt


def votes_of(connection: Connection, pseudonym: bytes, *, after_vote_id: int, most: int) -> list[KeptVote]:
    """Some votes of a contributor, oldest first.

    Args:
        connection: to read with.
        pseudonym: whose.
        after_vote_id: where to go on; 0 to begin.
        most: votes at a time.
    """
    query = (
        select(votes)
        .where(votes.c.pseudonym == pseudonym, votes.c.vote_id > after_vote_id)
        .order_by(votes.c.vote_id)
        .limit(most)
    )
    return [
        KeptVote(
            row.vote_id,
            Receipt(row.request_id, row.receipt_id, row.received_unix_us, row.counted),
            row.designation,
            row.label,
            _shown(row),
        )
        for row in connection.execute(query)
    ]


def consensus_of(
    connection: Connection, designations: Collection[str] | None = None
) -> Iterator[tuple[Subject, Consensus, int]]:
    """What the votes amount to now, in no particular order.

    Args:
        connection: to read with.
        designations: of the objects; all of them if None.

    Yields:
        The question about an object, its consensus, and how many anonymous votes it has.
    """
    anonymous: defaultdict[Subject, dict[int, int]] = defaultdict(dict)
    for designation, question, label, count in connection.execute(_anonymous_votes(designations)):
        anonymous[designation, question][label] = count
    known = select(verdicts.c.designation, verdicts.c.question, verdicts.c.label)
    if designations is not None:
        known = known.where(verdicts.c.designation.in_(designations))
    verdict = {(designation, question): label for designation, question, label in connection.execute(known)}
    first = _first_votes(designations)
    weights = _weights(connection, None if designations is None else first)
    rows = connection.execute(first, execution_options={"yield_per": 2_000})
    for (designation, question), group in groupby(rows, key=lambda row: (row.designation, row.question)):
        subject = (designation, question)
        named = [Vote(row.vote_id, row.label, weights.get(row.pseudonym, NEWCOMER_WEIGHT)) for row in group]
        aside = anonymous.pop(subject, {})
        yield subject, decide(named, aside, verdict.pop(subject, None)), sum(aside.values())
    for subject in {*anonymous, *verdict}:
        aside = anonymous.get(subject, {})
        yield subject, decide((), aside, verdict.get(subject)), sum(aside.values())


def weight_of_contributor(connection: Connection, pseudonym: bytes) -> float:
    """What a contributor's votes weigh now."""
    mine = select(votes.c.pseudonym).where(votes.c.pseudonym == pseudonym)
    return _weights(connection, mine).get(pseudonym, NEWCOMER_WEIGHT)


def _shown(row: Any) -> Shown | None:
    return None if row.shown_name is None else Shown(*(getattr(row, column) for column in _SHOWN))


def _has_voted(connection: Connection, pseudonym: bytes, designation: str, question: int) -> bool:
    asked = {"designation": designation, "question": question, "pseudonym": pseudonym}
    return connection.execute(_FIRST, asked).first() is not None


def _first_votes(designations: Collection[str] | None) -> Select[Any]:
    """The first nine identified first votes on each question about an object: no more are ever weighed."""
    place = (
        func.row_number()
        .over(partition_by=(votes.c.designation, votes.c.question), order_by=votes.c.vote_id)
        .label("place")
    )
    columns = (votes.c.vote_id, votes.c.designation, votes.c.question, votes.c.label, votes.c.pseudonym)
    ranked = select(*columns, place).where(votes.c.counted, votes.c.pseudonym.is_not(None))
    if designations is not None:
        ranked = ranked.where(votes.c.designation.in_(designations))
    numbered = ranked.subquery("votes")
    return (
        select(*(numbered.c[column.name] for column in columns))
        .where(numbered.c.place <= ENOUGH_VOTES)
        .order_by(numbered.c.designation, numbered.c.question, numbered.c.vote_id)
    )


def _anonymous_votes(designations: Collection[str] | None) -> Select[Any]:
    query = select(votes.c.designation, votes.c.question, votes.c.label, func.count()).where(
        votes.c.pseudonym.is_(None)
    )
    if designations is not None:
        query = query.where(votes.c.designation.in_(designations))
    return query.group_by(votes.c.designation, votes.c.question, votes.c.label)


def _weights(connection: Connection, pseudonyms: Select[Any] | None) -> Mapping[bytes, float]:
    """What the votes of contributors weigh; those who have answered no gold are left out.

    Args:
        connection: to read with.
        pseudonyms: a query whose column `pseudonym` names them; None for all.
    """
    query = (
        select(votes.c.pseudonym, votes.c.question, gold.c.label, votes.c.label, gold.c.right_votes, gold.c.wrong_votes)
        .join(gold, and_(gold.c.designation == votes.c.designation, gold.c.question == votes.c.question))
        .where(votes.c.counted, votes.c.pseudonym.is_not(None))
    )
    if pseudonyms is not None:
        query = query.where(votes.c.pseudonym.in_(select(pseudonyms.subquery().c.pseudonym)))
    answers: defaultdict[bytes, list[GoldAnswer]] = defaultdict(list)
    for pseudonym, question, known, said, right, wrong in connection.execute(query):
        answers[pseudonym].append(GoldAnswer(question, known, said == known, difficulty_of(right, wrong)))
    return {pseudonym: weight_of(given, ANSWERS) for pseudonym, given in answers.items()}

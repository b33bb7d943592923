# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not from citizens: objects whose answer is known, and experts' verdicts."""

from collections.abc import Iterable

from sqlalchemy import Connection, and_, case, delete, func, insert, select

from gateway.feedback.clock import now_unix_us
from gateway.feedback.gold import Gold
from gateway.feedback.labels import QUESTION_OF
from gateway.feedback.store.schema import gold, verdicts, votes


def replace_gold(connection: Connection, source: str, objects: Iterable[Gold]) -> None:
    """Make these the gold objects of a source; votes that are there already count for and against their voters."""
    connection.execute(delete(gold).where(gold.c.source == source))
    taken = {tuple(row) for row in connection.execute(select(gold.c.designation, gold.c.question))}
    for one in objects:
        if (one.designation, one.question) in taken:
            continue
        taken.add((one.designation, one.question))
        right, wrong = _votes_on(connection, one)
        connection.execute(
            insert(gold).values(
                designation=one.designation,
                question=one.question,
                label=one.label,
                right_votes=right,
                wrong_votes=wrong,
                source=one.source,
            )
        )


def decide(connection: Connection, designation: str, label: int) -> None:
    """Keep an expert's verdict on the question that the label answers, in place of an earlier one."""
    question = QUESTION_OF[label]
    connection.execute(delete(verdicts).where(verdicts.c.designation == designation, verdicts.c.question == question))
    connection.execute(
        insert(verdicts).values(designation=designation, question=question, label=label, decided_unix_us=now_unix_us())
    )


def gold_counts(connection: Connection) -> dict[int, int]:
    """How many gold objects there are, by label."""
    query = select(gold.c.label, func.count()).group_by(gold.c.label).order_by(gold.c.label)
    return {label: count for label, count in connection.execute(query)}  # noqa: C416  # rows are no pairs to mypy


def _votes_on(connection: Connection, one: Gold) -> tuple[int, int]:
    right = func.coalesce(func.sum(case((votes.c.label == one.label, 1), else_=0)), 0)
    found = connection.execute(
        select(right, func.count()).where(
            and_(
                votes.c.designation == one.designation,
                votes.c.question == one.question,
                votes.c.counted,
                votes.c.pseudonym.is_not(None),
            )
        )
    ).one()
    return int(found[0]), int(found[1]) - int(found[0])

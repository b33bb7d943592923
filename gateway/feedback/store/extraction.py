# SPDX-License-Identifier: GPL-3.0-or-later
"""Consensus taken out for training: what changed since the run before is written down, so that a run can be read again.

A run holds every question that is decided now; each row names the run in which it last changed. Objects whose answer is
known beforehand (gold) are never in it. A question that was decided and no longer is (its contributors were erased)
stands in the run that found out, without a label.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Subquery, and_, func, insert, select

from gateway.feedback.clock import now_unix_us
from gateway.feedback.consensus import RULE, Status
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.schema import extraction_rows, extraction_votes, extractions, gold, trained_models
from gateway.feedback.store.votes import Subject, consensus_of


@dataclass(frozen=True, slots=True)
class ConsensusRow:
    """What a run says of a question about an object.

    Attributes:
        designation: the object.
        question: its number in the contract.
        label: the answer's number; 0 where it is withdrawn.
        status: by votes or by an expert.
        votes: identified votes weighed.
        anonymous_votes: beside them.
        share_per_mille: of the weight that stood behind the label, in thousandths.
        changed_in_run: the id of the run that found it so.
    """

    designation: str
    question: int
    label: int
    status: Status
    votes: int
    anonymous_votes: int
    share_per_mille: int
    changed_in_run: str


@dataclass(frozen=True, slots=True)
class Run:
    """An extraction: the same whenever it is read."""

    run_id: str
    sequence: int
    extracted_unix_us: int
    rule: str
    previous_run_id: str | None
    rows: tuple[ConsensusRow, ...]


class UnknownRun(LookupError):
    """There is no such run."""


class ModelOfAnotherRun(ValueError):
    """The model version is recorded as trained on another run."""


def extract(connection: Connection, run_id: str) -> None:
    """Write down what changed since the last run; nothing if this run has been made before."""
    if connection.scalar(select(extractions.c.sequence).where(extractions.c.run_id == run_id)) is not None:
        return
    before_this = connection.scalar(select(func.max(extractions.c.sequence))) or 0
    last = {(row.designation, row.question): row for row in _rows_of(connection, before_this)}
    votes_before = _votes_behind(connection, before_this)
    sequence = connection.scalars(
        insert(extractions)
        .values(run_id=run_id, extracted_unix_us=now_unix_us(), rule=RULE)
        .returning(extractions.c.sequence)
    ).one()
    hidden = {tuple(row) for row in connection.execute(select(gold.c.designation, gold.c.question))}
    rows, behind = [], []
    gone = set(last)
    for subject, consensus, anonymous in consensus_of(connection):
        gone.discard(subject)
        before = last.get(subject)
        label = 0 if subject in hidden else consensus.label
        weighed = frozenset(consensus.weighed if label else ())
        if (label, weighed) == (before.label if before else 0, votes_before.get(subject, frozenset())):
            continue
        rows.append(
            _row(sequence, subject)
            | {
                "status": int(consensus.status if label else Status.OPEN),
                "label": label,
                "votes": len(weighed),
                "anonymous_votes": anonymous if label else 0,
                "share_per_mille": round(1_000 * consensus.shares.get(label, 0.0)),
            }
        )
        behind += [{"vote_id": vote_id, **_row(sequence, subject)} for vote_id in weighed]
    nothing = {"status": int(Status.OPEN), "label": 0, "votes": 0, "anonymous_votes": 0, "share_per_mille": 0}
    rows += [_row(sequence, subject) | nothing for subject in gone if last[subject].label]
    for table, values in ((extraction_rows, rows), (extraction_votes, behind)):
        if values:
            connection.execute(insert(table), values)


def read_run(connection: Connection, run_id: str) -> Run:
    """A run as it was made.

    Raises:
        UnknownRun: it was not.
    """
    found = connection.execute(select(extractions).where(extractions.c.run_id == run_id)).one_or_none()
    if found is None:
        raise UnknownRun(run_id)
    previous = (
        select(extractions.c.run_id)
        .where(extractions.c.sequence < found.sequence)
        .order_by(extractions.c.sequence.desc())
        .limit(1)
    )
    # Of what was withdrawn, only this run speaks.
    rows = [row for row in _rows_of(connection, found.sequence) if row.label or row.changed_in_run == run_id]
    rows.sort(key=lambda row: (row.designation, row.question))
    return Run(
        found.run_id, found.sequence, found.extracted_unix_us, found.rule, connection.scalar(previous), tuple(rows)
    )


def record_training(connection: Connection, run_id: str, model: ModelVersion) -> None:
    """Note that a model version was trained on a run's consensus; noting it twice is as good as once.

    Raises:
        UnknownRun: there is no such run.
        ModelOfAnotherRun: the version was trained on another.
    """
    sequence = connection.scalar(select(extractions.c.sequence).where(extractions.c.run_id == run_id))
    if sequence is None:
        raise UnknownRun(run_id)
    known = connection.scalar(
        select(trained_models.c.sequence).where(
            trained_models.c.name == model.name, trained_models.c.version == model.version
        )
    )
    if known is not None and known != sequence:
        raise ModelOfAnotherRun(f"{model.name} {model.version} is recorded as trained on another run")
    if known is None:
        connection.execute(
            insert(trained_models).values(
                name=model.name, version=model.version, sequence=sequence, recorded_unix_us=now_unix_us()
            )
        )


def _rows_of(connection: Connection, sequence: int) -> Iterator[ConsensusRow]:
    """The latest row of each subject as of a run."""
    row = extraction_rows.c
    latest = _latest(sequence)
    query = (
        select(extraction_rows, extractions.c.run_id)
        .join(
            latest,
            and_(
                row.designation == latest.c.designation,
                row.question == latest.c.question,
                row.sequence == latest.c.sequence,
            ),
        )
        .join(extractions, extractions.c.sequence == row.sequence)
    )
    for found in connection.execute(query, execution_options={"yield_per": 2_000}):
        yield ConsensusRow(
            found.designation,
            found.question,
            found.label,
            Status(found.status),
            found.votes,
            found.anonymous_votes,
            found.share_per_mille,
            found.run_id,
        )


def _votes_behind(connection: Connection, sequence: int) -> dict[Subject, frozenset[int]]:
    """The votes recorded with the latest row of each subject as of a run, without those erased since."""
    mine = extraction_votes.c
    latest = _latest(sequence)
    query = select(mine.designation, mine.question, mine.vote_id).join(
        latest,
        and_(
            mine.designation == latest.c.designation,
            mine.question == latest.c.question,
            mine.sequence == latest.c.sequence,
        ),
    )
    behind: defaultdict[Subject, set[int]] = defaultdict(set)
    for designation, question, vote_id in connection.execute(query, execution_options={"yield_per": 2_000}):
        behind[designation, question].add(vote_id)
    return {subject: frozenset(vote_ids) for subject, vote_ids in behind.items()}


def _latest(sequence: int) -> Subquery:
    row = extraction_rows.c
    return (
        select(row.designation, row.question, func.max(row.sequence).label("sequence"))
        .where(row.sequence <= sequence)
        .group_by(row.designation, row.question)
        .subquery()
    )


def _row(sequence: int, subject: Subject) -> dict[str, object]:
    designation, question = subject
    return {"sequence": sequence, "designation": designation, "question": question}

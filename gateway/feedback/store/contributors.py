# SPDX-License-Identifier: GPL-3.0-or-later
"""Contributors in the store: found by their token, shown what is held about them, erased."""

import json
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, case, delete, exists, func, insert, select, update

from gateway.feedback.clock import now_unix_us
from gateway.feedback.pseudonyms import Pseudonyms, new_salt
from gateway.feedback.store.schema import (
    contributor_keys,
    contributors,
    erasures,
    extraction_rows,
    extraction_votes,
    gold,
    trained_models,
    votes,
)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A published model."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased, and which models had learnt from it."""

    erased_votes: int
    recomputed_consensus: int
    trained_models: tuple[ModelVersion, ...]


def find(connection: Connection, pseudonyms: Pseudonyms, token: str) -> bytes | None:
    """The pseudonym of a token, None where there is no such contributor."""
    key = contributor_keys.c
    salt = connection.scalar(select(key.salt).where(key.lookup == pseudonyms.lookup(token)))
    return None if salt is None else pseudonyms.pseudonym(token, salt)


def find_or_add(connection: Connection, pseudonyms: Pseudonyms, token: str) -> bytes:
    """The pseudonym of a token; new contributors are given one.

    Raises:
        IntegrityError: another process added it just now.
    """
    known = find(connection, pseudonyms, token)
    if known is not None:
        return known
    salt = new_salt()
    pseudonym = pseudonyms.pseudonym(token, salt)
    connection.execute(insert(contributor_keys).values(lookup=pseudonyms.lookup(token), salt=salt))
    connection.execute(insert(contributors).values(pseudonym=pseudonym, first_seen_unix_us=now_unix_us()))
    return pseudonym


def erase(connection: Connection, pseudonyms: Pseudonyms, token: str, request_id: str) -> Erasure:
    """Delete a contributor's votes and key; a tombstone that nothing leads to stays.

    A vote of the same contributor that is being kept at this moment is either erased with the others, or becomes the
    first of a new contributor: the votes' foreign key sees to it.
    """
    request = pseudonyms.erasure(request_id, token)
    done = connection.execute(select(erasures).where(erasures.c.request == request)).one_or_none()
    if done is not None:
        models = tuple(ModelVersion(*model) for model in json.loads(done.trained_models))
        return Erasure(done.erased_votes, done.recomputed_consensus, models)
    pseudonym = find(connection, pseudonyms, token)
    if pseudonym is None:
        return Erasure(0, 0, ())
    # Votes that are being kept wait for the end of this transaction, and this one for theirs.
    connection.execute(select(contributors).where(contributors.c.pseudonym == pseudonym).with_for_update())
    models = models_trained_on(connection, pseudonym)
    erasure = Erasure(*_erase_votes(connection, pseudonym), models)
    connection.execute(delete(contributor_keys).where(contributor_keys.c.lookup == pseudonyms.lookup(token)))
    connection.execute(
        insert(erasures).values(
            pseudonym=pseudonym,
            request=request,
            erased_unix_us=now_unix_us(),
            erased_votes=erasure.erased_votes,
            recomputed_consensus=erasure.recomputed_consensus,
            trained_models=json.dumps([[model.name, model.version] for model in models]),
        )
    )
    return erasure


def models_trained_on(connection: Connection, pseudonym: bytes) -> tuple[ModelVersion, ...]:
    """The model versions for which a run's consensus was used in which votes of this contributor were weighed.

    A row of consensus is used by runs from its own on, until a later one replaces it.
    """
    row, later, mine, model = extraction_rows.alias(), extraction_rows.alias(), extraction_votes, trained_models
    same: ColumnElement[bool] = and_(later.c.designation == row.c.designation, later.c.question == row.c.question)
    replaced = exists().where(same, later.c.sequence > row.c.sequence, later.c.sequence <= model.c.sequence)
    query = (
        select(model.c.name, model.c.version)
        .distinct()
        .select_from(votes)
        .join(mine, mine.c.vote_id == votes.c.vote_id)
        .join(
            row,
            and_(
                row.c.sequence == mine.c.sequence,
                row.c.designation == mine.c.designation,
                row.c.question == mine.c.question,
            ),
        )
        .join(model, model.c.sequence >= row.c.sequence)
        .where(votes.c.pseudonym == pseudonym, ~replaced)
        .order_by(model.c.name, model.c.version)
    )
    return tuple(ModelVersion(*found) for found in connection.execute(query))


def count_for_gold(connection: Connection, designation: str, question: int, label: int, votes_more: int = 1) -> None:
    """Note an identified first vote, if it is about a gold object; -1 takes it back."""
    right = case((gold.c.label == label, votes_more), else_=0)
    connection.execute(
        update(gold)
        .where(gold.c.designation == designation, gold.c.question == question)
        .values(right_votes=gold.c.right_votes + right, wrong_votes=gold.c.wrong_votes + votes_more - right)
    )


def _erase_votes(connection: Connection, pseudonym: bytes) -> tuple[int, int]:
    """Delete the votes and the row they refer to.

    Returns:
        How many there were, and of how many objects and questions the counted ones were.
    """
    mine = votes.c.pseudonym == pseudonym
    counted = select(votes.c.designation, votes.c.question, votes.c.label).where(mine, votes.c.counted)
    on_gold = counted.join(
        gold, and_(gold.c.designation == votes.c.designation, gold.c.question == votes.c.question)
    ).order_by(votes.c.designation, votes.c.question)
    for designation, question, label in connection.execute(on_gold).all():
        count_for_gold(connection, designation, question, label, -1)
    touched = connection.scalar(select(func.count()).select_from(counted.subquery())) or 0
    ids = select(votes.c.vote_id).where(mine)
    connection.execute(delete(extraction_votes).where(extraction_votes.c.vote_id.in_(ids)))
    erased = connection.execute(delete(votes).where(mine)).rowcount
    connection.execute(delete(contributors).where(contributors.c.pseudonym == pseudonym))
    return erased, touched

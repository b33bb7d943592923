# SPDX-License-Identifier: GPL-3.0-or-later
"""Contributors in the store: found by their token, shown what is held about them, erased."""

import json
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

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

# Statements of the way of every vote are built once: building them took half of its time.
_SALT: Final = select(contributor_keys.c.salt).where(contributor_keys.c.lookup == bindparam("lookup"))
_IS_THERE: Final = select(contributors.c.first_seen_unix_us).where(contributors.c.pseudonym == bindparam("pseudonym"))
_DROP_KEY: Final = delete(contributor_keys).where(contributor_keys.c.lookup == bindparam("lookup"))
_ADD_KEY: Final = insert(contributor_keys)
_ADD_CONTRIBUTOR: Final = insert(contributors)
_RIGHT: Final = case((gold.c.label == bindparam("said", type_=Integer), bindparam("more", type_=Integer)), else_=0)
_COUNT_FOR_GOLD: Final = (
    update(gold)
    .where(gold.c.designation == bindparam("about"), gold.c.question == bindparam("asked"))
    .values(
        right_votes=gold.c.right_votes + _RIGHT,
        wrong_votes=gold.c.wrong_votes + bindparam("more", type_=Integer) - _RIGHT,
    )
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
    salt = connection.scalar(_SALT, {"lookup": pseudonyms.lookup(token)})
    if salt is None:
        return None
    pseudonym = pseudonyms.pseudonym(token, salt)
    # A key without its contributor is of one who was erased after the backup that this store was restored from.
    return pseudonym if connection.scalar(_IS_THERE, {"pseudonym": pseudonym}) else None


def find_or_add(connection: Connection, pseudonyms: Pseudonyms, token: str) -> bytes:
    """The pseudonym of a token; new contributors are given one.

    Raises:
        IntegrityError: another process added it just now.
    """
    known = find(connection, pseudonyms, token)
    if known is not None:
        return known
    connection.execute(_DROP_KEY, {"lookup": pseudonyms.lookup(token)})
    salt = new_salt()
    pseudonym = pseudonyms.pseudonym(token, salt)
    connection.execute(_ADD_KEY, {"lookup": pseudonyms.lookup(token), "salt": salt})
    connection.execute(_ADD_CONTRIBUTOR, {"pseudonym": pseudonym, "first_seen_unix_us": now_unix_us()})
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
    erasure = Erasure(*erase_votes(connection, pseudonym), models)
    connection.execute(_DROP_KEY, {"lookup": pseudonyms.lookup(token)})
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


def count_for_gold(connection: Connection, designation: str, question: int, label: int, more: int = 1) -> None:
    """Note an identified first vote, if it is about a gold object; -1 takes it back."""
    connection.execute(_COUNT_FOR_GOLD, {"about": designation, "asked": question, "said": label, "more": more})


def erase_votes(connection: Connection, pseudonym: bytes) -> tuple[int, int]:
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

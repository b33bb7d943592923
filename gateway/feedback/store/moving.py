# SPDX-License-Identifier: GPL-3.0-or-later
"""A store's rows copied from one database to another, as from SQLite to PostgreSQL."""

from typing import Final

from sqlalchemy import Connection, Table, func, insert, select, text

from gateway.feedback.store import migrating
from gateway.feedback.store.database import Database
from gateway.feedback.store.schema import extractions, facts, metadata, votes

_BATCH_ROWS: Final = 1_000
_NUMBERED: Final = ((votes, votes.c.vote_id), (extractions, extractions.c.sequence))


class NotMoved(RuntimeError):
    """Nothing was copied."""


def move(source: Database, target: Database) -> dict[str, int]:
    """Copy every row of an SQLite store to an empty PostgreSQL store, in one transaction.

    Nothing can be written to the source meanwhile. The source stays as it is. No erased vote's number is used again.

    Args:
        source: an embedded store; its tables are brought up to date.
        target: without votes; its tables are made.

    Returns:
        Rows by table.

    Raises:
        NotMoved: there is no store in the source, the target has rows, or it belongs to another secret.
        StoreUnavailable: a database is away, or in use.
    """
    if not source.embedded or target.embedded:
        raise NotMoved("from SQLite to PostgreSQL only: set ORRERY_FEEDBACK_DATABASE_URL, or …_FILE")
    if not source.path.exists():
        raise NotMoved(f"there is no store in {source.path.parent}")
    migrating.upgrade(source)
    migrating.upgrade(target)
    with source.writing() as old, target.writing() as new:
        _require_empty(new)
        _require_same_facts(old, new)
        counts = {table.name: _copy(table, old, new) for table in metadata.sorted_tables}
        for table, column in _NUMBERED:
            _continue_numbers(table.name, column.name, old, new)
    return counts


def _require_empty(new: Connection) -> None:
    for table in metadata.sorted_tables:
        if table is not facts and new.scalar(select(func.count()).select_from(table)):
            raise NotMoved(f"the target has rows in {table.name}: it must be empty")


def _require_same_facts(old: Connection, new: Connection) -> None:
    """A pod that has started on the target has noted the check of its secret, which must be the source's."""
    ours = {row.name: row.value for row in old.execute(select(facts))}
    for name, value in new.execute(select(facts)):
        if ours.get(name) != value:
            raise NotMoved(f"the target belongs to another store: its {name} differs")
    new.execute(facts.delete())


def _copy(table: Table, old: Connection, new: Connection) -> int:
    count = 0
    # By the primary key: the order of insertion must not tell which key belongs to which contributor.
    for rows in old.execute(select(table).order_by(*table.primary_key)).mappings().partitions(_BATCH_ROWS):
        new.execute(insert(table), [dict(row) for row in rows])
        count += len(rows)
    return count


def _continue_numbers(table: str, column: str, old: Connection, new: Connection) -> None:
    last = old.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table})
    if last:
        place = text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)")
        new.execute(place, {"table": table, "column": column, "last": last})

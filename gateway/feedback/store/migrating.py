# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables made, or brought up to date, revision by revision."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from gateway.feedback.store.database import Database, StoreUnavailable

_SCRIPTS: Final = Path(__file__).parent / "migrations"
# Several pods may start at once; any number will do, as long as it is ours.
_LOCK: Final = 6_877_391_127_042_021


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the tables to a revision, the newest unless told; in one transaction.

    Raises:
        StoreUnavailable: the database is away, or its tables are newer than this code.
        StoreFull: there is no room.
    """
    with database.writing() as connection:
        if not database.embedded:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if current(connection) == newest():
            return
        try:
            command.upgrade(_config(connection), revision)
        except CommandError:
            raise StoreUnavailable("tables newer than this code") from None


def require_current(database: Database) -> None:
    """Make sure that the tables are of the newest revision.

    Raises:
        StoreUnavailable: they are not, or the database is away.
    """
    with database.reading() as connection:
        if current(connection) != newest():
            raise StoreUnavailable("tables of another revision")


def current(connection: Connection) -> str | None:
    """The revision of a database's tables; None where there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision that this code works with."""
    return str(ScriptDirectory(str(_SCRIPTS)).get_current_head())


def revisions() -> list[str]:
    """All revisions, oldest first."""
    return [script.revision for script in reversed(list(ScriptDirectory(str(_SCRIPTS)).walk_revisions()))]


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config

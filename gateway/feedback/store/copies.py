# SPDX-License-Identifier: GPL-3.0-or-later
"""The database as one file, and back: SQLite's online backup, PostgreSQL's pg_dump and pg_restore.

A copy is of one moment, whatever is written meanwhile.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, insert, inspect, select, text

from gateway.feedback.store import contributors, migrating
from gateway.feedback.store.database import Database, translated
from gateway.feedback.store.schema import erasures, metadata

_ISOLATED: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


class NotRestored(RuntimeError):
    """A copy was not put in place; what was there before is still there, unless the words say otherwise."""


def copy_out(database: Database, path: Path) -> dict[str, int]:
    """Write the database to a file that is its owner's alone.

    Returns:
        Rows by table, as they are in the file.

    Raises:
        StoreUnavailable: the database is away.
        OSError: the file cannot be written, or pg_dump is not there.
        subprocess.CalledProcessError: pg_dump failed.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with database.reading() as connection:
        if not database.embedded:
            connection.execute(text(_ISOLATED))
            snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
            counts = _counts(connection)
            _run(database, "pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={path}", "--no-owner")
            return counts
        source = connection.connection.driver_connection
        target = sqlite3.connect(path)
        try:
            with translated():
                source.backup(target)  # type: ignore[union-attr]  # sqlite3's own connection
                # One file, without a log beside it.
                target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()
    return _counts_in(path)


def copy_in(database: Database, path: Path, counts: Mapping[str, int], *, replace: bool) -> int:
    """Put a file of `copy_out` in the database's place. No pod may be running on it.

    Contributors whose erasure the database that is replaced remembers are erased again.

    Args:
        database: empty, or to be replaced.
        path: the file.
        counts: rows by table that must be in it.
        replace: whether a database that is there may be replaced.

    Returns:
        How many contributors were erased again.

    Raises:
        NotRestored: there is a database already, somebody uses it, or the file does not hold what it should.
        StoreUnavailable: the database is away.
        OSError: a file cannot be written, or pg_restore is not there.
        subprocess.CalledProcessError: pg_restore failed, and nothing was changed.
    """
    erased = _erasures(database)
    if erased is not None and not replace:
        raise NotRestored("there is a feedback store already")
    # Our own connections would be in the way.
    database.close()
    if database.embedded:
        _replace_file(database, path, counts)
    else:
        _run(database, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--clean", "--if-exists",
             f"--dbname={_address(database)}", str(path))  # fmt: skip
        with database.reading() as connection:
            if (found := _counts(connection)) != counts:
                raise NotRestored(f"replaced, but the rows are {found}, not {dict(counts)}")
    migrating.upgrade(database)
    with database.writing() as connection:
        return _erase_again(connection, erased or [])


def _replace_file(database: Database, path: Path, counts: Mapping[str, int]) -> None:
    folder = database.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    if database.path.exists():
        _require_alone(database.path)
    beside = folder / f".{database.path.name}.{os.getpid()}"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
        with path.open("rb") as source:
            shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    try:
        if (found := _counts_in(beside)) != counts:
            raise NotRestored(f"the rows are {found}, not {dict(counts)}")
        beside.rename(database.path)
    finally:
        beside.unlink(missing_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _require_alone(path: Path) -> None:
    """Leaving WAL mode takes the database for oneself, and leaves no log that could be taken for the new file's."""
    connection = sqlite3.connect(path, timeout=1.0)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as error:
        raise NotRestored(f"somebody uses {path}: stop the pod first") from error
    finally:
        connection.close()
    if mode != "delete":
        raise NotRestored(f"somebody uses {path}: stop the pod first")


def _counts(connection: Connection) -> dict[str, int]:
    there = set(inspect(connection).get_table_names())
    tables = [table for table in metadata.sorted_tables if table.name in there]
    return {table.name: int(connection.scalar(select(func.count()).select_from(table)) or 0) for table in tables}


def _counts_in(path: Path) -> dict[str, int]:
    """Rows by table of an SQLite file; that it is whole is looked at too."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise NotRestored(f"the file is broken: {said}")
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        tables = [table.name for table in metadata.sorted_tables if table.name in there]
        count = "SELECT count(*) FROM "
        return {name: connection.execute(f"{count}{name}").fetchone()[0] for name in tables}
    except sqlite3.DatabaseError as error:
        raise NotRestored("the file is no database") from error
    finally:
        connection.close()


def _erasures(database: Database) -> list[Mapping[str, Any]] | None:
    """What the database remembers of erasures; None if there is no store in it."""
    if database.embedded and not database.path.exists():
        return None
    with database.reading() as connection:
        if "erasures" not in inspect(connection).get_table_names():
            return None
        return [dict(row) for row in connection.execute(select(erasures)).mappings()]


def _erase_again(connection: Connection, erased: list[Mapping[str, Any]]) -> int:
    known = set(connection.scalars(select(erasures.c.pseudonym)))
    missing = [row for row in erased if row["pseudonym"] not in known]
    for row in missing:
        contributors.erase_votes(connection, row["pseudonym"])
        connection.execute(insert(erasures).values(**row))
    return len(missing)


def _address(database: Database) -> str:
    """For PostgreSQL's programs; the password goes through their environment, where other users do not see it."""
    url = database.url.set(drivername="postgresql")
    return (url._replace(password=None)).render_as_string(hide_password=False)


def _run(database: Database, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise FileNotFoundError(f"{program} is not installed (Debian: postgresql-client)")
    environment = {**os.environ, "PGCONNECT_TIMEOUT": "10"}
    if database.url.password is not None:
        environment["PGPASSWORD"] = database.url.password
    command = [program, *arguments]
    if program == "pg_dump":
        command.append(f"--dbname={_address(database)}")
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)  # noqa: S603  # PostgreSQL's own

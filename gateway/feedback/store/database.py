# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to SQLite or PostgreSQL, set so that what was committed is on disk, and what their errors mean."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.feedback.settings import StoreSettings
from gateway.serving.errors import BackendUnavailable, StoreFull

FILE_NAME: Final = "feedback.sqlite3"
BACKEND: Final = "feedback store"

# https://www.postgresql.org/docs/15/errcodes-appendix.html
_DISK_FULL: Final = "53100"
# Of two transactions that wait for each other one is told to begin again.
_BEGIN_AGAIN: Final = frozenset({"40001", "40P01"})


class StoreUnavailable(BackendUnavailable):
    """The database is away, locked, read-only, or not as it should be; nothing was kept."""

    def __init__(self, cause: str) -> None:
        """Say what for the log.

        Args:
            cause: the database's own code: "SQLITE_BUSY", "57P01".
        """
        self.cause = cause
        super().__init__(BACKEND)


class BeginAgain(StoreUnavailable):
    """The transaction stood in the way of another; it will do when tried again."""


class Database:
    """A database, one connection that writes, and some that read."""

    def __init__(self, settings: StoreSettings, *, readers: int = 1) -> None:
        """Connect lazily.

        Args:
            settings: where it is.
            readers: connections that read, at most.

        Raises:
            ValueError: the address makes no sense; it is not quoted, it holds a password.
            OSError: a file with the address cannot be read, or the folder cannot be made.
        """
        self.url = _url_of(settings)
        self.embedded = self.url.get_backend_name() == "sqlite"
        if self.embedded:
            self._options: dict[str, Any] = {"timeout": settings.lock_timeout_s, "isolation_level": None}
        else:
            timeouts_ms = {"statement": settings.statement_timeout_s * 1e3, "lock": settings.lock_timeout_s * 1e3}
            # A server may be set to acknowledge before it has written; here that would be a lie.
            said = ["-csynchronous_commit=on", *(f"-c{name}_timeout={ms:.0f}" for name, ms in timeouts_ms.items())]
            self._options = {
                "options": " ".join(said),
                "connect_timeout": 2,
                "application_name": "orrery-feedback",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            }
        self._lock_timeout_s = settings.lock_timeout_s
        self._writer = self._engine(1, "BEGIN IMMEDIATE")
        self._readers = self._engine(readers, "BEGIN")

    @property
    def path(self) -> Path:
        """The embedded store's file."""
        return Path(str(self.url.database))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction; committed, and on disk, when left without an error.

        Raises:
            StoreFull: no room; nothing was kept.
            BeginAgain: another transaction was in the way; nothing was kept.
            StoreUnavailable: the database failed; nothing was kept, unless the connection broke within the commit
                itself: then nobody knows.
        """
        with translated(), self._writer.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot to read from.

        Raises:
            StoreUnavailable: the database failed.
        """
        with translated(), self._readers.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        for engine in (self._writer, self._readers):
            engine.dispose()

    def _engine(self, connections: int, begin: str) -> Engine:
        engine = create_engine(
            self.url,
            connect_args=self._options,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._lock_timeout_s,
            pool_pre_ping=not self.embedded,
            # Else errors would quote what was sent.
            hide_parameters=True,
        )
        if self.embedded:
            event.listen(engine, "do_connect", self._make_private)
            event.listen(engine, "connect", _set_up_sqlite)
            # sqlite3 would begin late, and as it pleases: https://docs.sqlalchemy.org/en/20/dialects/sqlite.html
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    def _make_private(self, *_: Any) -> None:
        """The file, and with it SQLite's files beside it, is its owner's alone.

        A file that is there is not opened, not even to look: closing it would take away the locks that this process'
        connections have on it (https://www.sqlite.org/howtocorrupt.html, 2.2), and another process that then closes
        the database takes the log away with it. Acknowledged votes were lost that way.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise StoreUnavailable(f"errno {error.errno}") from None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What a database's error means. Its words may quote what was sent, so they go no further.

    Raises:
        IntegrityError: as it is: who wrote knows what it means.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise _meaning_of(error.orig) from None
    except sqlite3.Error as error:
        # While a connection is set up, SQLAlchemy lets them through as they are.
        raise _meaning_of(error) from None
    except PoolTimeout:
        raise StoreUnavailable("all connections are busy") from None
    except SQLAlchemyError as error:
        raise StoreUnavailable(type(error).__name__) from None


def _meaning_of(error: BaseException | None) -> StoreUnavailable | StoreFull:
    if isinstance(error, sqlite3.Error):
        code = str(getattr(error, "sqlite_errorname", type(error).__name__))
        return StoreFull() if code == "SQLITE_FULL" else StoreUnavailable(code)
    code = str(getattr(error, "sqlstate", None) or type(error).__name__)
    if code == _DISK_FULL:
        return StoreFull()
    return BeginAgain(code) if code in _BEGIN_AGAIN else StoreUnavailable(code)


def _url_of(settings: StoreSettings) -> URL:
    if settings.database_url is not None:
        text = settings.database_url.get_secret_value()
    elif settings.database_url_file is not None:
        text = settings.database_url_file.read_text(encoding="utf-8").strip()
    else:
        return URL.create("sqlite+pysqlite", database=str(settings.folder.absolute() / FILE_NAME))
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise ValueError("the address of the feedback store is not postgresql://user:password@host/database")
    return url.set(drivername="postgresql+psycopg")


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """WAL and FULL: a commit is on disk when it returns (https://www.sqlite.org/pragma.html#pragma_synchronous)."""
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""The store as the pod and its commands use it: every method is one transaction, or one snapshot."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from gateway.feedback.consensus import Consensus
from gateway.feedback.gold import Gold
from gateway.feedback.pseudonyms import Pseudonyms, read_secret
from gateway.feedback.settings import StoreSettings
from gateway.feedback.store import contributors, curation, extraction, migrating
from gateway.feedback.store import votes as ballots
from gateway.feedback.store.contributors import Erasure, ModelVersion
from gateway.feedback.store.database import Database, StoreUnavailable, translated
from gateway.feedback.store.extraction import Run
from gateway.feedback.store.schema import contributors as contributors_table
from gateway.feedback.store.schema import facts, votes
from gateway.feedback.store.votes import KeptVote, Receipt, Subject, Submission

T = TypeVar("T")

# A work within a transaction.
Work = Callable[[Connection], T]

# How often a work that another process was quicker with is tried again.
_TRIES: Final = 5
_CHECK: Final = "check"


class WrongSecret(ValueError):
    """The store was filled under another secret: contributors would not be found again."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held about a contributor, beside the votes."""

    pseudonym: bytes
    first_seen_unix_us: int
    votes: int
    weight: float
    trained_models: tuple[ModelVersion, ...]


class Store:
    """Votes and what belongs to them. Methods block; threads may share one."""

    def __init__(self, settings: StoreSettings, *, readers: int = 1) -> None:
        """Connect lazily.

        Args:
            settings: where the store is, and its secret.
            readers: threads that read at a time.

        Raises:
            InvalidSettings: the address or the secret makes no sense, or the folder cannot be made.
        """
        with settings.naming("database_url_file" if settings.database_url_file else "database_url"):
            self.database = Database(settings, readers=readers)
        with settings.naming("secret_file" if settings.secret_file else "secret" if settings.secret else "folder"):
            self.pseudonyms = Pseudonyms(read_secret(settings))
        self._migrate = settings.migrate

    def open(self) -> None:
        """Make sure that the tables are there and the secret is the store's own.

        Raises:
            StoreUnavailable: the database is away, or its tables are older (and settings forbid to touch them) or newer
                than this code.
            StoreFull: there is no room for the tables.
            WrongSecret: it is not the store's.
        """
        if self._migrate:
            migrating.upgrade(self.database)
        else:
            migrating.require_current(self.database)
        check = self.pseudonyms.check()
        known = self.write(lambda connection: _remember(connection, _CHECK, check))
        if known != check:
            raise WrongSecret("the store was filled under another secret")

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def write(self, work: Work[T]) -> T:
        """One work in a transaction of its own.

        Raises:
            StoreFull, StoreUnavailable: it could not be kept.
        """
        with self.database.writing() as connection:
            return attempt(connection, work)

    def keeping(self, submission: Submission) -> Work[Receipt]:
        """The work of keeping a vote."""
        return lambda connection: ballots.keep(connection, self.pseudonyms, submission)

    def erasing(self, token: str, request_id: str) -> Work[Erasure]:
        """The work of erasing a contributor."""
        return lambda connection: contributors.erase(connection, self.pseudonyms, token, request_id)

    def consensus(self, designations: Collection[str] | None = None) -> Iterator[tuple[Subject, Consensus, int]]:
        """See `votes.consensus_of`."""
        with self.database.reading() as connection:
            yield from ballots.consensus_of(connection, designations)

    def holding(self, token: str) -> Holding | None:
        """What is held about a contributor; None if nothing is."""
        with self.database.reading() as connection:
            pseudonym = contributors.find(connection, self.pseudonyms, token)
            if pseudonym is None:
                return None
            held = contributors_table.c
            first_seen = connection.scalar(select(held.first_seen_unix_us).where(held.pseudonym == pseudonym))
            count = connection.scalar(select(func.count()).select_from(votes).where(votes.c.pseudonym == pseudonym))
            return Holding(
                pseudonym,
                int(first_seen or 0),
                int(count or 0),
                ballots.weight_of_contributor(connection, pseudonym),
                contributors.models_trained_on(connection, pseudonym),
            )

    def votes_of(self, pseudonym: bytes, *, after_vote_id: int, most: int) -> list[KeptVote]:
        """See `votes.votes_of`."""
        with self.database.reading() as connection:
            return ballots.votes_of(connection, pseudonym, after_vote_id=after_vote_id, most=most)

    def extract(self, run_id: str) -> Run:
        """Consensus for training (`extraction`); a run id that was used gives the same run again."""

        def work(connection: Connection) -> Run:
            extraction.extract(connection, run_id)
            return extraction.read_run(connection, run_id)

        return self.write(work)

    def record_training(self, run_id: str, model: ModelVersion) -> None:
        """See `extraction.record_training`."""
        self.write(lambda connection: extraction.record_training(connection, run_id, model))

    def replace_gold(self, source: str, objects: Iterable[Gold]) -> dict[int, int]:
        """See `curation.replace_gold`; how many there are now, by label."""

        def work(connection: Connection) -> dict[int, int]:
            curation.replace_gold(connection, source, objects)
            return curation.gold_counts(connection)

        return self.write(work)

    def decide(self, designation: str, label: int) -> None:
        """See `curation.decide`."""
        self.write(lambda connection: curation.decide(connection, designation, label))

    def check(self) -> int:
        """Ask the database something.

        Returns:
            The store's size in bytes.

        Raises:
            StoreUnavailable: it does not answer.
        """
        query = (
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
            if self.database.embedded
            else "SELECT pg_database_size(current_database())"
        )
        with self.database.reading() as connection:
            connection.execute(select(facts.c.name)).all()
            return int(connection.scalar(text(query)) or 0)


def attempt(connection: Connection, work: Work[T]) -> T:
    """Do a work in a savepoint; again if another process was quicker with a row that must be there once.

    Raises:
        StoreUnavailable: it was so every time, or the database failed: the whole transaction is lost.
        StoreFull: there is no room: likewise.
    """
    for _ in range(_TRIES):
        try:
            with translated(), connection.begin_nested():
                return work(connection)
        except IntegrityError:
            continue
    raise StoreUnavailable("conflicts without end")


def _remember(connection: Connection, name: str, value: bytes) -> bytes:
    """A fact as it was first said."""
    known = connection.scalar(select(facts.c.value).where(facts.c.name == name))
    if known is None:
        connection.execute(insert(facts).values(name=name, value=value))
        return value
    return bytes(known)

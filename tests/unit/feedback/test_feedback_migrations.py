# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables made from nothing, and brought up from every older revision with what they hold."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gateway.feedback.store import migrating
from gateway.feedback.store.database import Database, StoreUnavailable
from gateway.feedback.store.schema import metadata, votes
from gateway.feedback.store.store import Store, WrongSecret
from tests.votes import keep, token


@pytest.fixture
def database(settings):
    settings.folder.mkdir(exist_ok=True)
    opened = Database(settings)
    yield opened
    opened.close()


def differences(database):
    with database.reading() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


def test_from_nothing_to_the_tables_of_the_code(database):
    migrating.upgrade(database)
    assert differences(database) == []
    migrating.upgrade(database)
    assert differences(database) == []


@pytest.mark.parametrize("revision", migrating.revisions()[:-1])
def test_from_an_older_revision_with_everything_in_it(database, settings, revision):
    migrating.upgrade(database, revision)
    with database.writing() as connection:
        old = sa.Table("votes", sa.MetaData(), autoload_with=connection)
        row = {"request_id": "r", "receipt_id": "x", "designation": "2004 FH", "question": 1, "label": 1}
        connection.execute(sa.insert(old).values(**row, received_unix_us=1, counted=True))
    with Store(settings) as store:
        store.open()
        keep(store, by=token())
    assert differences(database) == []
    with database.reading() as connection:
        assert connection.scalars(sa.select(votes.c.request_id).order_by(votes.c.vote_id)).first() == "r"
        assert migrating.current(connection) == migrating.newest()


def test_tables_newer_than_the_code_are_left_alone(database, settings):
    migrating.upgrade(database)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with Store(settings) as store, pytest.raises(StoreUnavailable):
        store.open()


def test_a_pod_that_may_not_migrate_waits(database, settings):
    waiting = settings.model_copy(update={"migrate": False})
    with Store(waiting) as store:
        with pytest.raises(StoreUnavailable):
            store.open()
        migrating.upgrade(database)
        store.open()


def test_another_secret_than_the_stores_is_refused(settings):
    with Store(settings) as store:
        store.open()
    other = settings.model_copy(update={"secret": type(settings.secret)("x" * 32)})
    with Store(other) as store, pytest.raises(WrongSecret):
        store.open()

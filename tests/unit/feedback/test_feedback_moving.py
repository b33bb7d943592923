# SPDX-License-Identifier: GPL-3.0-or-later
"""From SQLite to a real PostgreSQL: every row is there, and the store goes on where it was."""

import secrets
from argparse import ArgumentParser

import pytest
import sqlalchemy as sa

from gateway.feedback import commands
from gateway.feedback.settings import StoreSettings
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.schema import metadata, votes
from gateway.feedback.store.store import Store
from tests import postgres
from tests.votes import LABEL, consensus, keep, token

pytestmark = postgres.NEEDED


def everything(store):
    with store.database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


@pytest.fixture
def embedded(tmp_path):
    return StoreSettings(folder=tmp_path / "store", secret=secrets.token_hex(32))


@pytest.fixture
def shared(embedded, cluster):
    return StoreSettings(folder=embedded.folder, secret=embedded.secret, database_url=cluster.fresh_url())


@pytest.fixture
def move(monkeypatch, shared):
    monkeypatch.setenv("ORRERY_FEEDBACK_FOLDER", str(shared.folder))
    monkeypatch.setenv("ORRERY_FEEDBACK_SECRET", shared.secret.get_secret_value())
    monkeypatch.setenv("ORRERY_FEEDBACK_DATABASE_URL", shared.database_url.get_secret_value())

    def run():
        monkeypatch.setattr("sys.argv", ["feedback", "move"])
        commands.main(ArgumentParser())

    return run


def filled(settings):
    """A store's rows, its contributors, the number of its newest vote, which is erased, and a consensus."""
    contributors = [token() for _ in range(5)]
    with Store(settings) as store:
        store.open()
        for one in contributors:
            keep(store, by=one)
        keep(store, shown=None)
        store.decide("2006 QQ23", LABEL["ORDINARY"])
        store.extract("one")
        store.record_training("one", ModelVersion("neo_classifier", 7))
        keep(store, "2005 AB", by=contributors[4])
        with store.database.reading() as connection:
            newest = connection.scalar(sa.select(sa.func.max(votes.c.vote_id)))
        store.write(store.erasing(contributors[4], "please"))
        return everything(store), contributors, newest, consensus(store)


def test_votes_are_taken_along_and_the_store_goes_on(embedded, shared, move, capsys):
    rows, contributors, newest, agreed = filled(embedded)
    move()
    assert f"votes {len(rows['votes'])}" in capsys.readouterr().out
    with Store(shared) as store:
        store.open()
        assert everything(store) == rows
        assert consensus(store) == agreed
        keep(store, by=contributors[0])
        keep(store, by=token())
        with store.database.reading() as connection:
            last = connection.execute(sa.select(votes.c.vote_id, votes.c.counted).order_by(votes.c.vote_id)).all()[-2:]
        # The first of the two came again from a contributor whom the moved store knows.
        assert [tuple(row) for row in last] == [(newest + 1, False), (newest + 2, True)]
        store.extract("two")
    with Store(embedded) as store:
        store.open()
        assert everything(store) == rows


def test_a_target_with_votes_or_of_another_secret_is_left_alone(embedded, shared, move):
    filled(embedded)
    with Store(shared.model_copy(update={"secret": StoreSettings(secret="x" * 40).secret})) as store:
        store.open()
    with pytest.raises(SystemExit, match="NotMoved: the target belongs to another store"):
        move()
    with Store(shared.model_copy(update={"secret": StoreSettings(secret="x" * 40).secret})) as store:
        store.open()
        keep(store)
        before = everything(store)
        with pytest.raises(SystemExit, match="NotMoved: the target has rows in"):
            move()
        assert everything(store) == before


def test_where_there_is_nothing_to_move_nothing_is_made(shared, move):
    with pytest.raises(SystemExit, match="NotMoved: there is no store in"):
        move()
    assert not shared.folder.exists()

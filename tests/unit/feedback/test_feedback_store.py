# SPDX-License-Identifier: GPL-3.0-or-later
"""Votes kept once, contributors hidden, consensus as of the votes that are there; in SQLite and in PostgreSQL."""

import dataclasses
import subprocess
import sys

import pytest

from gateway.feedback.consensus import Status
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.store import Store
from gateway.serving.errors import RequestIdReused
from tests.votes import LABEL, QUESTION, consensus, keep, submission, token


def test_a_repeated_request_gets_the_same_receipt(store):
    vote = submission(by=token())
    first = store.write(store.keeping(vote))
    again = store.write(store.keeping(vote))
    assert again == dataclasses.replace(first, repeated=True)
    assert first.counted


@pytest.mark.parametrize(
    "change",
    [{"designation": "2004 FI"}, {"label": LABEL["INTERESTING"]}, {"token": token()}, {"token": ""}, {"shown": None}],
)
def test_a_request_id_with_other_contents_is_refused(store, change):
    vote = submission(by=token())
    store.write(store.keeping(vote))
    with pytest.raises(RequestIdReused):
        store.write(store.keeping(dataclasses.replace(vote, **change)))
    assert consensus(store)["RECORD"].weighed == (1,)


def test_the_first_vote_of_a_contributor_counts_and_later_ones_are_kept(store):
    one = token()
    assert keep(store, label="DATA_ERROR", by=one).counted
    assert not keep(store, label="DATA_PLAUSIBLE", by=one).counted
    assert keep(store, label="INTERESTING", by=one).counted
    assert keep(store, designation="2004 FI", by=one).counted
    found = consensus(store)
    assert found["RECORD"].shares == {LABEL["DATA_ERROR"]: 1.0}
    assert store.holding(one).votes == 4


def test_a_flood_from_one_contributor_changes_nothing(store):
    for label in ("DATA_ERROR", "DATA_ERROR", "DATA_PLAUSIBLE"):
        keep(store, label=label, by=token())
    one = token()
    keep(store, label="DATA_ERROR", by=one)
    before = consensus(store)
    votes = [submission(label="DATA_PLAUSIBLE", by=one) for _ in range(2_000)]
    with store.database.writing() as connection:
        for vote in votes:
            assert not store.keeping(vote)(connection).counted
    assert consensus(store) == before


def test_agreement_of_four_is_consensus_and_is_taken_out_once(store):
    for _ in range(4):
        keep(store, by=token())
    assert consensus(store)["RECORD"].status is Status.AGREED
    run = store.extract("one")
    (row,) = run.rows
    assert (row.designation, row.label, row.votes, row.changed_in_run) == ("2004 FH", LABEL["DATA_ERROR"], 4, "one")
    for _ in range(9):
        keep(store, designation="2005 AB", label="INTERESTING", by=token())
    later = store.extract("two")
    assert [(found.designation, found.changed_in_run) for found in later.rows] == [
        ("2004 FH", "one"),
        ("2005 AB", "two"),
    ]
    assert later.previous_run_id == "one"
    # A run is the same whenever it is asked for.
    assert store.extract("one") == run


def test_erasing_takes_votes_key_and_consensus_and_names_the_models(store):
    contributors = [token() for _ in range(4)]
    for one in contributors:
        keep(store, by=one)
    store.extract("one")
    store.record_training("one", ModelVersion("neo_classifier", 7))
    pseudonym = store.holding(contributors[0]).pseudonym
    assert store.holding(contributors[0]).trained_models == (ModelVersion("neo_classifier", 7),)
    erasure = store.write(store.erasing(contributors[0], "please"))
    assert (erasure.erased_votes, erasure.recomputed_consensus) == (1, 1)
    assert erasure.trained_models == (ModelVersion("neo_classifier", 7),)
    assert store.holding(contributors[0]) is None
    assert consensus(store)["RECORD"].status is Status.OPEN
    assert store.write(store.erasing(contributors[0], "please")) == erasure
    assert store.write(store.erasing(contributors[0], "again")).erased_votes == 0
    # Training hears that the question is open again, once.
    (row,) = store.extract("two").rows
    assert (row.label, row.status, row.changed_in_run) == (0, Status.OPEN, "two")
    assert store.extract("three").rows == ()
    # The same token is somebody new.
    keep(store, by=contributors[0])
    assert store.holding(contributors[0]).pseudonym != pseudonym
    assert store.holding(contributors[0]).trained_models == ()


def test_a_model_is_named_only_if_its_run_used_the_votes(store):
    contributors = [token() for _ in range(4)]
    store.extract("before")
    store.record_training("before", ModelVersion("neo_classifier", 1))
    for one in contributors:
        keep(store, by=one)
    for run_id, version in (("with", 2), ("still", 3)):
        store.extract(run_id)
        store.record_training(run_id, ModelVersion("neo_classifier", version))
    store.write(store.erasing(contributors[1], "please"))
    store.extract("after")
    store.record_training("after", ModelVersion("neo_classifier", 4))
    named = store.write(store.erasing(contributors[0], "me too")).trained_models
    assert [model.version for model in named] == [2, 3]
    assert QUESTION["RECORD"] == 1


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_another_process_that_comes_and_goes_takes_nothing_away(store, settings):
    """It must not be the last to close the database while this one has it open, or the log goes with it."""
    keep(store, by=token())
    # More connections of this process, one after the other.
    with store.database.reading(), Store(settings) as another:
        list(another.consensus(["2004 FH"]))
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM votes'); c.close()"
    subprocess.run([sys.executable, "-c", script, store.database.path], check=True)
    assert store.database.path.with_name(f"{store.database.path.name}-wal").exists()
    keep(store, "after", by=token())
    count = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM votes').fetchone())"
    seen = subprocess.run([sys.executable, "-c", count, store.database.path], check=True, capture_output=True)
    assert seen.stdout.split() == [b"2"]

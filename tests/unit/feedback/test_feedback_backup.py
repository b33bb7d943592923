# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup put into an empty place holds what was there, row by row and file by file; in SQLite and in PostgreSQL."""

import hashlib
import shutil
import stat

import pytest
import sqlalchemy as sa

from gateway.feedback.backup import back_up, restore
from gateway.feedback.settings import StoreSettings
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.copies import NotRestored
from gateway.feedback.store.schema import metadata
from gateway.feedback.store.store import Store
from gateway.serving.checksums import NotWhole
from tests.votes import LABEL, consensus, keep, token


def everything(store):
    """All rows of all tables."""
    with store.database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def models(tmp_path):
    """A model store of one version, and one that challenges it."""
    for place in ("neo_classifier/20261123122213", "challengers/neo_classifier/20261124080000"):
        version = tmp_path / "models" / place
        version.mkdir(parents=True)
        (version / "weights").write_bytes(b"weights")
        (version / "SHA256SUMS").write_text(f"{hashlib.sha256(b'weights').hexdigest()}  weights\n")
    shutil.copy(version / "weights", tmp_path / "models" / "NUMBERS.md")
    (tmp_path / "models" / ".half-written").mkdir()
    return tmp_path / "models"


@pytest.fixture
def filled(store, models):
    """A store in which every table has rows."""
    contributors = [token() for _ in range(6)]
    for one in contributors:
        keep(store, by=one)
        keep(store, "2005 AB", "INTERESTING", by=one)
    keep(store, shown=None)
    store.decide("2006 QQ23", LABEL["ORDINARY"])
    store.extract("one")
    store.record_training("one", ModelVersion("neo_classifier", 7))
    store.write(store.erasing(contributors[5], "please"))
    with store.database.writing() as connection:
        gold = metadata.tables["gold"]
        row = {"designation": "g", "question": 3, "label": 5, "right_votes": 1, "wrong_votes": 2, "source": "list"}
        connection.execute(sa.insert(gold).values(row))
    assert all(everything(store).values())
    return store


@pytest.fixture
def elsewhere(request, settings, tmp_path):
    """An empty place of the same kind, under the same secret."""
    where = {"folder": tmp_path / "elsewhere", "secret": settings.secret}
    if settings.database_url is not None:
        where["database_url"] = request.getfixturevalue("cluster").fresh_url()
    return StoreSettings(**where)


def test_a_restored_store_is_the_one_backed_up(filled, elsewhere, models, tmp_path):
    backup = tmp_path / "backups" / "monday"
    manifest = back_up(filled.database, models, backup)
    assert manifest["rows"]["votes"] == 11
    assert manifest["model_versions"] == [
        "challengers/neo_classifier/20261124080000",
        "neo_classifier/20261123122213",
    ]
    before = everything(filled)
    keep(filled, "after the backup", by=token())
    with Store(elsewhere) as store:
        restored_models = tmp_path / "models elsewhere"
        restore(store.database, restored_models, backup, force=False)
        store.open()
        assert everything(store) == before
        # It works on: ids go on where they were.
        keep(store, "after the restore", by=token())
        assert consensus(store, "after the restore")["RECORD"].weighed == (14,)
        if store.database.embedded:
            assert stat.S_IMODE(store.database.path.stat().st_mode) == 0o600
    expected = files(models)
    assert files(restored_models) == expected
    assert not (backup / "models" / ".half-written").exists()


def test_nothing_is_overwritten_unless_forced_and_erasures_stay_erased(filled, models, tmp_path):
    backup = tmp_path / "backup"
    one = token()
    keep(filled, "mine", by=one)
    back_up(filled.database, models, backup)
    filled.write(filled.erasing(one, "now"))
    after = everything(filled)
    with pytest.raises(NotRestored, match="already"):
        restore(filled.database, models, backup, force=False)
    with pytest.raises(NotRestored, match="already"):
        restore(filled.database, tmp_path / "no models", backup, force=False)
    assert everything(filled) == after
    said = restore(filled.database, models, backup, force=True)
    assert said["erased_again"] == 1
    assert consensus(filled, "mine") == {}
    assert filled.holding(one) is None
    assert everything(filled)["erasures"] == after["erasures"]
    # The same token can vote again, as somebody new.
    assert keep(filled, "mine", by=one).counted


def test_a_changed_backup_is_refused(filled, elsewhere, models, tmp_path):
    backup = tmp_path / "backup"
    back_up(filled.database, models, backup)
    with (backup / "database").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with Store(elsewhere) as store, pytest.raises(NotWhole):
        restore(store.database, tmp_path / "no models", backup, force=False)
    assert not (tmp_path / "no models").exists()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_version_that_is_not_what_was_published_is_not_backed_up(filled, models, tmp_path):
    (models / "challengers" / "neo_classifier" / "20261124080000" / "weights").write_bytes(b"weight?")
    with pytest.raises(NotWhole, match="weights"):
        back_up(filled.database, models, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_backup_is_never_written_over_another(filled, models, tmp_path):
    with pytest.raises(FileExistsError):
        back_up(filled.database, models, tmp_path)


# PostgreSQL replaces in one transaction, which waits for others.
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_store_in_use_is_not_replaced(filled, models, tmp_path):
    back_up(filled.database, models, tmp_path / "backup")
    with (
        Store(StoreSettings(folder=filled.database.path.parent, secret="x" * 32)) as pod,
        pod.database.reading(),
        pytest.raises(NotRestored, match="stop the pod"),
    ):
        restore(filled.database, models, tmp_path / "backup", force=True)
    assert consensus(filled)["RECORD"].decided

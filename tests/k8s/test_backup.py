# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup's own script, against a real PostgreSQL: what it writes can be restored, and half a dump is none."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests import postgres
from tests.k8s.manifests import workloads

pytestmark = postgres.NEEDED


@pytest.fixture
def back_up(rendered, cluster, tmp_path):
    """Runs the script on a database, with a folder in place of the volume."""
    (job,) = (workload for workload in workloads(rendered["production"]) if workload.app == "feedback-backup")
    (script,) = job.containers[0]["args"]
    folder = tmp_path / "backup"
    folder.mkdir()

    waits_s = {entry["name"]: entry.get("value") for entry in job.containers[0]["env"]}["WAIT_FOR_DATABASE_S"]
    assert float(waits_s) >= 60

    def run(database, waits_s=waits_s):
        binaries = Path(postgres.binary("pg_dump")).parent
        environment = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PGHOST": str(cluster.folder),
            "PGUSER": "postgres",
            "PGDATABASE": database,
            "WAIT_FOR_DATABASE_S": waits_s,
        }
        command = [*job.containers[0]["command"], script.replace("/backup/", f"{folder}/")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False), folder

    return run


def database_of(url):
    return url.partition("@/")[2].partition("?")[0]


def test_a_backup_can_be_restored_and_fourteen_are_kept(back_up, cluster):
    database = database_of(cluster.fresh_url())
    cluster.sql("CREATE TABLE vote (answer text); INSERT INTO vote VALUES ('yes')", database)
    _, folder = back_up(database)
    old = [folder / f"feedback-20200101T0000{second:02}Z.dump" for second in range(20)]
    for age, path in enumerate(old):
        path.touch()
        os.utime(path, (1_600_000_000 - age, 1_600_000_000 - age))
    run, _ = back_up(database)
    assert run.returncode == 0, run.stderr
    kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    assert len(kept) == 14
    assert old[19] not in kept
    other = database_of(cluster.fresh_url())
    restore = [
        postgres.binary("pg_restore"),
        "-h",
        str(cluster.folder),
        "-U",
        "postgres",
        "-d",
        other,
        kept[0],
    ]
    subprocess.run(restore, check=True, capture_output=True)
    assert cluster.sql("SELECT answer FROM vote", other).strip() == "yes"


def test_a_backup_that_fails_says_so_and_leaves_nothing(back_up):
    run, folder = back_up("there_is_none")
    assert run.returncode != 0
    assert list(folder.iterdir()) == []


def test_a_backup_waits_for_a_database_that_cannot_be_reached_yet(back_up, cluster):
    database = database_of(cluster.fresh_url())
    cluster.stop()
    starting = threading.Timer(3.0, cluster.start)
    starting.start()
    run, folder = back_up(database)
    starting.join()
    assert run.returncode == 0, run.stderr
    assert len(list(folder.iterdir())) == 1
    assert "no response" in run.stdout


def test_a_backup_waits_no_longer_than_it_is_told(back_up, cluster):
    cluster.stop()
    try:
        began_s = time.monotonic()
        run, folder = back_up("postgres", waits_s="2")
        assert run.returncode != 0
        assert 1 <= time.monotonic() - began_s < 20
        assert list(folder.iterdir()) == []
    finally:
        cluster.start()

# SPDX-License-Identifier: GPL-3.0-or-later
"""From a feedback pod with SQLite to PostgreSQL: the Job's own command and environment, against a real PostgreSQL."""

import os
import secrets
import subprocess
import sys
import threading

import pytest

from gateway.feedback.settings import StoreSettings
from gateway.feedback.store.store import Store
from tests import postgres
from tests.k8s import manifests
from tests.k8s.manifests import environment, of_kind, workloads
from tests.votes import keep, token

DATABASE_URL = "ORRERY_FEEDBACK_DATABASE_URL_FILE"
# What the API server lets nobody change (https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/).
MUTABLE = {
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
}


@pytest.fixture(scope="module")
def documents(rendered):
    return manifests.render(manifests.K8S / "jobs" / "move-votes")


@pytest.fixture(scope="module")
def job(documents):
    return next(workload for workload in workloads(documents) if workload.name == "Job/move-votes")


def feedback_of(documents):
    return next(workload for workload in workloads(documents) if workload.name == "StatefulSet/feedback")


def fixed(workload):
    return {name: value for name, value in workload.spec.items() if name not in MUTABLE}


@pytest.mark.parametrize("source", ["kind", "laptop"])
def test_the_job_has_the_volume_and_the_secret_of_the_pod_that_wrote_the_votes(rendered, job, source):
    feedback = feedback_of(rendered[source])
    (claim,) = feedback.spec["volumeClaimTemplates"]
    claimed = {volume.get("persistentVolumeClaim", {}).get("claimName") for volume in job.pod["volumes"]}
    assert f"{claim['metadata']['name']}-{feedback.document['metadata']['name']}-0" in claimed
    (container,), (server,) = job.containers, feedback.servers
    assert container["image"] == server["image"]
    assert container["volumeMounts"] == server["volumeMounts"]
    given, known = environment(container), environment(server)
    for name in ("ORRERY_FEEDBACK_FOLDER", "ORRERY_FEEDBACK_SECRET_FILE"):
        assert given[name] == known[name]
    assert job.pod["securityContext"] == feedback.pod["securityContext"]


@pytest.mark.parametrize("target", ["retraining", "production"])
def test_the_overlay_that_follows_finds_its_own_postgres_and_database(rendered, documents, job, target):
    """What both apply is the same, or the overlay would be refused, or would restart PostgreSQL."""
    ours = [document for document in documents if "move-votes" not in document["metadata"]["name"]]
    assert {document["kind"] for document in ours} == {"ServiceAccount", "Service", "StatefulSet", "NetworkPolicy"}
    assert [document for document in ours if document not in rendered[target]] == []
    assert (
        environment(feedback_of(rendered[target]).servers[0])[DATABASE_URL]
        == environment(job.containers[0])[DATABASE_URL]
    )


@pytest.mark.parametrize("target", ["retraining", "production"])
def test_the_stateful_set_has_to_be_deleted_first(rendered, target):
    """Else the guide asks for more than is needed."""
    assert fixed(feedback_of(rendered["kind"])) != fixed(feedback_of(rendered[target]))


def test_the_policies_let_the_job_ask_postgres_and_nothing_else(documents):
    policies = {document["metadata"]["name"]: document["spec"] for document in of_kind(documents, "NetworkPolicy")}
    ours = {"matchLabels": {manifests.NAME: "move-votes"}}
    theirs = {"matchLabels": {manifests.NAME: "postgres"}}
    (leave,) = policies["move-votes"]["egress"]
    assert (policies["move-votes"]["podSelector"], leave["to"]) == (ours, [{"podSelector": theirs}])
    (enter,) = policies["move-votes-to-postgres"]["ingress"]
    assert (policies["move-votes-to-postgres"]["podSelector"], enter["from"]) == (theirs, [{"podSelector": ours}])
    assert leave["ports"] == enter["ports"] == [{"port": 5432}]


@pytest.fixture
def moving(job, tmp_path, cluster):
    """The Job's command and environment, its volumes in a folder of the test."""
    (container,) = job.containers
    settings = StoreSettings(folder=tmp_path / "store", secret=secrets.token_hex(32))
    (tmp_path / "secret").write_text(settings.secret.get_secret_value())
    url = cluster.fresh_url()
    (tmp_path / "database-url").write_text(url)
    places = {"/var/lib/feedback": settings.folder, "/etc/orrery/feedback/": f"{tmp_path}/"}
    variables = environment(container)
    for inside, outside in places.items():
        variables = {name: value.replace(inside, str(outside)) for name, value in variables.items()}

    def run(**more):
        command = [sys.executable, "-m", "gateway", *container["args"]]
        given = {"PATH": os.environ["PATH"], **variables, **more}
        return subprocess.run(
            command, env=given, cwd=manifests.PROJECT_ROOT, capture_output=True, text=True, check=False
        )

    return settings, url, run


@postgres.NEEDED
def test_the_job_waits_for_postgres_and_takes_the_votes_along(moving, cluster):
    settings, url, run = moving
    with Store(settings) as store:
        store.open()
        for _ in range(3):
            keep(store, by=token())
    cluster.stop()
    starting = threading.Timer(3.0, cluster.start)
    starting.start()
    done = run()
    starting.join()
    assert done.returncode == 0, done.stderr
    assert "does not answer yet" in done.stderr
    assert "votes 3" in done.stdout
    assert cluster.sql("SELECT count(*) FROM votes", url.partition("@/")[2].partition("?")[0]).strip() == "3"
    # A second try, after a node was lost, changes nothing and says why.
    again = run()
    assert again.returncode != 0
    assert "it must be empty" in again.stderr


@postgres.NEEDED
def test_a_command_waits_no_longer_than_it_is_told(moving, cluster):
    settings, _, run = moving
    with Store(settings) as store:
        store.open()
    cluster.stop()
    try:
        done = run(ORRERY_FEEDBACK_DATABASE_WAIT_S="2")
        assert done.returncode != 0
        assert "StoreUnavailable" in done.stderr
    finally:
        cluster.start()

# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/operations.md, followed literally: its commands run in a shell, as far as they can without a cluster.

The shell finds kubectl, make, kind and curl behind a script that notes what they are called with. kubectl is the real
one: it looks at its arguments, then finds no server. make says what it would do. kind and curl are noted alone.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from gateway.delivery.signature import check_signature, load_key
from tests import postgres
from tests.k8s import manifests
from tests.k8s.manifests import PROJECT_ROOT, workloads

GUIDE = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NOTING = """#!{python}
import json, subprocess, sys
real, name = {real!r}, {name!r}
run = subprocess.run([*real, *sys.argv[1:]], capture_output=True, text=True) if real else None
note = [name, sys.argv[1:], run.returncode if run else 0, run.stderr if run else ""]
with open({notes!r}, "a") as file:
    file.write(json.dumps(note) + "\\n")
"""
# What kubectl says when all else was right. Port 9 of loopback is discard's: nobody listens.
SERVER = "--server=http://127.0.0.1:9"
BASH = "/bin/bash"
REFUSED = "127.0.0.1:9"
KINDS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "service": "Service",
    "serviceaccount": "ServiceAccount",
    "networkpolicy": "NetworkPolicy",
    "job": "Job",
}


def sections():
    """By heading: its commands, where it has any."""
    found = {}
    for part in re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"```console\n(.*?)```", part, re.DOTALL)
        lines = "".join(blocks).replace("\\\n", " ").splitlines()
        assert all(line.startswith("$ ") for line in lines), lines
        if lines:
            found[part.splitlines()[0]] = [line.removeprefix("$ ") for line in lines]
    return found


SECTIONS = sections()


@pytest.fixture(scope="module")
def everything(rendered):
    """All objects that the guide may speak of."""
    jobs = manifests.render(manifests.K8S / "jobs" / "move-votes")
    return [document for documents in (*rendered.values(), jobs) for document in documents]


@pytest.fixture
def follow(rendered, tmp_path):
    """Runs lines in one shell, in a copy of the project's layout: (name, arguments, code, stderr) of each call."""
    place, stubs, notes = (tmp_path / name for name in ("project", "bin", "notes"))
    place.mkdir()
    stubs.mkdir()
    for path in PROJECT_ROOT.iterdir():
        if not path.name.startswith(".") or path.name == ".tools":
            (place / path.name).symlink_to(path)
    for name in re.findall(r"< (\S+)", GUIDE):
        (place / name).touch()
    kubectl, make = [manifests.kubectl(), SERVER], [shutil.which("make"), "--dry-run"]
    for name, real in {"kubectl": kubectl, "make": make, "kind": None, "curl": None}.items():
        stub = stubs / name
        stub.write_text(NOTING.format(python=sys.executable, real=real, name=name, notes=str(notes)))
        stub.chmod(0o755)

    def run(lines):
        environment = {"PATH": f"{stubs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        script = "\n".join([*lines, "wait"])
        subprocess.run([BASH, "-uc", script], cwd=place, env=environment, check=True, timeout=300)
        return [json.loads(line) for line in notes.read_text().splitlines()]

    return run


def test_every_command_is_one_that_this_test_knows():
    """Else it would run as it is."""
    known = ("kubectl ", "make ", "kind ", "curl ", "for role in ", "password=$(openssl ")
    assert [line for lines in SECTIONS.values() for line in lines if not line.startswith(known)] == []


def test_the_guide_says_of_each_section_whether_it_has_run_on_a_cluster():
    table = GUIDE[GUIDE.index("## What has run where") :].split("\n## ")[0]
    assert set(re.findall(r"^\| ([^|]+) \| (?:yes|no)", table, re.MULTILINE)) == set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_runs(follow, everything, section):
    calls = follow(SECTIONS[section])
    assert calls
    for name, arguments, code, stderr in calls:
        if name == "kubectl":
            # Wrong flags and arguments are refused before it connects.
            assert REFUSED in stderr, (arguments, stderr)
            check_objects(arguments, everything)
        assert name == "kubectl" or code == 0, (name, arguments, stderr)


def check_objects(arguments, everything):
    """What a command names is in some overlay, and what it applies is there."""
    names = {(document["kind"], document["metadata"]["name"]) for document in everything}
    text = " ".join(arguments)
    for flag, path in re.findall(r"(?:^| )apply (-[kf]) (\S+)", text):
        folder = PROJECT_ROOT / path
        assert manifests.render(folder) if flag == "-k" else list(yaml.safe_load_all(folder.read_text()))
        return
    assert "--namespace orrery" in text
    for kind, name in re.findall(rf"\b({'|'.join(KINDS)})/([\w-]+)", text):
        assert (KINDS[kind], name) in names, text
    for kinds, name in re.findall(r" delete ([a-z,]+) ([\w-]+)", text):
        for kind in kinds.split(","):
            assert kind == "persistentvolumeclaim" or (KINDS[kind], name) in names, text


def line_with(words):
    (line,) = (line for lines in SECTIONS.values() for line in lines if words in line)
    return line


def run_with_kubectl(script, tmp_path):
    """A line of the guide with a kubectl that needs no server."""
    environment = {"PATH": f"{Path(manifests.kubectl()).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [BASH, "-uc", script], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_secret_that_is_made_and_patched_has_what_pods_read(rendered, tmp_path):
    made = run_with_kubectl(f"{line_with('create secret')} --dry-run=client --output=json", tmp_path)
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("feedback", "orrery")
    assert len(base64.b64decode(made["data"]["secret"])) == 64
    (tmp_path / "secret.json").write_text(json.dumps(made))
    patch = line_with("patch secret").replace("secret feedback", "--filename=secret.json --local --output=json")
    patched = run_with_kubectl(f"{line_with('password=')}\n{patch}", tmp_path)
    assert patched["data"] == made["data"]
    url = make_url(patched["stringData"]["database-url"])
    assert (url.username, url.password, url.host, url.database) == (
        "feedback",
        patched["stringData"]["password"],
        "postgres",
        "feedback",
    )
    server = next(w.servers[0] for w in workloads(rendered["retraining"]) if w.name == "StatefulSet/postgres")
    stated = {entry["name"]: entry.get("value") for entry in server["env"]}
    assert (stated["POSTGRES_USER"], stated["POSTGRES_DB"]) == (url.username, url.database)


def test_images_that_are_loaded_are_those_of_the_overlay(follow, rendered):
    calls = follow([line_with("kind load")])
    loaded = {arguments[-1] for name, arguments, *_ in calls if name == "kind"}
    used = {c["image"] for workload in workloads(rendered["kind"]) for c in workload.containers}
    assert loaded == {image for image in used if image.startswith("localhost/")}


def test_what_is_asked_is_in_the_contract():
    line = line_with("curl ")
    path, example = re.search(r"127\.0\.0\.1:8080(\S+)", line)[1], re.search(r"@(\S+)", line)[1]
    contract = json.loads((PROJECT_ROOT / "docs" / "openapi.json").read_text())
    assert "post" in contract["paths"][path]
    assert json.loads((PROJECT_ROOT / example).read_text())


def commands_in_sentences():
    prose = re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)
    found = {" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)}
    tools = ("kubectl", "kustomize", "make", "openssl", "minikube", "buildah", "kind", "python")
    return {code for code in found if code.partition(" ")[0] in tools and " " in code}


# Tools that are not here, and the beginnings of what is written out elsewhere.
NOT_RUN = {
    "buildah push localhost/orrery/front:0.1.0 docker-archive:front.tar:localhost/orrery/front:0.1.0",
    "kind load image-archive front.tar",
    "kubectl apply",
    "kubectl apply -k",
    "kustomize edit set image orrery/front=REGISTRY/orrery/front@sha256:…",
    "minikube image load localhost/orrery/front:0.1.0",
    "minikube start --cni=calico",
    "openssl pkeyutl -sign -rawin -inkey KEY -in SHA256SUMS -out SHA256SUMS.sig",
    "python -m gateway settings",
}


def test_commands_in_sentences_run(follow):
    lines = sorted(line for line in commands_in_sentences() - NOT_RUN if line.startswith(("kubectl ", "make ")))
    assert set(lines) | NOT_RUN == commands_in_sentences()
    for name, arguments, code, stderr in follow([line.replace("NAME", "front") for line in lines]):
        assert REFUSED in stderr if name == "kubectl" else code == 0, (name, arguments, stderr)


def test_a_signature_made_as_the_guide_says_is_good(tmp_path):
    (line,) = (line for line in commands_in_sentences() if line.startswith("openssl "))
    (tmp_path / "SHA256SUMS").write_text("sums")
    keys = ["openssl genpkey -algorithm ed25519 -out KEY", "openssl pkey -in KEY -pubout -out public-key.pem"]
    subprocess.run([BASH, "-ec", "\n".join([*keys, line])], cwd=tmp_path, check=True, timeout=60)
    key = load_key(tmp_path / "public-key.pem")
    check_signature(key, b"sums", (tmp_path / "SHA256SUMS.sig").read_bytes(), "a version")


def test_votes_are_moved_before_the_stateful_set_goes():
    """Each step needs the one before: nobody writes, then the copy, then the set, whose volume stays."""
    lines = SECTIONS["From SQLite to PostgreSQL"]
    order = ["patch secret", "--replicas=0", "--for=delete", "k8s/jobs/move-votes", "Complete", "delete statefulset"]
    order += ["k8s/overlays/"]
    places = [next(i for i, line in enumerate(lines) if words in line) for words in order]
    assert places == sorted(places)
    deleted = [i for i, line in enumerate(lines) if "delete persistentvolumeclaim" in line]
    assert all(place > places[-1] for place in deleted)


@postgres.NEEDED
def test_a_dump_is_restored_over_what_is_there(cluster, tmp_path):
    """With the very options of the guide."""
    options = re.search(r"pg_restore (.*) <", line_with("pg_restore"))[1]
    database = cluster.fresh_url().partition("@/")[2].partition("?")[0]
    cluster.sql("CREATE TABLE vote (answer text); INSERT INTO vote VALUES ('yes')", database)
    where = ["-h", str(cluster.folder), "-U", "postgres"]
    dump = tmp_path / "feedback.dump"
    subprocess.run(
        [postgres.binary("pg_dump"), *where, "--format=custom", f"--file={dump}", database], check=True, timeout=60
    )
    cluster.sql("UPDATE vote SET answer = 'no'; CREATE TABLE later (x int)", database)
    given = options.replace("--username feedback", "--username postgres").replace(
        "--dbname feedback", f"--dbname {database}"
    )
    with dump.open("rb") as file:
        subprocess.run(
            [postgres.binary("pg_restore"), "-h", str(cluster.folder), *given.split()],
            stdin=file,
            check=True,
            timeout=60,
        )
    assert cluster.sql("SELECT answer FROM vote", database).strip() == "yes"

# SPDX-License-Identifier: GPL-3.0-or-later
"""Models come whole, in time, from whom they should, or not at all."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from gateway.delivery.carrier import KEEP_VERSIONS, MAX_FILE_BYTES, REFUSED, Carrier
from gateway.delivery.published import SourceUnavailable
from gateway.delivery.settings import DeliverySettings
from tests.pods import PROJECT_ROOT, free_address
from tests.unit.delivery import bucket

MODEL = "neo_anomaly"


def publish(root, version, files=None, model=MODEL):
    folder = root / model / str(version)
    folder.mkdir(parents=True)
    draw = random.Random(version)  # noqa: S311  # bytes of a model, nothing secret
    content = files or {
        "forest.onnx": draw.randbytes(300_000),
        "variables/data": draw.randbytes(100),
        "manifest.json": b"{}",
    }
    for name, body in content.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(body)
    sums = (f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in sorted(content.items()))
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


@pytest.fixture
def places(tmp_path):
    source, store = tmp_path / "published", tmp_path / "models"
    source.mkdir()
    store.mkdir()
    return source, store


def carrier(places, *, keep_versions=KEEP_VERSIONS, max_file_bytes=MAX_FILE_BYTES, **settings):
    source, store = places
    chosen = DeliverySettings(**{"source": str(source), "models": (MODEL,), "model_store": store, **settings})
    return Carrier(chosen, keep_versions=keep_versions, max_file_bytes=max_file_bytes)


def delivered(store, model=MODEL):
    return sorted(int(entry.name) for entry in (store / model).iterdir())


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_newest_versions_come_whole_and_old_ones_go(places):
    source, store = places
    for version in range(1, 6):
        publish(source, version)
    carrying = carrier(places, keep_versions=2)
    carrying.look()
    assert delivered(store) == [4, 5]
    assert files_of(store / MODEL / "5") == files_of(source / MODEL / "5")
    publish(source, 6)
    carrying.look()
    assert delivered(store) == [5, 6]
    assert carrying.missing() == []


def test_a_version_that_was_called_back_goes_and_an_empty_source_removes_nothing(places):
    source, store = places
    for version in (1, 2):
        publish(source, version)
    carrying = carrier(places)
    carrying.look()
    (source / MODEL / "2").rename(source / "retired")
    carrying.look()
    assert delivered(store) == [1]
    shutil.rmtree(source / MODEL)
    carrying.look()
    assert delivered(store) == [1]


def damage_content(folder):
    (folder / "forest.onnx").write_bytes(b"another")


def damage_absence(folder):
    (folder / "variables" / "data").unlink()


def damage_no_sums(folder):
    (folder / "SHA256SUMS").unlink()


def damage_binary_sums(folder):
    (folder / "SHA256SUMS").write_bytes(b"\xff\xfe")


def damage_escape(folder):
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../../../escaped\n")


def damage_absolute(folder):
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  /etc/hostname\n")


@pytest.mark.parametrize(
    "damage",
    [damage_content, damage_absence, damage_no_sums, damage_binary_sums, damage_escape, damage_absolute],
)
def test_a_damaged_version_is_refused_once_and_the_one_before_stays(places, damage):
    source, store = places
    publish(source, 1)
    damage(publish(source, 2))
    before = REFUSED.labels(MODEL)._value.get()
    carrying = carrier(places)
    carrying.look()
    carrying.look()
    assert delivered(store) == [1]
    assert REFUSED.labels(MODEL)._value.get() == before + 1
    assert {entry.name for entry in store.rglob("*")}.isdisjoint({"escaped", "hostname"})
    # It was still on its way.
    shutil.rmtree(source / MODEL / "2")
    publish(source, 2)
    carrying.look()
    assert delivered(store) == [1, 2]


def test_a_file_larger_than_allowed_is_refused(places):
    source, store = places
    publish(source, 1, {"large": bytes(1024 * 1024 + 1)})
    carrier(places, max_file_bytes=1024 * 1024).look()
    assert delivered(store) == []


def test_only_the_key_that_is_trusted_may_publish(places, tmp_path):
    source, store = places

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)  # noqa: S607  # from the path

    for name in ("ours", "theirs"):
        openssl("genpkey", "-algorithm", "ed25519", "-out", tmp_path / name)
    openssl("pkey", "-in", tmp_path / "ours", "-pubout", "-out", tmp_path / "ours.pub")
    for version, key in ((1, "ours"), (2, "theirs"), (3, None)):
        sums = publish(source, version) / "SHA256SUMS"
        if key:
            openssl("pkeyutl", "-sign", "-rawin", "-inkey", tmp_path / key, "-in", sums, "-out", f"{sums}.sig")
    carrier(places, public_key_file=tmp_path / "ours.pub").look()
    assert delivered(store) == [1]
    with pytest.raises(ValueError, match="PEM"):
        carrier(places, public_key_file=source / MODEL / "1" / "SHA256SUMS")


def test_what_a_killed_carrier_left_is_swept(places):
    source, store = places
    publish(source, 1)
    (store / MODEL / ".staging-x" / "1").mkdir(parents=True)
    carrier(places).look()
    assert delivered(store) == [1]


def test_from_a_bucket(places, monkeypatch):
    source, store = places
    publish(source / "published", 1)
    publish(source / "published", 2)
    with bucket.serving(source) as endpoint:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "something",
        }.items():
            monkeypatch.setenv(name, value)
        carrier(places, source="s3://models/published").look()
        assert delivered(store) == [1, 2]
        assert files_of(store / MODEL / "2") == files_of(source / "published" / MODEL / "2")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        with pytest.raises(SourceUnavailable):
            carrier(places, source="s3://models/published").look()


@pytest.mark.parametrize("source", ["/nowhere/at/all", "ftp://host/x", "::"])
def test_a_source_that_is_none_says_so(places, source):
    with pytest.raises(SourceUnavailable):
        carrier(places, source=source)


def command(places, *arguments, **environment):
    source, store = places
    settings = {
        **os.environ,
        "ORRERY_DELIVERY_SOURCE": str(source),
        "ORRERY_DELIVERY_MODELS": f"{MODEL}, neo_classifier",
        "ORRERY_MODEL_STORE": str(store),
        **environment,
    }
    return [sys.executable, "-m", "gateway", "deliver", *arguments], {"env": settings, "cwd": PROJECT_ROOT}


def test_once_fails_where_a_model_has_no_version(places):
    publish(places[0], 1)
    arguments, how = command(places)
    run = subprocess.run(arguments, **how, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert '"models": ["neo_classifier"]' in run.stderr
    publish(places[0], 1, model="neo_classifier")
    assert subprocess.run(arguments, **how, capture_output=True, check=False).returncode == 0
    assert delivered(places[1], "neo_classifier") == [1]


def test_a_follower_brings_what_comes_later_shows_it_and_stops_when_told(places):
    publish(places[0], 1)
    address = free_address()
    arguments, how = command(places, "--follow", ORRERY_DELIVERY_EVERY_S="0.1", ORRERY_DELIVERY_METRICS_ADDRESS=address)
    with subprocess.Popen(arguments, **how, stderr=subprocess.DEVNULL) as process:
        try:
            for version in (1, 2):
                until = time.monotonic() + 20
                while not (places[1] / MODEL / str(version)).exists():
                    assert time.monotonic() < until
                    time.sleep(0.05)
                if version == 1:
                    publish(places[0], 2)
            time.sleep(0.3)
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as reply:
                assert f'orrery_delivery_version{{model="{MODEL}"}} 2.0' in reply.read().decode()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()

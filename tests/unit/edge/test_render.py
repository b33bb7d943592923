# SPDX-License-Identifier: GPL-3.0-or-later
"""What is rendered is what Envoy accepts, for a laptop, for a cluster, and with every option."""

import json
import subprocess

import pytest

from gateway.edge.app import _program
from gateway.edge.certificates import require_usable
from gateway.edge.render import PAGES, render
from gateway.edge.settings import EdgeSettings
from gateway.serving.tls import UnsafeSettings
from tests.certificates import Authority
from tests.unit.edge.keys import jwks_of, new_key

HEADLESS = {"address": "0.0.0.0:8080", "metrics_address": "0.0.0.0:9108", "front_addresses": "front:50051"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths for the settings that need files."""
    folder = tmp_path_factory.mktemp("files")
    certificate, key, ca = Authority().write(folder, "edge")
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(jwks_of(new_key())))
    return {"certificate": certificate, "key": key, "ca": ca, "jwks": jwks}


def validated(settings, folder):
    config = render(settings, folder)
    command = [_program(settings), "--mode", "validate", "--config-path", config, "--log-level", "error"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 0, said.stdout + said.stderr
    return config.read_text(encoding="utf-8")


def test_a_laptops(tmp_path):
    text = validated(EdgeSettings(), tmp_path)
    assert "type: STATIC" in text
    assert "STRICT_DNS" not in text


def test_a_clusters(tmp_path):
    text = validated(EdgeSettings(**HEADLESS, plaintext_allowed=True), tmp_path)
    assert "type: STRICT_DNS" in text


def test_every_option(files, tmp_path):
    settings = EdgeSettings(
        **HEADLESS | {"front_addresses": "front-a:50051, 127.0.0.1:50061"},
        tls_certificate_file=files["certificate"],
        tls_key_file=files["key"],
        client_ca_file=files["ca"],
        front_ca_file=files["ca"],
        front_certificate_file=files["certificate"],
        front_key_file=files["key"],
        jwt_jwks_file=files["jwks"],
        jwt_issuer="https://issuer.example.org",
        jwt_audience='orrery "inference"',
        cors_origins="https://a.example.org, *",
        requests_per_s=50,
        ratelimit_address="ratelimit:8081",
    )
    text = validated(settings, tmp_path)
    for part in (
        "require_client_certificate",
        "jwt_authn",
        "local_ratelimit",
        "cluster_name: ratelimit",
        "match_typed",
    ):
        assert part in text


def test_it_can_run_somewhere_else(tmp_path):
    config = render(EdgeSettings(), tmp_path, seen_at="/etc/envoy")
    text = config.read_text(encoding="utf-8")
    assert "/etc/envoy/protos.binpb" in text
    assert str(tmp_path) not in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "envoy.yaml", "edge.lua", "body.lua", "stream.lua", "protos.binpb", *(page.file for page in PAGES)
    }  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {"address": "0.0.0.0:8080"},
        {"tls_certificate_file": "a.pem"},
        {"tls_key_file": "a.key"},
        {"client_ca_file": "ca.pem"},
        {"front_ca_file": "ca.pem", "front_certificate_file": "edge.pem"},
        {"front_certificate_file": "edge.pem", "front_key_file": "edge.key"},
    ],
    ids=str,
)
def test_it_is_not_opened_unprotected(settings, tmp_path):
    with pytest.raises(UnsafeSettings, match="ORRERY_EDGE_"):
        render(EdgeSettings(**settings), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tls_key_file": "jwks"}, "edge.pem and .*jwks.json must be a certificate and its key, in PEM"),
        ({"tls_key_file": "another"}, "must be a certificate and its key"),
        ({"front_ca_file": "jwks"}, "jwks.json must hold certificates in PEM$"),
    ],
    ids=str,
)
def test_certificates_that_cannot_be_used_are_named_before_envoy_starts(files, tmp_path, changes, sentence):
    named = {**files, "another": Authority().write(tmp_path, "another")[1]}
    settings = {
        "tls_certificate_file": files["certificate"],
        "tls_key_file": files["key"],
        **{setting: named[file] for setting, file in changes.items()},
    }
    with pytest.raises(UnsafeSettings, match=sentence):
        require_usable(EdgeSettings(**settings))

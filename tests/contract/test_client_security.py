# SPDX-License-Identifier: GPL-3.0-or-later
"""The client and TLS, certificates and tokens, against running fronts; and a whole system that has them."""

import hashlib
import re
import secrets
import subprocess
import sys

import grpc
import pytest

from gateway import up
from gateway.up.command import what_to_try
from orrery.inference import AsyncInferenceClient, InferenceClient, InferenceError, Tls, UnsafeTokenError
from tests.certificates import Authority
from tests.edges import JSON, ask, example
from tests.objects import eros
from tests.pods import PROJECT_ROOT, free_settings, running_front

TOKEN = secrets.token_hex(32)
CALLERS = f"alice reader sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"

# What a front says to who is let in, of an object that cannot be; it needs no backend for it.
LET_IN = "INVALID_FIELD"


async def reason(address, **options):
    """Why an asyncio client gets no prediction."""
    impossible = eros()
    impossible.elements.eccentricity = -1.0
    async with AsyncInferenceClient(address, **options) as client:
        with pytest.raises(InferenceError) as refusal:
            await client.predict([impossible])
    return refusal.value.reason or refusal.value.code.name


async def test_a_token_is_sent_in_plaintext_on_this_machine_only():
    async with running_front(callers=CALLERS) as pod:
        assert await reason(pod.address, token=TOKEN) == LET_IN
        assert await reason(pod.address) == "UNAUTHENTICATED"
        assert await reason(pod.address, token=lambda: TOKEN) == LET_IN
    for kind in (InferenceClient, AsyncInferenceClient):
        with pytest.raises(UnsafeTokenError, match="plaintext") as error:
            kind("front.example.org:50051", token=TOKEN)
        assert TOKEN not in str(error.value)


async def test_a_token_to_this_machine_goes_to_no_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with running_front(callers=CALLERS) as pod:
        assert await reason(pod.address, token=TOKEN) == LET_IN


async def test_tls_mutual_tls_and_tokens(tmp_path):
    authority = Authority()
    certificate, key, ca = authority.write(tmp_path, "front")
    mine, my_key, _ = authority.write(tmp_path, "alice")
    settings = {"tls_certificate_file": certificate, "tls_key_file": key}
    one_sided, mutual = Tls.from_files(ca), Tls.from_files(ca, mine, my_key)
    async with running_front(**settings, callers=CALLERS) as pod:
        assert await reason(pod.address, tls=one_sided, token=TOKEN) == LET_IN
        assert await reason(pod.address, tls=one_sided, token=TOKEN[:-1]) == "UNAUTHENTICATED"
        assert await reason(pod.address, tls=Tls(ca=Authority().pem), token=TOKEN) == "UNAVAILABLE"
        assert await reason(pod.address, token=TOKEN) == "UNAVAILABLE"
    async with running_front(**settings, client_ca_file=ca) as pod:
        assert await reason(pod.address, tls=mutual) == LET_IN
        assert await reason(pod.address, tls=one_sided) == "UNAVAILABLE"


async def test_a_certificate_of_another_name(tmp_path):
    authority = Authority()
    certificate, key, ca = authority.write(tmp_path, "front", alternative_name="front.test")
    async with running_front(tls_certificate_file=certificate, tls_key_file=key) as pod:
        assert await reason(pod.address, tls=Tls.from_files(ca)) == "UNAVAILABLE"
        assert await reason(pod.address, tls=Tls.from_files(ca, server_name="front.test")) == LET_IN


def test_keys_and_tokens_are_not_shown():
    assert "secret" not in repr(Tls(certificate=b"shown", key=b"secret"))
    with pytest.raises(ValueError, match="go together"):
        Tls(certificate=b"alone")
    broken = "two\nlines"
    with InferenceClient(token=broken) as client, pytest.raises(ValueError, match="printable") as error:
        client.predict([eros()])
    assert "lines" not in str(error.value)


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A whole system with mutual TLS and tokens, its addresses, and a folder with a caller's certificate and token."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority()
    certificate, key, ca = authority.write(folder, "pod")
    authority.write(folder, "me")
    (folder / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    addresses, environment = free_settings(folder / "feedback")
    for pod in ("FRONT", "ANOMALY", "SIMULATION", "FEEDBACK"):
        environment |= {
            f"ORRERY_{pod}_TLS_CERTIFICATE_FILE": str(certificate),
            f"ORRERY_{pod}_TLS_KEY_FILE": str(key),
            f"ORRERY_{pod}_CLIENT_CA_FILE": str(ca),
        }
    environment |= {
        "ORRERY_BACKEND_CA_FILE": str(ca),
        "ORRERY_BACKEND_CERTIFICATE_FILE": str(certificate),
        "ORRERY_BACKEND_KEY_FILE": str(key),
        "ORRERY_FRONT_CALLERS": CALLERS,
    }
    with up.running_pods(folder / "log", environment) as system:
        yield system, addresses, folder


def test_a_whole_system_with_mutual_tls_and_tokens(secured):
    system, addresses, folder = secured
    assert "client/README.md" in "\n".join(what_to_try(system.plan))
    tls = Tls.from_files(*(folder / name for name in ("ca.pem", "me.pem", "me.key")))
    with InferenceClient(addresses["front"], tls=tls, token=TOKEN) as client:
        assert client.predict([eros()]).predictions
        assert client.score_anomalies([eros()]).scores
        assert client.compute_moid([eros()]).objects
    with InferenceClient(addresses["front"], tls=tls) as nobody, pytest.raises(InferenceError) as refusal:
        nobody.predict([eros()])
    unknown = ask(addresses["edge"], "/api/predict", example("Predict"))
    known = ask(
        addresses["edge"], "/api/predict", example("Predict"), headers=JSON | {"authorization": f"Bearer {TOKEN}"}
    )
    assert (unknown.status, known.status) == (401, 200)
    assert refusal.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_the_readmes_example_prints_what_it_shows(secured):
    _, addresses, folder = secured
    readme = (PROJECT_ROOT / "client" / "README.md").read_text(encoding="utf-8")
    code, output = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", readme[readme.index("## TLS") :], re.DOTALL)[
        0
    ]
    assert "127.0.0.1:50051" in code
    command = [sys.executable, "-c", code.replace("127.0.0.1:50051", addresses["front"])]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr, said.returncode) == (output, "", 0)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the edge asks of callers by its settings: certificates, tokens, and not too much at once."""

import asyncio
import concurrent.futures
import contextlib
import hashlib
import json
import re
import secrets
import ssl
import time

import grpc
import pytest

from gateway import up
from orrery.inference import InferenceClient, Tls, v1
from tests.certificates import Authority
from tests.edges import JSON, ask, client_tls, example, problem_of, running_edge
from tests.objects import eros
from tests.pods import PROJECT_ROOT, free_address, free_settings, running_front
from tests.unit.edge.keys import jwks_of, new_key, token

EROS = example("Predict")
SECURITY = (PROJECT_ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ISSUER = {"iss": "https://issuer.example.org", "aud": "orrery"}
SECRET = secrets.token_hex(32)


def bearing(text):
    return {**JSON, "authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def key():
    return new_key()


@pytest.fixture(scope="module")
def guarded(stack, key, tmp_path_factory):
    """An edge that asks for JSON Web Tokens."""
    folder = tmp_path_factory.mktemp("jwt")
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(jwks_of(key)))
    named = {"jwt_issuer": ISSUER["iss"], "jwt_audience": ISSUER["aud"]}
    with running_edge(folder, [stack["front"]], jwt_jwks_file=jwks, **named) as edge:
        yield edge


def claims(**changes):
    return {**ISSUER, "sub": "someone", "exp": int(time.time()) + 300, **changes}


def test_a_token_opens_the_edge_and_is_in_no_log(guarded, key):
    good = token(key, **claims())
    reply = ask(guarded.address, "/api/predict", EROS, headers=bearing(good))
    assert reply.status == 200
    assert good.split(".")[2] not in guarded.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "headers_of",
    [
        lambda _: JSON,
        lambda _: bearing("nonsense"),
        lambda _: bearing(token(new_key(), **claims())),
        lambda key: bearing(token(key, **claims(exp=int(time.time()) - 3600))),
        lambda key: bearing(token(key, **claims(iss="https://other.example.org"))),
        lambda key: bearing(token(key, **{k: v for k, v in claims().items() if k != "exp"})),
    ],
    ids=["none", "nonsense", "another key", "expired", "another issuer", "for ever"],
)
def test_without_a_good_token_nobody_is_let_in(guarded, key, headers_of):
    reply = ask(guarded.address, "/api/predict", EROS, headers=headers_of(key))
    problem = problem_of(reply)
    assert (problem["status"], problem["reason"]) == (401, "UNAUTHENTICATED")
    assert reply.headers["www-authenticate"] == "Bearer"


def test_a_token_for_others_is_not_for_us(guarded, key):
    problem = problem_of(ask(guarded.address, "/api/predict", EROS, headers=bearing(token(key, **claims(aud="x")))))
    assert problem["reason"] in {"PERMISSION_DENIED", "UNAUTHENTICATED"}


def test_a_body_is_not_read_before_its_sender_is_known(guarded):
    assert problem_of(ask(guarded.address, "/api/predict", b"nonsense"))["reason"] == "UNAUTHENTICATED"


def test_grpc_callers_are_asked_too(guarded, key):
    with grpc.insecure_channel(guarded.address) as channel:
        predict = v1.PredictionServiceStub(channel).Predict
        with pytest.raises(grpc.RpcError) as refusal:
            predict(v1.PredictRequest(objects=[eros()]), timeout=20)
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
        metadata = (("authorization", f"Bearer {token(key, **claims())}"),)
        assert predict(v1.PredictRequest(objects=[eros()]), timeout=20, metadata=metadata).predictions


@pytest.mark.parametrize("path", ["/health", "/api/openapi.json", "/api/docs/"])
def test_the_reference_and_the_health_are_open(guarded, path):
    assert ask(guarded.address, path).status == 200


@pytest.fixture(scope="module")
def mutual(stack, tmp_path_factory):
    """An edge with TLS that lets in who has a certificate, that authority, and its files."""
    folder = tmp_path_factory.mktemp("mtls")
    authority = Authority()
    certificate, private, ca = authority.write(folder, "edge")
    files = {"tls_certificate_file": certificate, "tls_key_file": private, "client_ca_file": ca}
    with running_edge(folder, [stack["front"]], **files) as edge:
        yield edge, authority, folder


def test_a_certificate_opens_the_edge(mutual):
    edge, authority, folder = mutual
    certificate, private, ca = authority.write(folder / "caller", "caller")
    assert ask(edge.address, "/api/predict", EROS, tls=client_tls(ca, certificate, private)).status == 200
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), private.read_bytes(), certificate.read_bytes())
    with grpc.secure_channel(edge.address, credentials) as channel:
        assert v1.PredictionServiceStub(channel).Predict(v1.PredictRequest(objects=[eros()]), timeout=20).predictions


@pytest.mark.parametrize("theirs", [None, "another authority's"])
def test_without_a_certificate_of_ours_there_is_no_connection(mutual, tmp_path, theirs):
    edge, _, folder = mutual
    pair = [] if theirs is None else Authority().write(tmp_path, "stranger")[:2]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(edge.address, "/api/predict", EROS, tls=client_tls(folder / "ca.pem", *pair))


def test_plaintext_is_not_understood_where_there_is_tls(mutual):
    edge, _, _ = mutual
    with pytest.raises((ConnectionError, OSError)):
        ask(edge.address, "/api/predict", EROS)


def replace(written, by):
    """Put files in the place of others at once, as Kubernetes and certbot do."""
    for old, new in zip(written, by, strict=True):
        new.replace(old)


def until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_trusted(edge, ca):
    try:
        return ask(edge.address, "/health", tls=client_tls(ca)).status == 200
    except ssl.SSLError:
        return False


def test_a_renewed_certificate_is_shown_without_a_restart(stack, tmp_path):
    files = Authority().write(tmp_path / "now", "edge")
    another = Authority()
    renewed = another.write(tmp_path / "next", "edge")
    (tmp_path / "new.pem").write_bytes(another.pem)
    named = {"tls_certificate_file": files[0], "tls_key_file": files[1]}
    with running_edge(tmp_path / "edge", [stack["front"]], **named) as edge:
        assert is_trusted(edge, files[2])
        assert not is_trusted(edge, tmp_path / "new.pem")
        replace(files[:2], renewed[:2])
        until(lambda: is_trusted(edge, tmp_path / "new.pem"))


async def test_a_front_of_another_authority_is_trusted_once_its_certificates_are_there(tmp_path):
    files = Authority().write(tmp_path / "now", "front", alternative_name="front")
    renewed = Authority().write(tmp_path / "next", "front", alternative_name="front")
    address = free_address()
    asking = {"tls_certificate_file": files[0], "tls_key_file": files[1], "client_ca_file": files[2]}
    shown = {"front_ca_file": files[2], "front_certificate_file": files[0], "front_key_file": files[1]}
    async with running_front(address=address, **asking):
        edge_running = await _off_loop(running_edge, tmp_path / "edge", [address], **shown)
    with edge_running as edge:
        await _call(until, lambda: edge.healthy_fronts() == 0)
        replace(files, renewed)
        async with running_front(address=address, **asking):
            await _call(until, lambda: edge.healthy_fronts() == 1)
            problem = problem_of(await _call(ask, edge.address, "/api/predict", {"objects": []}))
    assert [error["field"] for error in problem["errors"]] == ["objects"]


async def test_the_way_to_a_front_can_be_tls_with_certificates(tmp_path):
    authority = Authority()
    certificate, private, ca = authority.write(tmp_path / "front", "front", alternative_name="front")
    mine = authority.write(tmp_path / "edge", "edge")
    files = {"tls_certificate_file": certificate, "tls_key_file": private, "client_ca_file": ca}
    async with running_front(**files) as front:
        named = {"front_ca_file": ca, "front_certificate_file": mine[0], "front_key_file": mine[1]}
        with await _off_loop(running_edge, tmp_path / "edge", [front.address], **named) as edge:
            problem = problem_of(await _call(ask, edge.address, "/api/predict", {"objects": []}))
    assert [error["field"] for error in problem["errors"]] == ["objects"]


@pytest.mark.long
def test_rest_and_grpc_with_tls_as_the_document_shows_it(tmp_path):
    (shown,) = re.findall(r"```sh\n(export .*?)```", SECURITY, re.DOTALL)
    assert shown.endswith("python -m gateway up\n")
    settings = dict(re.findall(r"^export (ORRERY_\w+)=/etc/orrery/tls/(\S+)", shown, re.MULTILINE))
    assert set(settings.values()) == {"pod.pem", "pod.key", "ca.pem"}
    ca = Authority().write(tmp_path, "pod")[2]
    addresses, environment = free_settings(tmp_path / "feedback")
    environment |= {name: str(tmp_path / file) for name, file in settings.items()}
    with up.running_pods(tmp_path / "log", environment):
        assert ask(addresses["edge"], "/api/predict", EROS, tls=client_tls(ca)).status == 200
        assert ask(addresses["edge"], "/api/docs/", tls=client_tls(ca)).status == 200
        with InferenceClient(addresses["front"], tls=Tls.from_files(ca)) as client:
            assert client.predict([eros()]).predictions
        with pytest.raises((ConnectionError, OSError)):
            ask(addresses["edge"], "/api/predict", EROS)


@pytest.fixture(scope="module")
def limited(stack, tmp_path_factory):
    """An edge that takes ten requests at once from an address, and two a second."""
    limits = {"requests_per_s": 2, "burst_requests": 10}
    with running_edge(tmp_path_factory.mktemp("limits"), [stack["front"]], **limits) as edge:
        yield edge


def test_too_much_from_one_address_is_refused_with_a_time_to_come_back(limited):
    replies = [ask(limited.address, "/api/predict", {"objects": []}) for _ in range(30)]
    refused = [reply for reply in replies if reply.status == 429]
    assert len(refused) >= 10
    assert {problem_of(reply)["reason"] for reply in refused} == {"QUOTA_EXCEEDED"}
    wait_s = max(int(reply.headers["retry-after"]) for reply in refused)
    assert 1 <= wait_s <= 2
    with grpc.insecure_channel(limited.address) as channel:
        codes = {_code_of_nothing(channel) for _ in range(30)}
    assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes
    assert codes <= {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}
    time.sleep(wait_s)
    assert ask(limited.address, "/api/predict", EROS).status == 200


@contextlib.contextmanager
def counting(allowed):
    """A service that counts for many edges, as envoy.service.ratelimit.v3 has it; in bytes: OK is 1, OVER_LIMIT 2."""
    asked = []

    def should_rate_limit(request, _context):
        asked.append(request)
        return b"\x08\x01" if len(asked) <= allowed else b"\x08\x02"

    service = {"ShouldRateLimit": grpc.unary_unary_rpc_method_handler(should_rate_limit)}
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("envoy.service.ratelimit.v3.RateLimitService", service),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", asked
    finally:
        server.stop(None).wait()


def test_edges_share_a_limit_and_let_everybody_in_while_nobody_counts(stack, tmp_path):
    with contextlib.ExitStack() as counter:
        address, asked = counter.enter_context(counting(allowed=5))
        with running_edge(tmp_path, [stack["front"]], ratelimit_address=address) as edge:
            replies = [ask(edge.address, "/api/predict", EROS) for _ in range(12)]
            assert b"orrery-edge" in asked[0]
            assert b"127.0.0.1" in asked[0]
            refused = [reply for reply in replies if reply.status == 429]
            assert {problem_of(reply)["reason"] for reply in refused} == {"QUOTA_EXCEEDED"}
            assert len(refused) >= 12 - 5
            assert ask(edge.address, "/api/predict", EROS).status == 429
            counter.close()
            assert {ask(edge.address, "/api/predict", EROS).status for _ in range(5)} == {200}


def _code_of_nothing(channel):
    with pytest.raises(grpc.RpcError) as refusal:
        v1.PredictionServiceStub(channel).Predict(v1.PredictRequest(), timeout=20)
    return refusal.value.code()


async def test_the_fronts_quota_says_when_to_come_back(tmp_path):
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    quota = {"quota_objects_per_s": 0.5, "quota_burst_objects": 1, "callers": f"someone reader sha256:{digest}"}
    async with running_front(**quota) as front:
        with await _off_loop(running_edge, tmp_path, [front.address]) as edge:
            replies = [await _call(ask, edge.address, "/api/predict", {}, headers=bearing(SECRET)) for _ in range(3)]
            stranger = await _call(ask, edge.address, "/api/predict", {})
            unknown = await _call(ask, edge.address, "/api/simulate", example("Simulate"), headers=bearing(SECRET))
            assert SECRET not in edge.log.read_text(encoding="utf-8")
    refused = [reply for reply in replies if reply.status == 429]
    assert refused
    assert {problem_of(reply)["reason"] for reply in refused} == {"QUOTA_EXCEEDED"}
    assert all(1 <= int(reply.headers["retry-after"]) <= 3 for reply in refused)
    assert problem_of(stranger)["reason"] == "UNAUTHENTICATED"
    denied = problem_of(unknown)
    assert (denied["status"], denied["reason"], denied["metadata"]) == (403, "PERMISSION_DENIED", {"role": "simulator"})
    assert denied["detail"] == 'this method needs the role "simulator"'


async def _call(function, *args, **kwargs):
    return await asyncio.to_thread(function, *args, **kwargs)


async def _off_loop(manager, *args, **kwargs):
    """A context manager that was entered while the loop went on."""
    stack = contextlib.ExitStack()
    value = await _call(lambda: stack.enter_context(manager(*args, **kwargs)))

    @contextlib.contextmanager
    def left():
        with stack:
            yield value

    return left()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets a connection, who gets an answer: TLS, certificates, tokens and roles on running pods."""

import asyncio
import contextlib
import hashlib
import secrets

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.serving import reloading, server
from gateway.serving.roles import METHOD_ROLES, OPEN_TO_ALL
from gateway.serving.tls import UnsafeSettings
from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests.certificates import Authority
from tests.objects import eros
from tests.pods import running_anomaly, running_front

pytestmark = pytest.mark.transport

READER, SIMULATOR = secrets.token_hex(32), secrets.token_hex(32)


def line(subject, roles, token):
    return f"{subject} {roles} sha256:{hashlib.sha256(token.encode()).hexdigest()}"


LIST = f"{line('alice', 'reader', READER)};{line('bob', 'simulator', SIMULATOR)}"


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    """Files are looked at before every use."""
    monkeypatch.setattr(reloading, "LOOK_PERIOD_S", 0.0)


async def code_of(call):
    """The status of a call, and its published reason."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        refusal = InferenceError(error)
        return refusal.code.name, refusal.reason
    return "OK", ""


# What a front whose backends are away says of an empty request: the call was let in, and read.
LET_IN = ("INVALID_ARGUMENT", "INVALID_FIELD")


def predict(channel, token=None, scheme="Bearer"):
    metadata = () if token is None else (("authorization", f"{scheme} {token}"),)
    return code_of(v1.PredictionServiceStub(channel).Predict(v1.PredictRequest(), timeout=20, metadata=metadata))


def simulate(channel, token):
    metadata = (("authorization", f"Bearer {token}"),)
    return code_of(v1.SimulationServiceStub(channel).Simulate(v1.SimulateRequest(), timeout=20, metadata=metadata))


async def test_a_network_address_is_refused_before_anything_is_opened():
    with pytest.raises(UnsafeSettings, match="ORRERY_FRONT_TLS_CERTIFICATE_FILE"):
        async with running_front(address="0.0.0.0:0"):
            pass


async def test_a_network_address_opens_where_a_mesh_protects_it():
    async with (
        running_front(address="0.0.0.0:0", plaintext_allowed=True, anonymous_allowed=True) as pod,
        grpc.aio.insecure_channel(pod.address.replace("0.0.0.0", "127.0.0.1")) as channel,
    ):
        assert await predict(channel) == LET_IN


async def test_tokens_and_roles_decide():
    async with running_front(callers=LIST) as pod, grpc.aio.insecure_channel(pod.address) as channel:
        assert await predict(channel) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert await predict(channel, secrets.token_hex(32)) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert await predict(channel, READER, scheme="Basic") == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert await predict(channel, READER) == LET_IN
        assert await predict(channel, READER, scheme="bearer") == LET_IN
        assert await predict(channel, SIMULATOR) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
        assert await simulate(channel, READER) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
        assert await simulate(channel, SIMULATOR) == ("UNAVAILABLE", "BACKEND_UNAVAILABLE")


async def test_health_is_open_to_all_and_reflection_by_setting():
    question = reflection_pb2.ServerReflectionRequest(list_services="")

    async def reflect(channel, token=None):
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([question]), metadata=metadata)
        return await code_of(anext(aiter(call)))

    operator = secrets.token_hex(32)
    callers = f"{LIST};{line('carol', 'operator', operator)}"
    async with running_front(callers=callers) as pod, grpc.aio.insecure_channel(pod.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert (await check).status == health_pb2.HealthCheckResponse.SERVING
        assert await reflect(channel) == ("OK", "")
    closed = running_front(callers=callers, reflection_open=False)
    async with closed as pod, grpc.aio.insecure_channel(pod.address) as channel:
        assert await reflect(channel) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert await reflect(channel, READER) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
        assert await reflect(channel, operator) == ("OK", "")
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert (await check).status == health_pb2.HealthCheckResponse.SERVING


async def test_every_method_that_the_front_serves_has_a_role():
    async with running_front() as pod, grpc.aio.insecure_channel(pod.address) as channel:
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([question]))
        reply = await anext(aiter(call))
    pool = descriptor_pool.Default()
    services = [pool.FindServiceByName(service.name) for service in reply.list_services_response.service]
    served = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert len(served) > 8
    assert served == METHOD_ROLES.keys() | OPEN_TO_ALL


async def test_a_token_taken_from_the_file_is_gone_at_once(tmp_path):
    path = tmp_path / "callers"
    path.write_text(LIST)
    async with running_front(callers_file=path) as pod, grpc.aio.insecure_channel(pod.address) as channel:
        assert await predict(channel, READER) == LET_IN
        renewed = secrets.token_hex(32)
        path.write_text(line("alice", "reader", renewed))
        assert await predict(channel, READER) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        assert await predict(channel, renewed) == LET_IN
        path.write_text("nonsense")
        assert await predict(channel, renewed) == LET_IN


@contextlib.asynccontextmanager
async def secure_channel(address, authority, pair=(None, None)):
    certificate, key = pair
    credentials = grpc.ssl_channel_credentials(authority.pem, key, certificate)
    async with grpc.aio.secure_channel(address, credentials, options=(("grpc.enable_retries", 0),)) as channel:
        yield channel


async def test_tls_answers_those_who_trust_its_authority_and_no_plaintext(tmp_path):
    authority = Authority()
    certificate, key, _ = authority.write(tmp_path, "front")
    async with running_front(tls_certificate_file=certificate, tls_key_file=key) as pod:
        async with secure_channel(pod.address, authority) as channel:
            assert await predict(channel) == LET_IN
        async with secure_channel(pod.address, Authority("another")) as channel:
            assert (await predict(channel))[0] == "UNAVAILABLE"
        async with grpc.aio.insecure_channel(pod.address) as channel:
            assert (await predict(channel))[0] == "UNAVAILABLE"


async def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not(tmp_path):
    old, new = Authority("old"), Authority("new")
    certificate, key, _ = old.write(tmp_path, "front")
    async with running_front(tls_certificate_file=certificate, tls_key_file=key) as pod:
        async with secure_channel(pod.address, old) as channel:
            assert await predict(channel) == LET_IN
            new.write(tmp_path, "front")
            async with secure_channel(pod.address, new) as renewed:
                assert await predict(renewed) == LET_IN
            async with secure_channel(pod.address, old) as late:
                assert (await predict(late))[0] == "UNAVAILABLE"
            # Connections that were open stay open.
            assert await predict(channel) == LET_IN
        key.write_bytes(old.pair("front")[1])
        async with secure_channel(pod.address, new) as still:
            assert await predict(still) == LET_IN


async def test_mutual_tls_lets_in_certificates_of_its_authority_only(tmp_path):
    authority = Authority()
    certificate, key, ca = authority.write(tmp_path, "front")
    settings = {"tls_certificate_file": certificate, "tls_key_file": key, "client_ca_file": ca}
    async with running_front(**settings) as pod:
        async with secure_channel(pod.address, authority) as channel:
            assert (await predict(channel))[0] == "UNAVAILABLE"
        async with secure_channel(pod.address, authority, Authority().pair("stranger")) as channel:
            assert (await predict(channel))[0] == "UNAVAILABLE"
        async with secure_channel(pod.address, authority, authority.pair("planner")) as channel:
            assert await predict(channel) == LET_IN


async def test_a_renewed_authority_decides_who_is_let_in(tmp_path):
    old, new = Authority("old"), Authority("new")
    certificate, key, ca = old.write(tmp_path, "front")
    settings = {"tls_certificate_file": certificate, "tls_key_file": key, "client_ca_file": ca}
    async with running_front(**settings) as pod:
        async with secure_channel(pod.address, old, old.pair("planner")) as channel:
            assert await predict(channel) == LET_IN
        ca.write_bytes(new.pem)
        async with secure_channel(pod.address, old, new.pair("planner")) as channel:
            assert await predict(channel) == LET_IN
        async with secure_channel(pod.address, old, old.pair("planner")) as channel:
            assert (await predict(channel))[0] == "UNAVAILABLE"


async def test_a_certificates_name_is_an_identity_and_a_token_goes_before_it(tmp_path):
    authority = Authority()
    certificate, key, ca = authority.write(tmp_path, "front")
    settings = {"tls_certificate_file": certificate, "tls_key_file": key, "client_ca_file": ca}
    callers = f"{LIST};planner reader certificate:planner.test"
    planner = authority.pair("x", alternative_name="planner.test")
    async with running_front(**settings, callers=callers) as pod:
        async with secure_channel(pod.address, authority, planner) as channel:
            assert await predict(channel) == LET_IN
            assert await predict(channel, SIMULATOR) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
            assert await predict(channel, "wrong") == ("UNAUTHENTICATED", "UNAUTHENTICATED")
        other = authority.pair("y", alternative_name="other.test")
        async with secure_channel(pod.address, authority, other) as channel:
            assert await predict(channel) == ("UNAUTHENTICATED", "UNAUTHENTICATED")


async def test_pods_speak_mutual_tls_with_each_other_and_renew_it(tmp_path, monkeypatch):
    authority = Authority()
    certificate, key, ca = authority.write(tmp_path / "anomaly", "anomaly")
    mine, my_key, _ = authority.write(tmp_path / "front", "front")
    monkeypatch.setenv("ORRERY_BACKEND_CA_FILE", str(ca))
    monkeypatch.setenv("ORRERY_BACKEND_CERTIFICATE_FILE", str(mine))
    monkeypatch.setenv("ORRERY_BACKEND_KEY_FILE", str(my_key))
    settings = {"tls_certificate_file": certificate, "tls_key_file": key, "client_ca_file": ca}
    settings |= {"max_connection_age_s": 0.2}
    monkeypatch.setattr(server, "MAX_CONNECTION_AGE_GRACE_S", 0.2)
    callers = "front reader certificate:front.test"

    async def until(channel, expected):
        score = v1.AnomalyServiceStub(channel).ScoreAnomalies
        async with asyncio.timeout(30):
            while await code_of(score(v1.ScoreAnomaliesRequest(objects=[eros()]), timeout=5)) != expected:
                await asyncio.sleep(0.05)

    async with (
        running_anomaly(**settings, callers=callers) as anomaly,
        running_front(anomaly_address=anomaly.address) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        # A certificate of the authority whose name nobody knows: the pod is away as far as callers can tell.
        await until(channel, ("UNAVAILABLE", "BACKEND_UNAVAILABLE"))
        authority.write(tmp_path / "front", "front", alternative_name="front.test")
        await until(channel, ("OK", ""))

# SPDX-License-Identifier: GPL-3.0-or-later
"""What both of gRPC's transports keep, whatever `ORRERY_GRPC_TRANSPORT` says."""

import contextlib
import importlib
import os
import subprocess
import sys

import grpc
import pytest

from gateway.serving.settings import BackendSettings, TransportSettings
from gateway.serving.starting import CannotStart
from gateway.serving.transports.choice import chosen
from gateway.serving.transports.interface import Limits
from tests.pods import PROJECT_ROOT

SCORE = "/orrery.inference.v1.AnomalyService/ScoreAnomalies"
PLAIN = BackendSettings()


@pytest.fixture(params=["h2", "grpcio"])
def transport(request):
    return importlib.import_module(f"gateway.serving.transports.{request.param}")


@contextlib.asynccontextmanager
async def serving(transport, handlers, **limits):
    """A server of these methods, by service and name, and a channel to it, both of one transport."""
    server = transport.build_server(Limits(**{"max_message_bytes": 1 << 20, "max_streams": 100, **limits}))
    for path, handler in handlers.items():
        service, _, name = path.removeprefix("/").partition("/")
        method = grpc.unary_unary_rpc_method_handler(handler)
        server.add_registered_method_handlers(service, {name: method})
    port = server.bind("127.0.0.1", 0)
    await server.start()
    try:
        async with transport.open_channel(f"127.0.0.1:{port}", 1 << 20, PLAIN, is_plain=False) as channel:
            yield channel
    finally:
        await server.stop(None)


@pytest.mark.parametrize(("path", "times"), [(SCORE, 2), ("/test.Test/Add", 1)])
async def test_idempotent_methods_alone_are_called_again(transport, path, times):
    served = []

    async def fails_once(request, context):
        served.append(request)
        if len(served) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return b"fine"

    async with serving(transport, {path: fails_once}) as channel:
        call = channel.unary_unary(path)(b"question", timeout=20)
        if times == 1:
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        else:
            assert await call == b"fine"
    assert served == [b"question"] * times


async def test_a_request_beyond_the_limit_is_refused(transport):
    async def echo(request, context):
        return request

    async with serving(transport, {"/test.Test/Echo": echo}) as channel:
        ask = channel.unary_unary("/test.Test/Echo")
        assert await ask(b"x" * 1_000_000, timeout=20) == b"x" * 1_000_000
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(b"x" * ((1 << 20) + 1), timeout=20)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_address_that_is_taken_is_named(transport):
    async def echo(request, context):
        return request

    async with serving(transport, {"/test.Test/Echo": echo}):
        first, second = (transport.build_server(Limits(1 << 20, max_streams=1)) for _ in range(2))
        port = first.bind("127.0.0.1", 0)
        with pytest.raises(OSError, match=f"127.0.0.1:{port}.*in use"):
            second.bind("127.0.0.1", port)
        first.close()


def test_what_the_setting_names_is_loaded_and_nothing_else_is_taken(monkeypatch):
    variable = TransportSettings.variable("grpc_transport")
    monkeypatch.setenv(variable, "grpcio")
    assert chosen().__name__ == "gateway.serving.transports.grpcio"
    monkeypatch.setenv(variable, "grpc")
    with pytest.raises(CannotStart, match=f"{variable} is 'grpc'; it must be grpc_h2 or grpcio"):
        chosen()


@pytest.mark.parametrize(
    ("name", "other"), [("grpcio", "gateway.grpc_h2"), ("grpc_h2", "gateway.serving.transports.grpcio")]
)
def test_a_pod_loads_one_transport(name, other):
    program = (
        "import sys, gateway.front.app; from gateway.serving.transports.choice import chosen; chosen();"
        f"sys.exit({other!r} in sys.modules)"
    )
    environment = os.environ | {TransportSettings.variable("grpc_transport"): name}
    assert (
        subprocess.run([sys.executable, "-c", program], cwd=PROJECT_ROOT, env=environment, check=False).returncode == 0
    )

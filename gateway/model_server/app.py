# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded model server's life: load, bind, serve, and drain on SIGTERM."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from gateway.model_server.core import ModelServer
from gateway.model_server.errors import Refusal
from gateway.model_server.servicers import ModelServicer, PredictionServicer
from gateway.model_server.settings import Flags, ModelServerSettings
from gateway.model_server.status_http import StatusEndpoint
from gateway.serving import logs, loops
from gateway.serving.environment import split_address
from gateway.serving.interceptor import CallInterceptor
from gateway.serving.starting import CannotStart
from gateway.serving.transports.choice import chosen
from gateway.serving.transports.interface import Limits, Server

__all__ = ["ModelServer", "RunningModelServer", "build_server", "run", "running", "serve"]

# "ModelService" and "PredictionService" are the two names that server.cc sets; "" is the server as a whole.
HEALTH_NAMES = ("", "ModelService", "PredictionService")
# builder.SetMaxMessageSize(int32 max) in server.cc
MAX_MESSAGE_BYTES = 2**31 - 1

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunningModelServer:
    """Where a started model server listens."""

    models: ModelServer
    address: str
    status_address: str


def build_server(
    settings: ModelServerSettings, models: ModelServer, executor: Executor, flags: Flags | None = None
) -> tuple[Server, health.aio.HealthServicer, int]:
    """A bound gRPC server that has not started yet, its health, and its port.

    Args:
        settings: where to bind.
        models: what to serve.
        executor: runs predictions.
        flags: its fixed ones unless given.

    Raises:
        OSError: the address is taken.
    """
    limits = Limits(MAX_MESSAGE_BYTES, max_streams=(flags or Flags()).max_concurrent_streams)
    server = chosen().build_server(limits, CallInterceptor().choose)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionServicer(models, executor), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(models), server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    return server, checks, server.bind(*split_address(settings.address))


@contextlib.asynccontextmanager
async def running(settings: ModelServerSettings, flags: Flags | None = None) -> AsyncIterator[RunningModelServer]:
    """Serve while entered: models are loaded before the port opens, and calls in flight end before they are unloaded.

    Raises:
        Refusal: the config is wrong.
        OSError: an address is taken.
    """
    models = ModelServer(settings, flags)
    status = StatusEndpoint(settings.status_address, models)
    models.start()
    executor = ThreadPoolExecutor(settings.predict_threads, thread_name_prefix="predict")
    try:
        await asyncio.to_thread(models.settled.wait)
        server, checks, port = build_server(settings, models, executor, flags)
        async with _following_health(checks, models):
            await server.start()
            try:
                host, status_host = (split_address(a)[0] for a in (settings.address, settings.status_address))
                yield RunningModelServer(models, f"{host}:{port}", f"{status_host}:{status.port}")
            finally:
                await checks.enter_graceful_shutdown()
                await server.stop(settings.grace_s)
    finally:
        await asyncio.to_thread(executor.shutdown)
        await asyncio.to_thread(models.stop)
        await asyncio.to_thread(status.close)


async def serve(settings: ModelServerSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        Refusal: the config is wrong.
        OSError: an address is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with running(settings) as server:
        log.info("serving", address=server.address, status_address=server.status_address, ready=server.models.is_ready)
        await stop.wait()
        log.info("draining", grace_s=settings.grace_s)
    log.info("stopped")


def run(settings: ModelServerSettings) -> None:
    """Serve; the main function.

    Raises:
        CannotStart: why it does not.
    """
    logs.configure("model-server", settings.log_level)
    try:
        loops.run(serve(settings))
    except (Refusal, OSError) as error:
        raise CannotStart(str(error)) from error


@contextlib.asynccontextmanager
async def _following_health(checks: health.aio.HealthServicer, models: ModelServer) -> AsyncIterator[None]:
    """Keep the health of all names at whether every model is available."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    changed.set()

    def tell() -> None:
        # Models may still change state while the loop closes; then nobody is interested any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(changed.set)

    async def follow() -> None:
        while True:
            await changed.wait()
            changed.clear()
            response = health_pb2.HealthCheckResponse
            state = response.SERVING if models.is_ready else response.NOT_SERVING
            for name in HEALTH_NAMES:
                await checks.set(name, state)

    models.listen(tell)
    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

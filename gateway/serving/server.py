# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod's life: bind, mount its services, say it is ready, serve, and drain on SIGTERM."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.serving import logs
from gateway.serving.interceptor import CallInterceptor
from gateway.serving.metrics import MetricsEndpoint
from gateway.serving.settings import ServingSettings, split_address

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()

# Adds its servicers to a server that has not started yet, keeps their health up to date while it is entered, and
# yields the full names of its services.
Mount: TypeAlias = Callable[[grpc.aio.Server, health.aio.HealthServicer], AbstractAsyncContextManager[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class RunningPod:
    """Where a started pod listens."""

    address: str
    metrics_address: str


@contextlib.asynccontextmanager
async def running(settings: ServingSettings, mount: Mount) -> AsyncIterator[RunningPod]:
    """Serve while entered; drain on leaving: first "not serving", then a grace for the calls in flight.

    Raises:
        OSError: an address is taken.
    """
    host, _ = split_address(settings.address)
    metrics = MetricsEndpoint(settings.metrics_address)
    try:
        server = grpc.aio.server(
            interceptors=(CallInterceptor(),),
            options=_options(settings),
            maximum_concurrent_rpcs=settings.maximum_concurrent_rpcs,
        )
        bound = _bind(server, settings.address)
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        async with mount(server, checks) as services:
            reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
            await server.start()
            await checks.set("", SERVING)
            try:
                metrics_host, _ = split_address(settings.metrics_address)
                yield RunningPod(f"{host}:{bound}", f"{metrics_host}:{metrics.port}")
            finally:
                await checks.enter_graceful_shutdown()
                await asyncio.sleep(settings.drain_delay_s)
                await server.stop(settings.grace_s)
    finally:
        metrics.close()


def run(name: str, settings: ServingSettings, mount: Mount) -> None:
    """Serve until SIGTERM or SIGINT; the main function of every pod.

    Args:
        name: the pod's name in its logs.
        settings: its settings.
        mount: its services.
    """
    logs.configure(name, settings.log_level)
    asyncio.run(_run(settings, mount))


async def _run(settings: ServingSettings, mount: Mount) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with running(settings, mount) as pod:
        log.info("serving", address=pod.address, metrics_address=pod.metrics_address)
        await stop.wait()
        log.info("draining", grace_s=settings.grace_s)
    log.info("stopped")


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: is it taken?") from error


def _options(settings: ServingSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        # Else a client's burst beyond the streams is reset instead of queued: of 1,000 calls at once 103 were lost
        # (bare grpc.aio echo, one channel); with this none of 10,000.
        ("grpc.http.overload_protection", 0),
        ("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1e3)),
        ("grpc.max_connection_age_grace_ms", int(settings.grace_s * 1e3)),
        ("grpc.server_handshake_timeout_ms", int(settings.handshake_timeout_s * 1e3)),
        # Matches the clients' keepalive (client/orrery/inference/channel.py), or they would be sent away.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]

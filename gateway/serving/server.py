# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod's life: bind, mount its services, say it is ready, serve, and drain on SIGTERM."""

import asyncio
import contextlib
import importlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, cast

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from gateway.serving import logs, loops
from gateway.serving.environment import split_address
from gateway.serving.guard import build_guard
from gateway.serving.interceptor import CallInterceptor
from gateway.serving.listening import require_free
from gateway.serving.memory import give_memory_back
from gateway.serving.metrics import MetricsEndpoint
from gateway.serving.served_method import Hooks
from gateway.serving.settings import MIB, ServingSettings
from gateway.serving.starting import CannotStart
from gateway.serving.tls import TLS_FIELDS, require_safe, server_tls
from gateway.serving.transports.choice import chosen
from gateway.serving.transports.interface import Limits, Server

# Half-open connections are closed after this (measured: 1000 of 1000).
HANDSHAKE_TIMEOUT_S = 3.0
# Calls of a connection that is too old may go on for so long: as long as the longest stream, or it would be cut off.
MAX_CONNECTION_AGE_GRACE_S = 3600.0

# Of the ports for health and channelz.
_BESIDE = Limits(MIB, max_streams=100, max_calls=1_000, handshake_timeout_s=HANDSHAKE_TIMEOUT_S)

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
    admin_address: str | None = None
    health_address: str | None = None


@contextlib.asynccontextmanager
async def running(settings: ServingSettings, mount: Mount, name: str = "pod") -> AsyncIterator[RunningPod]:
    """Serve while entered; drain on leaving: first "not serving", then a grace for the calls in flight.

    Args:
        settings: of the pod.
        mount: its services.
        name: the pod's name in traces and error reports.

    Raises:
        CannotStart: settings would open the pod to a network unprotected, name a file that cannot be read, or an
            address that is taken; or a file of certificates or secrets makes no sense.
        OSError: an address was taken in the meantime.
        ValueError: a setting makes no sense to a service.
    """
    require_safe(settings)
    settings.require_files()
    require_free({name: settings})
    host, _ = split_address(settings.address)
    async with contextlib.AsyncExitStack() as stack:
        metrics = MetricsEndpoint(settings.metrics_address)
        stack.callback(metrics.close)
        hooks = await stack.enter_async_context(_hooks(settings, name))
        transport = chosen()
        limits = Limits(
            settings.max_message_bytes,
            max_streams=settings.max_concurrent_streams,
            max_calls=settings.maximum_concurrent_rpcs,
            handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
            max_connection_age_s=settings.max_connection_age_s,
            max_connection_age_grace_s=MAX_CONNECTION_AGE_GRACE_S,
        )
        server = transport.build_server(
            limits, CallInterceptor(hooks).choose, is_shown=settings.admin_address is not None
        )
        with settings.naming(*TLS_FIELDS):
            tls = server_tls(settings)
        bound = server.bind(*split_address(settings.address), tls)
        stack.callback(server.close)
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        async with (
            mount(cast("grpc.aio.Server", server), checks) as services,
            _beside(settings.admin_address, checks, partial(transport.add_channelz, shown=server)) as admin_address,
            _beside(settings.health_address, checks) as health_address,
        ):
            described = reflection.aio.ReflectionServicer((*services, health.SERVICE_NAME, reflection.SERVICE_NAME))
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(described, server)
            await server.start()
            await checks.set("", SERVING)
            trimming = asyncio.create_task(give_memory_back())
            try:
                metrics_host, _ = split_address(settings.metrics_address)
                yield RunningPod(f"{host}:{bound}", f"{metrics_host}:{metrics.port}", admin_address, health_address)
            finally:
                trimming.cancel()
                await checks.enter_graceful_shutdown()
                await asyncio.sleep(settings.drain_delay_s)
                await server.stop(settings.grace_s)


@contextlib.asynccontextmanager
async def _hooks(settings: ServingSettings, name: str) -> AsyncIterator[Hooks]:
    """What settings ask for around calls; libraries that only some settings need are loaded only then."""
    guard = build_guard(settings)
    tracing = reports = None
    if settings.tracing_endpoint is not None:
        module = importlib.import_module("gateway.serving.tracing")
        tracing = module.Tracing(settings.tracing_endpoint, name, settings.tracing_share)
    if settings.errors_dsn is not None:
        module = importlib.import_module("gateway.serving.error_reports")
        with settings.naming("errors_dsn"):
            reports = module.ErrorReports(settings.errors_dsn.get_secret_value(), name)
    try:
        yield Hooks(
            guard=guard,
            most_calls=settings.calls_under_way,
            begin_span=None if tracing is None else tracing.begin,
            report=None if reports is None else reports.report,
        )
    finally:
        if guard is not None:
            await guard.close()
        for exporter in (tracing, reports):
            if exporter is not None:
                await asyncio.to_thread(exporter.close)


@contextlib.asynccontextmanager
async def _beside(
    address: str | None, checks: health.aio.HealthServicer, *add: Callable[[Server], None]
) -> AsyncIterator[str | None]:
    """Serve the pod's health, and what is added, on a port of their own, which answers when the main one is full."""
    if address is None:
        yield None
        return
    server = chosen().build_server(_BESIDE)
    host, port = split_address(address)
    bound = server.bind(host, port)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for add_services in add:
        add_services(server)
    await server.start()
    try:
        yield f"{host}:{bound}"
    finally:
        await server.stop(None)


def run(name: str, settings: ServingSettings, mount: Mount) -> None:
    """Serve until SIGTERM or SIGINT; the main function of every pod.

    Args:
        name: the pod's name in its logs.
        settings: its settings.
        mount: its services.

    Raises:
        CannotStart: why it does not.
    """
    logs.configure(name, settings.log_level)
    loops.run(_run(settings, mount, name))


async def _run(settings: ServingSettings, mount: Mount, name: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            pod = await stack.enter_async_context(running(settings, mount, name))
        except (OSError, ValueError) as error:
            log.debug("cannot start", exc_info=True)
            raise CannotStart(str(error)) from error
        log.info("serving", address=pod.address, metrics_address=pod.metrics_address)
        await stop.wait()
        log.info("draining", grace_s=settings.grace_s)
    log.info("stopped")

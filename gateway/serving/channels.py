# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels to other pods, and what their errors mean to our own callers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_status import rpc_status

from gateway.serving.callers import CALLER_KEY, CONNECTION_KEY, caller_here
from gateway.serving.context import REQUEST_ID, REQUEST_ID_KEY, TRACEPARENT, TRACEPARENT_KEY, Context
from gateway.serving.errors import (
    BackendRefusal,
    BackendUnavailable,
    Cancelled,
    DeadlineExceeded,
    Overloaded,
    ServingError,
)
from gateway.serving.server import NOT_SERVING, SERVING
from gateway.serving.settings import BackendSettings
from gateway.serving.transports.choice import chosen
from gateway.serving.transports.interface import Channel


def open_channel(address: str, max_message_bytes: int, security: BackendSettings | None = None) -> Channel:
    """A channel that balances over all addresses of a name, and comes back within a second.

    A call that no server has seen is tried again; one that lost its server, where its method is idempotent.

    Args:
        address: a gRPC target: "127.0.0.1:50052", "dns:///anomaly.orrery.svc:50052". "plaintext:" before it makes an
            exception where the other channels use TLS.
        max_message_bytes: of requests and of replies.
        security: certificates; `ORRERY_BACKEND_…` unless given.

    Raises:
        CannotStart: plaintext across a network that nothing allows, or a certificate that makes no sense.
        ValueError: the address makes no sense.
    """
    settings = security or BackendSettings()
    settings.require_files()
    target = address.removeprefix("plaintext:")
    with settings.naming("ca_file", "certificate_file", "key_file"):
        return chosen().open_channel(target, max_message_bytes, settings, is_plain=target != address)


def onward(context: Context, *, cap_s: float, margin_s: float = 0.01) -> dict[str, Any]:
    """Deadline and metadata of a call made on behalf of another.

    Args:
        context: of the call being served.
        cap_s: the longest time any call of this kind may take.
        margin_s: kept back for the way home.

    Returns:
        Keyword arguments `timeout` (s) and `metadata` of a multi-callable.

    Raises:
        DeadlineExceeded: there is no time left to ask anyone.
    """
    remaining_s = context.time_remaining()
    timeout_s = cap_s if remaining_s is None else min(cap_s, remaining_s - margin_s)
    if timeout_s <= 0:
        raise DeadlineExceeded
    metadata: tuple[tuple[str, str], ...] = (
        (REQUEST_ID_KEY, REQUEST_ID.get()),
        (CALLER_KEY, caller_here(context)),
        (CONNECTION_KEY, context.peer()),
    )
    if (traceparent := TRACEPARENT.get()) is not None:
        metadata = (*metadata, (TRACEPARENT_KEY, traceparent))
    return {"timeout": timeout_s, "metadata": metadata}


def refusal_of(error: grpc.aio.AioRpcError, backend: str) -> ServingError:
    """What a backend's error means to our caller.

    A status with details of ours goes on as it is; a bare one came from the transport or from a server of another
    make, and is said in our words.
    """
    code = error.code()
    if code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        # It is us whom the pod does not let in; our caller can do nothing about it.
        return BackendUnavailable(backend)
    status = rpc_status.from_call(error)
    if status is not None and status.details:
        return BackendRefusal(status)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded()
    if code is grpc.StatusCode.CANCELLED:
        return Cancelled()
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded(retry_after_s=1.0)
    return BackendUnavailable(backend)


async def follow(
    checks: health.aio.HealthServicer,
    service: str,
    is_ready: Callable[[], Awaitable[bool]],
    *,
    period_s: float,
) -> None:
    """Keep one service's health equal to what its backend says, until cancelled.

    Args:
        checks: where the health is published.
        service: its full name.
        is_ready: asks the backend; an RPC error counts as no.
        period_s: between two questions.
    """
    while True:
        try:
            ready = await is_ready()
        except grpc.aio.AioRpcError:
            ready = False
        await checks.set(service, SERVING if ready else NOT_SERVING)
        await asyncio.sleep(period_s)


def pod_readiness(channel: Channel, service: str, *, timeout_s: float) -> Callable[[], Awaitable[bool]]:
    """A question to a pod of ours: does it serve this service?"""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )

    async def is_ready() -> bool:
        reply = await check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        return bool(reply.status == SERVING)

    return is_ready

# SPDX-License-Identifier: GPL-3.0-or-later
"""The call being served, as every floor above knows it."""

from contextvars import ContextVar
from typing import Any, Final, TypeAlias

import grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

REQUEST_ID_KEY: Final = "x-request-id"
TRACEPARENT_KEY: Final = "traceparent"

# Of the call being served.
REQUEST_ID: ContextVar[str] = ContextVar("request_id")

# The span of the call being served, as it goes on to other pods (W3C Trace Context); None while nothing is traced.
TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)

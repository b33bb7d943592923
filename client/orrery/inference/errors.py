# SPDX-License-Identifier: Apache-2.0
"""A refusal as Python sees it: the status, its published reason, and every field that was wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

_DETAILS_KEY = "grpc-status-details-bin"
_REQUEST_ID_KEY = "x-request-id"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request by its path, `objects[3].elements.eccentricity`, and what it should have been."""

    path: str
    description: str


class InferenceError(Exception):
    """The gateway refused, or could not be reached.

    Attributes:
        code: the gRPC status code.
        message: what the gateway said.
        reason: the published reason (`ErrorReason` without its prefix), "" if the transport failed.
        violations: the fields that were wrong.
        retry_after_s: when to come back, if the gateway said so.
        request_id: finds the call in the gateway's logs; "" if it never got there.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        """Decode an RPC error of grpc's."""
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.reason = ""
        self.violations: tuple[FieldViolation, ...] = ()
        self.retry_after_s: float | None = None
        metadata: dict[str, Any] = dict(cast("Iterable[tuple[str, Any]]", error.trailing_metadata() or ()))
        self.request_id = str(metadata.get(_REQUEST_ID_KEY, ""))
        self._read(status_pb2.Status.FromString(metadata.get(_DETAILS_KEY, b"")))
        super().__init__(f"{self.code.name}: {self.message}")

    def _read(self, status: status_pb2.Status) -> None:
        info = error_details_pb2.ErrorInfo()
        request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(request):
                self.violations = tuple(FieldViolation(v.field, v.description) for v in request.field_violations)
            elif detail.Unpack(retry):
                self.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9

# SPDX-License-Identifier: Apache-2.0
"""A refusal as Python sees it: the status, its published reason, and every field that was wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

_DETAILS_KEY = "grpc-status-details-bin"
_REQUEST_ID_KEY = "x-request-id"
# The row in the path of a field: objects[3].elements.eccentricity, orbits.eccentricity[3], designations[3].
_ROW = re.compile(r"^(objects|orbits\.\w+|designations)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request by its path, `objects[3].elements.eccentricity`, and what it should have been."""

    path: str
    description: str


class MixedVersionsError(Exception):
    """Parts of one answer came from different versions of a model, although one was asked for."""


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

    def __init__(self, error: grpc.RpcError, first_row: int = 0) -> None:
        """Decode an RPC error of grpc's.

        Args:
            error: of a call.
            first_row: of what the caller gave, where the call held a part of it: paths name the caller's rows.
        """
        self.code: grpc.StatusCode = error.code()
        self.message = _moved(error.details() or "", first_row)
        self.reason = ""
        self.violations: tuple[FieldViolation, ...] = ()
        self.retry_after_s: float | None = None
        metadata: dict[str, Any] = dict(cast("Iterable[tuple[str, Any]]", error.trailing_metadata() or ()))
        self.request_id = str(metadata.get(_REQUEST_ID_KEY, ""))
        self._read(status_pb2.Status.FromString(metadata.get(_DETAILS_KEY, b"")), first_row)
        super().__init__(f"{self.code.name}: {self.message}")

    def _read(self, status: status_pb2.Status, first_row: int) -> None:
        info = error_details_pb2.ErrorInfo()
        request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(request):
                self.violations = tuple(
                    FieldViolation(_moved(v.field, first_row), v.description) for v in request.field_violations
                )
            elif detail.Unpack(retry):
                self.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9


def _moved(path: str, rows: int) -> str:
    """A path, or a text that begins with one, its row counted from the beginning of what the caller gave."""
    return _ROW.sub(lambda found: f"{found[1]}[{int(found[2]) + rows}]", path) if rows else path

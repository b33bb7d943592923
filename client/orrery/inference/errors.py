# SPDX-License-Identifier: Apache-2.0
"""A refusal as Python sees it: the status, its published reason, and every field that was wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAMED_VIOLATIONS: Final = 100
"""How many wrong fields or cells one error names; it counts the others."""

_PRINTED_VIOLATIONS = 10
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
        violations: the fields that were wrong, at most 100, of all parts of a question.
        unnamed_violations: how many more were wrong.
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
        self.unnamed_violations = 0
        self.retry_after_s: float | None = None
        metadata: dict[str, Any] = dict(cast("Iterable[tuple[str, Any]]", error.trailing_metadata() or ()))
        self.request_id = str(metadata.get(_REQUEST_ID_KEY, ""))
        self._read(status_pb2.Status.FromString(metadata.get(_DETAILS_KEY, b"")), first_row)
        super().__init__(self.message)
        self.__cause__ = error

    def __str__(self) -> str:
        """Code and message; one more line for each of the next wrong fields, at most ten."""
        others = (f"\n  {v.path}: {v.description}" for v in self.violations[1 : 1 + _PRINTED_VIOLATIONS])
        return f"{self.code.name}: {self.message}" + "".join(others)

    @property
    def names_fields(self) -> bool:
        """Whether the request itself was wrong, so that other parts of the question may have wrong fields too."""
        return self.code is grpc.StatusCode.INVALID_ARGUMENT and bool(self.violations)

    def extend(self, other: InferenceError) -> None:
        """Add the wrong fields of another part of the same question; a path is named once.

        Args:
            other: names fields.
        """
        known = {violation.path for violation in self.violations}
        new = [violation for violation in other.violations if violation.path not in known]
        room = MAX_NAMED_VIOLATIONS - len(self.violations)
        self.violations += tuple(new[:room])
        self.unnamed_violations += len(new[room:]) + other.unnamed_violations
        first = self.violations[0]
        more = len(self.violations) - 1 + self.unnamed_violations
        self.message = f"{first.path}: {first.description}" + (f" (and {more} more fields)" if more else "")

    def _read(self, status: status_pb2.Status, first_row: int) -> None:
        info = error_details_pb2.ErrorInfo()
        request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason = info.reason
                self.unnamed_violations = int(info.metadata.get("unnamed_fields", 0))
            elif detail.Unpack(request):
                self.violations = tuple(
                    FieldViolation(_moved(v.field, first_row), v.description) for v in request.field_violations
                )
            elif detail.Unpack(retry):
                self.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9


def _moved(path: str, rows: int) -> str:
    """A path, or a text that begins with one, its row counted from the beginning of what the caller gave."""
    return _ROW.sub(lambda found: f"{found[1]}[{int(found[2]) + rows}]", path) if rows else path

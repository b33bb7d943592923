# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals, and the one table that gives each its gRPC status.

Code below raises what went wrong in its own words; `status_of` walks the table by class. Whatever is not in it is our
fault: the caller learns "internal error" and a request id, the log learns the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from orrery.inference import v1

ERROR_DOMAIN = "inference.orrery"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks its bounds: its path in the request, and what it should have been."""

    path: str
    description: str


class ServingError(Exception):
    """The base of every refusal that has a published reason."""


class InvalidRequest(ServingError):
    """Fields break their bounds; all of them are named, or the first ones and the count of the others."""

    def __init__(self, violations: Sequence[FieldViolation], *, unnamed: int = 0) -> None:
        self.violations = tuple(violations)
        self.unnamed = unnamed
        super().__init__("; ".join(f"{v.path}: {v.description}" for v in self.violations))


class ModelNotFound(ServingError):
    """No such model version or label is being served."""

    def __init__(self, path: str, description: str) -> None:
        self.violation = FieldViolation(path, description)
        super().__init__(f"{path}: {description}")


class OutsideEphemeris(ServingError):
    """A time lies outside the ephemeris' span."""

    def __init__(self, path: str, span_tdb_jd: tuple[float, float]) -> None:
        self.span_tdb_jd = span_tdb_jd
        self.violation = FieldViolation(path, f"outside the ephemeris, which spans TDB JD {_span(span_tdb_jd)}")
        super().__init__(f"{path}: {self.violation.description}")


class BackendUnavailable(ServingError):
    """A pod that the answer needs is away."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        super().__init__(f"the {backend} backend is unavailable; try again")


class DeadlineExceeded(ServingError):
    """The caller's deadline passed before the answer was there."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before the answer was ready")


class Cancelled(ServingError):
    """The caller went away, or the server is stopping."""

    def __init__(self) -> None:
        super().__init__("the call was cancelled")


class Overloaded(ServingError):
    """Too much at once; come back later."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many requests at once; retry after {retry_after_s:g} s")


class Unauthenticated(ServingError):
    """Nothing acceptable says who is asking."""


class PermissionDenied(ServingError):
    """The caller lacks the role that a method needs."""

    def __init__(self, role: str | None) -> None:
        """Name the role; None where no role opens the method."""
        self.role = role
        super().__init__("no role opens this method" if role is None else f'this method needs the role "{role}"')


class QuotaExceeded(ServingError):
    """One caller asks for more than its share."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the quota of this caller is used up; retry after {retry_after_s:.3g} s")


class RequestIdReused(ServingError):
    """A request id came again with other contents."""

    def __init__(self, path: str) -> None:
        self.violation = FieldViolation(path, "was used for a request with other contents")
        super().__init__(f"{path}: {self.violation.description}")


class StoreFull(ServingError):
    """A store has no room left."""

    def __init__(self, retry_after_s: float = 60.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("the store has no room left; nothing was kept")


class ModelUnusable(ServingError):
    """A model replied with something its signature does not promise."""

    def __init__(self, model: str) -> None:
        super().__init__(f"the model {model} does not have the signature this server was built for")


class BackendRefusal(ServingError):
    """A pod refused with a status of its own, which goes on to the caller as it is."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.status = status
        super().__init__(status.message)


def status_of(error: BaseException, request_id: str) -> status_pb2.Status:
    """The status that a caller gets for an error: code, message and `google.rpc` details.

    Args:
        error: whatever was raised while the call was served.
        request_id: names the call in our log.
    """
    for cls in type(error).__mro__:
        if encode := _TABLE.get(cls):
            return encode(error)
    message = f"internal error; the log has it under request id {request_id}"
    reason = _reason(v1.ERROR_REASON_INTERNAL, request_id=request_id)
    return _status(code_pb2.INTERNAL, message, reason)


def reason_in(status: status_pb2.Status) -> str:
    """The published reason in a status' details, "OTHER" where there is none of ours."""
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and f"ERROR_REASON_{info.reason}" in v1.ErrorReason.keys():  # noqa: SIM118  # no mapping
            return str(info.reason)
    return "OTHER"


def reason_of(error: ServingError) -> str:
    """The published reason of an error, "INVALID_FIELD"; "" for another server's refusal."""
    info = error_details_pb2.ErrorInfo()
    for detail in status_of(error, "").details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def _invalid(error: InvalidRequest) -> status_pb2.Status:
    more = len(error.violations) - 1 + error.unnamed
    first = error.violations[0]
    message = f"{first.path}: {first.description}" + (f" (and {more} more fields)" if more else "")
    metadata = {"unnamed_fields": str(error.unnamed)} if error.unnamed else {}
    reason = _reason(v1.ERROR_REASON_INVALID_FIELD, **metadata)
    return _status(code_pb2.INVALID_ARGUMENT, message, reason, _bad_request(*error.violations))


def _model_not_found(error: ModelNotFound) -> status_pb2.Status:
    reason = _reason(v1.ERROR_REASON_MODEL_NOT_FOUND)
    return _status(code_pb2.NOT_FOUND, str(error), reason, _bad_request(error.violation))


def _outside_ephemeris(error: OutsideEphemeris) -> status_pb2.Status:
    reason = _reason(v1.ERROR_REASON_OUTSIDE_EPHEMERIS, span_tdb_jd=_span(error.span_tdb_jd))
    return _status(code_pb2.OUT_OF_RANGE, str(error), reason, _bad_request(error.violation))


def _backend_unavailable(error: BackendUnavailable) -> status_pb2.Status:
    reason = _reason(v1.ERROR_REASON_BACKEND_UNAVAILABLE, backend=error.backend)
    return _status(code_pb2.UNAVAILABLE, str(error), reason)


def _deadline_exceeded(error: DeadlineExceeded) -> status_pb2.Status:
    return _status(code_pb2.DEADLINE_EXCEEDED, str(error), _reason(v1.ERROR_REASON_DEADLINE_EXCEEDED))


def _cancelled(error: Cancelled) -> status_pb2.Status:
    return _status(code_pb2.CANCELLED, str(error), _reason(v1.ERROR_REASON_CANCELLED))


def _overloaded(error: Overloaded) -> status_pb2.Status:
    return _come_back(error, _reason(v1.ERROR_REASON_OVERLOADED))


def _quota_exceeded(error: QuotaExceeded) -> status_pb2.Status:
    return _come_back(error, _reason(v1.ERROR_REASON_QUOTA_EXCEEDED))


def _store_full(error: StoreFull) -> status_pb2.Status:
    return _come_back(error, _reason(v1.ERROR_REASON_STORE_FULL))


def _request_id_reused(error: RequestIdReused) -> status_pb2.Status:
    reason = _reason(v1.ERROR_REASON_REQUEST_ID_REUSED)
    return _status(code_pb2.ALREADY_EXISTS, str(error), reason, _bad_request(error.violation))


def _come_back(error: Overloaded | QuotaExceeded | StoreFull, reason: error_details_pb2.ErrorInfo) -> status_pb2.Status:
    delay = Duration()
    delay.FromNanoseconds(int(error.retry_after_s * 1e9))
    return _status(code_pb2.RESOURCE_EXHAUSTED, str(error), reason, error_details_pb2.RetryInfo(retry_delay=delay))


def _unauthenticated(error: Unauthenticated) -> status_pb2.Status:
    return _status(code_pb2.UNAUTHENTICATED, str(error), _reason(v1.ERROR_REASON_UNAUTHENTICATED))


def _permission_denied(error: PermissionDenied) -> status_pb2.Status:
    metadata = {} if error.role is None else {"role": error.role}
    reason = _reason(v1.ERROR_REASON_PERMISSION_DENIED, **metadata)
    return _status(code_pb2.PERMISSION_DENIED, str(error), reason)


def _model_unusable(error: ModelUnusable) -> status_pb2.Status:
    return _status(code_pb2.FAILED_PRECONDITION, str(error), _reason(v1.ERROR_REASON_MODEL_UNUSABLE))


def _backend_refusal(error: BackendRefusal) -> status_pb2.Status:
    return error.status


_TABLE: dict[type, Callable[..., status_pb2.Status]] = {
    BackendRefusal: _backend_refusal,
    InvalidRequest: _invalid,
    ModelNotFound: _model_not_found,
    OutsideEphemeris: _outside_ephemeris,
    BackendUnavailable: _backend_unavailable,
    DeadlineExceeded: _deadline_exceeded,
    Cancelled: _cancelled,
    Overloaded: _overloaded,
    ModelUnusable: _model_unusable,
    Unauthenticated: _unauthenticated,
    PermissionDenied: _permission_denied,
    QuotaExceeded: _quota_exceeded,
    RequestIdReused: _request_id_reused,
    StoreFull: _store_full,
}


def _span(span_tdb_jd: tuple[float, float]) -> str:
    return f"{span_tdb_jd[0]} to {span_tdb_jd[1]}"


def _reason(reason: v1.ErrorReason.ValueType, **metadata: str) -> error_details_pb2.ErrorInfo:
    name = v1.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")
    return error_details_pb2.ErrorInfo(reason=name, domain=ERROR_DOMAIN, metadata=metadata)


def _bad_request(*violations: FieldViolation) -> error_details_pb2.BadRequest:
    named = [error_details_pb2.BadRequest.FieldViolation(field=v.path, description=v.description) for v in violations]
    return error_details_pb2.BadRequest(field_violations=named)


def _status(code: int, message: str, *details: Message) -> status_pb2.Status:
    packed = []
    for detail in details:
        box = AnyMessage()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(code=code, message=message, details=packed)

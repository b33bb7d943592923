# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal has a published reason."""

import pytest
from google.rpc import code_pb2, error_details_pb2

from gateway.serving import errors
from gateway.serving.roles import Role
from orrery.inference import v1

REFUSALS = {
    "INVALID_FIELD": (errors.InvalidRequest([errors.FieldViolation("a.b", "must be c")]), code_pb2.INVALID_ARGUMENT),
    "MODEL_NOT_FOUND": (errors.ModelNotFound("model.version", "version 7 is not served"), code_pb2.NOT_FOUND),
    "OUTSIDE_EPHEMERIS": (errors.OutsideEphemeris("scenario.duration_days", (1.0, 2.0)), code_pb2.OUT_OF_RANGE),
    "BACKEND_UNAVAILABLE": (errors.BackendUnavailable("anomaly"), code_pb2.UNAVAILABLE),
    "DEADLINE_EXCEEDED": (errors.DeadlineExceeded(), code_pb2.DEADLINE_EXCEEDED),
    "OVERLOADED": (errors.Overloaded(1.5), code_pb2.RESOURCE_EXHAUSTED),
    "INTERNAL": (KeyError("a secret"), code_pb2.INTERNAL),
    "CANCELLED": (errors.Cancelled(), code_pb2.CANCELLED),
    "MODEL_UNUSABLE": (errors.ModelUnusable("m"), code_pb2.FAILED_PRECONDITION),
    "UNAUTHENTICATED": (errors.Unauthenticated("a bearer token is required"), code_pb2.UNAUTHENTICATED),
    "PERMISSION_DENIED": (errors.PermissionDenied("simulator"), code_pb2.PERMISSION_DENIED),
    "QUOTA_EXCEEDED": (errors.QuotaExceeded(1.5), code_pb2.RESOURCE_EXHAUSTED),
    "REQUEST_ID_REUSED": (errors.RequestIdReused("request_id"), code_pb2.ALREADY_EXISTS),
    "STORE_FULL": (errors.StoreFull(1.5), code_pb2.RESOURCE_EXHAUSTED),
}
# tests/unit/edge/test_problem.py has these.
GIVEN_BY_THE_EDGE = {"NO_SUCH_METHOD", "ORIGIN_NOT_ALLOWED", "REQUEST_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"}


def unpacked(status, cls):
    for detail in status.details:
        message = cls()
        if detail.Unpack(message):
            return message
    return None


@pytest.mark.parametrize("reason", sorted(REFUSALS))
def test_a_refusal_has_its_code_and_reason(reason):
    error, code = REFUSALS[reason]
    status = errors.status_of(error, "id-1")
    info = unpacked(status, error_details_pb2.ErrorInfo)
    assert status.code == code
    assert (info.reason, info.domain) == (reason, "inference.orrery")


def test_every_published_reason_is_given_by_some_refusal():
    published = {name.removeprefix("ERROR_REASON_") for name in v1.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118  # an enum wrapper, not a dict
    assert published == REFUSALS.keys() | GIVEN_BY_THE_EDGE


@pytest.mark.parametrize("role", Role)
def test_a_role_is_named_in_words(role):
    status = errors.status_of(errors.PermissionDenied(role), "")
    assert status.message == f'this method needs the role "{role.value}"'
    assert unpacked(status, error_details_pb2.ErrorInfo).metadata == {"role": role.value}


def test_a_method_that_no_role_opens():
    status = errors.status_of(errors.PermissionDenied(None), "")
    assert status.message == "no role opens this method"
    assert not unpacked(status, error_details_pb2.ErrorInfo).metadata


def test_the_unforeseen_is_not_leaked():
    status = errors.status_of(KeyError("a secret"), "id-1")
    assert "secret" not in status.message
    assert "id-1" in status.message


@pytest.mark.parametrize("refusal", [errors.Overloaded(1.5), errors.QuotaExceeded(1.5), errors.StoreFull(1.5)])
def test_too_much_says_when_to_come_back(refusal):
    retry = unpacked(errors.status_of(refusal, ""), error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_a_subclass_is_answered_like_its_class():
    class Worse(errors.DeadlineExceeded):
        pass

    assert errors.status_of(Worse(), "").code == code_pb2.DEADLINE_EXCEEDED


def test_a_backends_own_status_goes_on_unchanged():
    status = errors.status_of(errors.InvalidRequest([errors.FieldViolation("a", "b")]), "")
    assert errors.status_of(errors.BackendRefusal(status), "x") == status

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client makes of servers that do not acknowledge what changes something: real gRPC."""

import contextlib
from concurrent import futures

import grpc
import pytest
from grpc_status import rpc_status

from gateway.serving.errors import Overloaded, PermissionDenied, StoreFull, status_of
from orrery.inference import InferenceError, v1
from tests.both_clients import BOTH


class Refusing(v1.FeedbackServiceServicer):
    """Refuses as it is told to, then keeps; remembers the ids that it was asked under."""

    def __init__(self, *refusals):
        self.request_ids = []
        self._refusals = iter(refusals)

    def _keep(self, request, context):
        self.request_ids.append(request.request_id)
        refusal = next(self._refusals, None)
        if isinstance(refusal, grpc.StatusCode):
            context.abort(refusal, "not now")
        elif refusal is not None:
            context.abort_with_status(rpc_status.to_status(status_of(refusal, "x")))

    def SubmitClassification(self, request, context):  # noqa: N802  # the contract's name
        self._keep(request, context)
        return v1.SubmitClassificationResponse(receipt=v1.VoteReceipt(request_id=request.request_id))

    def EraseContributor(self, request, context):  # noqa: N802  # the contract's name
        self._keep(request, context)
        return v1.EraseContributorResponse(erased_votes=7)


@pytest.fixture(params=BOTH)
def asking(request):
    """Gives a client of a server with a servicer."""
    with contextlib.ExitStack() as stack:

        def ask(servicer):
            server = grpc.server(futures.ThreadPoolExecutor(4))
            v1.add_FeedbackServiceServicer_to_server(servicer, server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            return stack.enter_context(BOTH[request.param](f"127.0.0.1:{port}"))

        yield ask


# More than gRPC itself tries (4 times), and what it does not try again.
@pytest.mark.parametrize("refusals", [[grpc.StatusCode.UNAVAILABLE] * 9, [Overloaded(0.01), Overloaded(0.02)]])
def test_what_may_pass_is_tried_again_under_one_id(asking, refusals):
    server = Refusing(*refusals)
    client = asking(server)
    vote = v1.SubmitClassificationRequest()
    receipt = client.submit_classification(vote, timeout_s=60)
    assert receipt.request_id == vote.request_id != ""
    assert server.request_ids == [vote.request_id] * (len(refusals) + 1)


def test_an_id_of_the_callers_stays(asking):
    server = Refusing(grpc.StatusCode.UNAVAILABLE)
    erasure = v1.EraseContributorRequest(request_id="mine")
    assert asking(server).erase_contributor(erasure).erased_votes == 7
    assert server.request_ids == ["mine", "mine"]


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (PermissionDenied("contributor"), grpc.StatusCode.PERMISSION_DENIED),
        # "Come back in a minute" is later than the caller will wait.
        (StoreFull(), grpc.StatusCode.RESOURCE_EXHAUSTED),
        # Without a time to come back it is gRPC's: the message is too large.
        (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_what_will_not_pass_is_not_tried_again(asking, refusal, code):
    server = Refusing(refusal)
    client = asking(server)
    with pytest.raises(InferenceError) as refused:
        client.submit_classification(v1.SubmitClassificationRequest())
    assert refused.value.code is code
    assert len(server.request_ids) == 1

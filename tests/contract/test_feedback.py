# SPDX-License-Identifier: GPL-3.0-or-later
"""The feedback service as its callers meet it, straight and through the front."""

import asyncio

import grpc
import pytest
import pytest_asyncio

from gateway.front.settings import FrontSettings
from orrery.inference import v1
from orrery.inference.errors import InferenceError
from tests.pods import running_feedback, running_front
from tests.votes import LABEL, QUESTION, request, submit, token

MODEL = v1.ModelSpec(
    name="neo_classifier", version=20261123122213, variant="pruned-int8-weights", training_data="x" * 200
)

# More than a message of the export holds.
VOTES = 600

# One loop for all: they share a pod.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def feedback(tmp_path_factory):
    """A stub of a front before a feedback pod, which every test fills with objects or contributors of its own."""
    async with (
        running_feedback(folder=tmp_path_factory.mktemp("store")) as pod,
        running_front(feedback_address=pod.address) as front,
        grpc.aio.insecure_channel(front.address) as channel,
    ):
        yield v1.FeedbackServiceStub(channel)


async def refusal_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return InferenceError(refused.value)


async def test_a_vote_is_kept_once_and_counts(feedback):
    counted = "counted here alone"
    by = [token() for _ in range(4)]
    vote = request(counted, by=by[0], shown=MODEL)
    first = await feedback.SubmitClassification(vote)
    again = await feedback.SubmitClassification(vote)
    assert first == again
    assert first.receipt.request_id == vote.request_id
    assert first.receipt.counted
    await asyncio.gather(*(feedback.SubmitClassification(request(counted, by=one)) for one in by[1:]))
    await feedback.SubmitClassification(request(counted, label="DATA_PLAUSIBLE"))
    reply = await feedback.GetConsensus(v1.GetConsensusRequest(designations=["unheard of", counted]))
    unheard, known = reply.objects
    assert (unheard.designation, list(unheard.questions)) == ("unheard of", [])
    (record,) = known.questions
    assert (record.question, record.status) == (QUESTION["RECORD"], v1.CONSENSUS_STATUS_AGREED)
    assert (record.label, record.votes, record.anonymous_votes) == (LABEL["DATA_ERROR"], 4, 1)
    assert [share.label for share in record.shares] == [LABEL["DATA_ERROR"], LABEL["DATA_PLAUSIBLE"]]


async def test_everything_held_is_exported_and_erased(feedback):
    by = token()
    votes = [request(f"2004 F{number}", by=by, shown=MODEL) for number in range(VOTES)]
    await asyncio.gather(*(submit(feedback, vote) for vote in votes))
    export = [part async for part in feedback.ExportContributor(v1.ExportContributorRequest(contributor_token=by))]
    contributor = export[0].contributor
    assert contributor.votes == VOTES
    assert len(bytes.fromhex(contributor.pseudonym)) == 32
    assert contributor.weight == 0.5
    held = [vote for part in export for vote in part.votes]
    assert {vote.receipt.request_id: vote.designation for vote in held} == {v.request_id: v.designation for v in votes}
    assert held[0].shown == v1.ModelSpec(name=MODEL.name, version=MODEL.version, variant=MODEL.variant)
    assert by not in str(export)
    erasure = await feedback.EraseContributor(v1.EraseContributorRequest(request_id="please", contributor_token=by))
    assert (erasure.erased_votes, erasure.recomputed_consensus) == (VOTES, VOTES)
    empty = [part async for part in feedback.ExportContributor(v1.ExportContributorRequest(contributor_token=by))]
    assert empty == [v1.ExportContributorResponse()]


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({"request_id": ""}, ["request_id"]),
        ({"request_id": "a b"}, ["request_id"]),
        ({"request_id": "a" * 65}, ["request_id"]),
        ({"designation": ""}, ["designation"]),
        ({"designation": "x" * 65_536}, ["designation"]),
        ({"designation": "2004\0FH"}, ["designation"]),
        ({"designation": "2004\nFH"}, ["designation"]),
        ({"designation": "2004 FH\u200b"}, ["designation"]),
        ({"designation": "\N{COMET}"}, ["designation"]),
        ({"designation": "\N{GRINNING FACE}"}, ["designation"]),
        ({"designation": " 2004 FH"}, ["designation"]),
        ({"designation": "2004  FH"}, ["designation"]),
        ({"designation": "Cape\u0301k"}, ["designation"]),
        ({"label": 0}, ["label"]),
        ({"label": 99}, ["label"]),
        ({"label": -1}, ["label"]),
        ({"contributor_token": "short"}, ["contributor_token"]),
        ({"contributor_token": "citizen@example.org"}, ["contributor_token"]),
        ({"contributor_token": "caf\u00e9-caf\u00e9-caf\u00e9-caf\u00e9"}, ["contributor_token"]),
        ({"contributor_token": "x" * 129}, ["contributor_token"]),
        ({"shown": v1.ModelSpec(variant="f32")}, ["shown.name", "shown.version"]),
        ({"shown": v1.ModelSpec(name="m", version=-1)}, ["shown.version"]),
        ({"shown": v1.ModelSpec(name="m\0", version=1)}, ["shown.name"]),
        ({"request_id": "", "designation": "\0", "label": 0, "contributor_token": "\0"},
         ["request_id", "label", "designation", "contributor_token"]),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named_and_tokens_are_not_quoted(feedback, change, paths):
    vote = request(by=token())
    for field, value in change.items():
        if field == "shown":
            vote.shown.CopyFrom(value)
        else:
            setattr(vote, field, value)
    refusal = await refusal_of(feedback.SubmitClassification(vote))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.path for violation in refusal.violations] == paths
    assert len(refusal.message) < 300
    if "contributor_token" in change and len(change["contributor_token"]) > 1:
        assert change["contributor_token"] not in str(refusal)


@pytest.mark.parametrize(
    "change",
    [
        {"designation": "x" * 64},
        {"designation": "(24101) Cassini"},
        {"designation": "1I/\N{MODIFIER LETTER TURNED COMMA}Oumuamua (A/2017 U1)"},
        {"designation": "(1983) \u010capek"},
        {"contributor_token": ""},
        {"contributor_token": "-._~+/=AZaz09xxxx"},
        {"shown": v1.ModelSpec(name="of the future", version=2**63 - 1, version_label="canary")},
    ],
)
async def test_what_is_unusual_but_right_is_kept(feedback, change):
    vote = request(by=token())
    for field, value in change.items():
        if field == "shown":
            vote.shown.CopyFrom(value)
        else:
            setattr(vote, field, value)
    assert (await feedback.SubmitClassification(vote)).receipt.counted


async def test_a_reused_request_id_is_named(feedback):
    vote = request(by=token())
    await feedback.SubmitClassification(vote)
    vote.designation = "2004 FI"
    refusal = await refusal_of(feedback.SubmitClassification(vote))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert [violation.path for violation in refusal.violations] == ["request_id"]


async def test_without_the_pod_the_front_says_so():
    async with running_front() as front, grpc.aio.insecure_channel(front.address) as channel:
        refusal = await refusal_of(v1.FeedbackServiceStub(channel).SubmitClassification(request(), timeout=20))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE")
    assert FrontSettings().feedback_address == "127.0.0.1:50054"

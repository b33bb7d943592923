# SPDX-License-Identifier: GPL-3.0-or-later
"""FeedbackService: decode, one call of the store, encode."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.feedback import metrics
from gateway.feedback.consensus import Consensus
from gateway.feedback.decode import read_designations, read_submission, read_token
from gateway.feedback.store.contributors import ModelVersion
from gateway.feedback.store.store import Store
from gateway.feedback.store.votes import KeptVote, Receipt, Submission
from gateway.feedback.writer import Writer
from gateway.serving.context import Context
from gateway.serving.errors import ServingError, reason_of
from orrery.inference import v1

T = TypeVar("T")

# Of one message of an export.
_EXPORT_VOTES: Final = 500


class FeedbackServicer(v1.FeedbackServiceServicer):
    """Implements the service over a store: the writer's thread writes, the executor's read."""

    def __init__(self, store: Store, writer: Writer, readers: Executor) -> None:
        """Serve with what was started.

        Args:
            store: where votes are.
            writer: writes to it.
            readers: threads that read from it.
        """
        self._store = store
        self._writer = writer
        self._readers = readers

    async def SubmitClassification(  # noqa: N802  # the contract's name
        self, request: v1.SubmitClassificationRequest, context: Context
    ) -> v1.SubmitClassificationResponse:
        """One vote; the reply means that it is on disk."""
        del context
        try:
            submission = read_submission(request)
            receipt = await self._writer.run(self._store.keeping(submission))
        except ServingError as error:
            metrics.REFUSED.labels(reason_of(error)).inc()
            raise
        metrics.VOTES.labels(_kind(submission, receipt)).inc()
        return v1.SubmitClassificationResponse(receipt=_receipt(receipt))

    async def GetConsensus(  # noqa: N802  # the contract's name
        self, request: v1.GetConsensusRequest, context: Context
    ) -> v1.GetConsensusResponse:
        """What the votes amount to."""
        del context
        return await self._read(self._consensus, read_designations(request))

    async def ExportContributor(  # noqa: N802  # the contract's name
        self, request: v1.ExportContributorRequest, context: Context
    ) -> AsyncIterator[v1.ExportContributorResponse]:
        """Everything about one contributor, piece by piece."""
        del context
        holding = await self._read(self._store.holding, read_token(request))
        if holding is None:
            yield v1.ExportContributorResponse()
            return
        yield v1.ExportContributorResponse(
            contributor=v1.ContributorRecord(
                pseudonym=holding.pseudonym.hex(),
                first_seen_time=_timestamp(holding.first_seen_unix_us),
                votes=holding.votes,
                weight=holding.weight,
                trained_models=_models(holding.trained_models),
            )
        )
        last = 0
        while votes := await self._read(self._votes, holding.pseudonym, last):
            yield v1.ExportContributorResponse(votes=map(_vote, votes))
            last = votes[-1].vote_id

    async def EraseContributor(  # noqa: N802  # the contract's name
        self, request: v1.EraseContributorRequest, context: Context
    ) -> v1.EraseContributorResponse:
        """One contributor, gone for good when the reply is there."""
        del context
        erasure = await self._writer.run(self._store.erasing(read_token(request), request.request_id))
        return v1.EraseContributorResponse(
            erased_votes=erasure.erased_votes,
            recomputed_consensus=erasure.recomputed_consensus,
            trained_models=_models(erasure.trained_models),
        )

    async def _read(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *arguments)

    def _votes(self, pseudonym: bytes, after_vote_id: int) -> list[KeptVote]:
        return self._store.votes_of(pseudonym, after_vote_id=after_vote_id, most=_EXPORT_VOTES)

    def _consensus(self, designations: list[str]) -> v1.GetConsensusResponse:
        questions: defaultdict[str, list[v1.QuestionConsensus]] = defaultdict(list)
        for (designation, question), consensus, anonymous in self._store.consensus(set(designations)):
            questions[designation].append(_question(question, consensus, anonymous))
        return v1.GetConsensusResponse(
            objects=[
                v1.ObjectConsensus(
                    designation=designation, questions=sorted(questions[designation], key=lambda one: one.question)
                )
                for designation in designations
            ]
        )


def _kind(submission: Submission, receipt: Receipt) -> str:
    if receipt.repeated:
        return "repeated"
    if not submission.token:
        return "anonymous"
    return "first" if receipt.counted else "later"


def _question(question: int, consensus: Consensus, anonymous: int) -> v1.QuestionConsensus:
    shares = sorted(consensus.shares.items(), key=lambda share: (-share[1], share[0]))
    return v1.QuestionConsensus(
        question=v1.ClassificationQuestion.ValueType(question),
        status=v1.ConsensusStatus.ValueType(consensus.status),
        label=v1.ClassificationLabel.ValueType(consensus.label),
        votes=len(consensus.weighed),
        anonymous_votes=anonymous,
        shares=[v1.LabelShare(label=v1.ClassificationLabel.ValueType(label), share=share) for label, share in shares],
    )


def _receipt(receipt: Receipt) -> v1.VoteReceipt:
    return v1.VoteReceipt(
        request_id=receipt.request_id,
        receipt_id=receipt.receipt_id,
        received_time=_timestamp(receipt.received_unix_us),
        counted=receipt.counted,
    )


def _vote(vote: KeptVote) -> v1.VoteRecord:
    shown = vote.shown
    return v1.VoteRecord(
        receipt=_receipt(vote.receipt),
        designation=vote.designation,
        label=v1.ClassificationLabel.ValueType(vote.label),
        shown=None
        if shown is None
        else v1.ModelSpec(name=shown.name, version=shown.version, version_label=shown.label, variant=shown.variant),
    )


def _models(models: Iterable[ModelVersion]) -> list[v1.ModelSpec]:
    return [v1.ModelSpec(name=model.name, version=model.version) for model in models]


def _timestamp(unix_us: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(unix_us)
    return stamp

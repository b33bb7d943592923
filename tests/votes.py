# SPDX-License-Identifier: GPL-3.0-or-later
"""Votes for tests."""

import asyncio
import secrets
import uuid

import grpc

from gateway.feedback.store.votes import Shown, Submission
from orrery.inference import v1
from orrery.inference.errors import InferenceError

LABEL = {name.removeprefix("CLASSIFICATION_LABEL_"): number for name, number in v1.ClassificationLabel.items()}
QUESTION = {name.removeprefix("CLASSIFICATION_QUESTION_"): number for name, number in v1.ClassificationQuestion.items()}
SHOWN = Shown("neo_classifier", 20261123122213, "", "pruned-int8-weights")


def token():
    return secrets.token_urlsafe(24)


def submission(designation="2004 FH", label="DATA_ERROR", by="", *, request_id=None, shown=SHOWN):
    return Submission(request_id or str(uuid.uuid4()), designation, LABEL[label], shown, by)


def request(designation="2004 FH", label="DATA_ERROR", by="", *, request_id=None, **fields):
    return v1.SubmitClassificationRequest(
        request_id=request_id or str(uuid.uuid4()),
        designation=designation,
        label=LABEL[label],
        contributor_token=by,
        **fields,
    )


async def submit(stub, vote):
    """As a caller should: who is told to come back does."""
    while True:
        try:
            return await stub.SubmitClassification(vote, timeout=60)
        except grpc.aio.AioRpcError as error:
            refusal = InferenceError(error)
            if refusal.reason != "OVERLOADED":
                raise
            await asyncio.sleep(refusal.retry_after_s)


def keep(store, *arguments, **named):
    return store.write(store.keeping(submission(*arguments, **named)))


def consensus(store, designation="2004 FH"):
    """By question's name."""
    names = {number: name for name, number in QUESTION.items()}
    return {names[question]: found for (_, question), found, _ in store.consensus([designation])}

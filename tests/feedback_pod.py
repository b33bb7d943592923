# SPDX-License-Identifier: GPL-3.0-or-later
"""A feedback pod as a process of its own, which can be killed and started again at the same address; and voters."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.feedback.settings import StoreSettings
from gateway.feedback.store.store import Store
from orrery.inference import v1
from tests.pods import PROJECT_ROOT, free_address
from tests.votes import request, token

SERVICE = "orrery.inference.v1.FeedbackService"


class Pod:
    """The process, its address, and its store's settings."""

    def __init__(self, folder, database_url=None, **environment):
        self.address, self.metrics = free_address(), free_address()
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        self.secret = secrets.token_hex(32)
        self.database_url = database_url
        self._environment = {
            **os.environ,
            "ORRERY_FEEDBACK_ADDRESS": self.address,
            "ORRERY_FEEDBACK_METRICS_ADDRESS": self.metrics,
            "ORRERY_FEEDBACK_FOLDER": str(folder),
            "ORRERY_FEEDBACK_SECRET": self.secret,
            "ORRERY_FEEDBACK_LOG_LEVEL": "DEBUG",
            **({} if database_url is None else {"ORRERY_FEEDBACK_DATABASE_URL": database_url}),
            **environment,
        }
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "gateway", "feedback"]
            self.process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=self._environment, stderr=log, stdout=log)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def store(self):
        """What is on disk, read by another process than the pod."""
        return Store(StoreSettings(folder=self.folder, database_url=self.database_url, secret=self.secret))

    @contextlib.asynccontextmanager
    async def channel(self):
        # As the front's channels: back within a second, without retries that would hide what happened.
        options = (("grpc.max_reconnect_backoff_ms", 200), ("grpc.enable_retries", 0))
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            yield channel

    async def until_serving(self, channel, expected=1):
        checks = health_pb2_grpc.HealthStub(channel)
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    question = health_pb2.HealthCheckRequest(service=SERVICE)
                    if (await checks.Check(question, timeout=2, wait_for_ready=True)).status == expected:
                        return
                await asyncio.sleep(0.02)


@contextlib.contextmanager
def pod_process(folder, **settings):
    """A started pod, killed afterwards if nobody has."""
    pod = Pod(folder, **settings)
    pod.start()
    try:
        yield pod
    finally:
        if pod.process.poll() is None:
            pod.kill()


class Voters:
    """Hand in votes until each is acknowledged; repeat what was not, as a caller should."""

    def __init__(self, channel, people=40):
        self._submit = v1.FeedbackServiceStub(channel).SubmitClassification
        self._people = [token() for _ in range(people)]
        self.receipts = {}
        self.unacknowledged = {}
        self.attempts = 0

    async def vote(self, number):
        """One new vote, tried once; whether it was acknowledged."""
        vote = request(f"2004 F{number % 97}", by=self._people[number % len(self._people)])
        self.unacknowledged[vote.request_id] = vote
        await self._try(vote)
        return vote.request_id not in self.unacknowledged

    async def repeat(self):
        """What was not acknowledged, once more, a hundred at a time."""
        some = list(self.unacknowledged.values())[:100]
        await asyncio.gather(*(self._try(vote) for vote in some))

    async def _try(self, vote):
        self.attempts += 1
        try:
            reply = await self._submit(vote, timeout=5, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}, error
            return
        known = self.receipts.setdefault(vote.request_id, reply.receipt)
        assert known == reply.receipt
        self.unacknowledged.pop(vote.request_id, None)

    async def keep_voting(self, streams=8):
        """Until cancelled."""
        numbers = iter(range(10**9))

        async def stream():
            for number in numbers:
                if not await self.vote(number):
                    # Without a pause, thousands would have to be repeated after a second in which nobody answers.
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(stream() for _ in range(streams)))

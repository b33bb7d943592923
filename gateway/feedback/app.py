# SPDX-License-Identifier: GPL-3.0-or-later
"""The feedback pod: its store, its service, and the service's health."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Final

import grpc
import structlog
from grpc_health.v1 import health

from gateway.feedback import metrics
from gateway.feedback.servicer import FeedbackServicer
from gateway.feedback.settings import FeedbackSettings
from gateway.feedback.store.database import StoreUnavailable
from gateway.feedback.store.store import Store
from gateway.feedback.writer import Writer
from gateway.serving import server as serving
from gateway.serving.errors import StoreFull
from orrery.inference import v1
from orrery.inference.v1 import feedback_service_pb2

SERVICE: str = feedback_service_pb2.DESCRIPTOR.services_by_name["FeedbackService"].full_name

log = structlog.get_logger()

# Votes that share one commit, at most; what waits while a commit is under way goes into the next.
_COMMIT_VOTES: Final = 64
# Votes that may wait; beyond these a call is refused at once.
MAX_WAITING: Final = 512
# What a refused caller is told to wait.
_RETRY_AFTER_S: Final = 1.0
# How often the store is looked at: health, size; and how soon one that was away is tried again.
HEALTH_PERIOD_S: Final = 1.0


@contextlib.asynccontextmanager
async def mount(
    settings: FeedbackSettings,
    server: grpc.aio.Server,
    checks: health.aio.HealthServicer,
    *,
    max_waiting: int = MAX_WAITING,
    health_period_s: float = HEALTH_PERIOD_S,
) -> AsyncIterator[Sequence[str]]:
    """Serve while entered; healthy while the store answers.

    Raises:
        ValueError: a setting makes no sense, or the secret is not the store's.
        OSError: a file of secrets cannot be read.
    """
    # One more connection than threads that read: the look at the store's health waits for nobody.
    store = Store(settings, readers=settings.readers + 1)
    writer = Writer(store, most=_COMMIT_VOTES, max_waiting=max_waiting, retry_after_s=_RETRY_AFTER_S)
    with contextlib.ExitStack() as stack:
        stack.callback(store.close)
        stack.callback(writer.close)
        readers = stack.enter_context(ThreadPoolExecutor(settings.readers, thread_name_prefix="feedback-reader"))
        # Its own thread, which is waited for: a look that is under way at the end has a connection.
        looks = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="feedback-watch"))
        v1.add_FeedbackServiceServicer_to_server(FeedbackServicer(store, writer, readers), server)
        await checks.set(SERVICE, serving.NOT_SERVING)
        watch = _Watch(store, looks)
        await watch.look(checks)
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(watch.keep_looking(checks, health_period_s))
            yield (SERVICE,)
            keeper.cancel()


class _Watch:
    """Opens the store as soon as it can be, and says whether it answers."""

    def __init__(self, store: Store, thread: Executor) -> None:
        self._store = store
        self._thread = thread
        self._opened = False
        self._said: str | None = None

    async def keep_looking(self, checks: health.aio.HealthServicer, period_s: float) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            await self.look(checks)

    async def look(self, checks: health.aio.HealthServicer) -> None:
        """Look once.

        Raises:
            WrongSecret: it is not the store's.
        """
        cause = await asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        if cause != self._said:
            self._said = cause
            if cause:
                log.error("the feedback store does not answer", cause=cause)
            else:
                log.info("the feedback store answers")
        metrics.STORE_UP.set(not cause)
        await checks.set(SERVICE, serving.NOT_SERVING if cause else serving.SERVING)

    def _look(self) -> str:
        """What is wrong with the store; "" if it answers."""
        try:
            if not self._opened:
                self._store.open()
                self._opened = True
            metrics.STORE_BYTES.set(self._store.check())
        except StoreUnavailable as error:
            return error.cause
        except StoreFull:
            return "full"
        return ""


def main() -> None:
    """`python -m gateway feedback`."""
    settings = FeedbackSettings()
    serving.run("feedback", settings, partial(mount, settings))

# SPDX-License-Identifier: GPL-3.0-or-later
"""The client for threads and the client for asyncio behind one face, so that each test asks both."""

import asyncio
import inspect

from orrery.inference import AsyncInferenceClient, InferenceClient


class InLoop:
    """An `AsyncInferenceClient` asked from outside its loop: coroutines are run, streams become lists."""

    def __init__(self, *args, **options):
        self._runner = asyncio.Runner()
        self._client = self._runner.run(self._opened(args, options))

    @staticmethod
    async def _opened(args, options):
        return AsyncInferenceClient(*args, **options)

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def ask(*args, **options):
            answer = method(*args, **options)
            return self._runner.run(answer if inspect.iscoroutine(answer) else self._all(answer))

        return ask

    @staticmethod
    async def _all(answers):
        return [answer async for answer in answers]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.close())
        self._runner.close()


BOTH = {"threads": InferenceClient, "asyncio": InLoop}

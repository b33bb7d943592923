# SPDX-License-Identifier: GPL-3.0-or-later
"""Work of calls on threads, begun only while its answer is still worth having."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from math import inf
from time import monotonic
from typing import Final, ParamSpec, TypeVar

from gateway.serving import metrics
from gateway.serving.context import Context
from gateway.serving.observed_call import come_back_later

P = ParamSpec("P")
T = TypeVar("T")

_WAITED_SHARE: Final = 0.5


async def run_in_time(
    executor: Executor, context: Context, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a call's work on a thread, in its turn.

    A call that has waited for half of its time when its turn comes is refused: threads that begin what nobody will
    wait for answer nobody, once more is asked than they can do. One that has gone by then is left out.

    Args:
        executor: the threads.
        context: of the call.
        work: to be done.
        args: of the work.
        kwargs: of the work.

    Raises:
        Overloaded: it has waited too long.
    """
    left_s = context.time_remaining()
    latest_s = inf if left_s is None else monotonic() + _WAITED_SHARE * left_s

    def begin() -> T:
        if monotonic() > latest_s:
            metrics.OVERLOAD_REFUSED.inc()
            raise come_back_later()
        return work(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(executor, begin)

# SPDX-License-Identifier: GPL-3.0-or-later
"""PredictionService: validate, have it judged (or remember), encode."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from gateway.front import metrics
from gateway.front.cache import PredictionCache
from gateway.front.encoding import encode_columns, encode_rows
from gateway.front.judging import Judges
from gateway.front.rollout import Rollout
from gateway.front.settings import FrontSettings
from gateway.front.tuning import MEASURED, Tuning
from gateway.serving.callers import caller_here
from gateway.serving.channels import onward
from gateway.serving.context import Context
from gateway.serving.orbit_columns import read_model_columns
from gateway.serving.orbits import read_model_rows
from gateway.serving.streams import BusyStreams, in_order
from gateway.serving.turns import Turns
from gateway.serving.validation import Violations, check
from orrery.inference import v1

if TYPE_CHECKING:
    # Loaded only where settings ask for it.
    from gateway.front.shared_cache import SharedPredictions

Floats = NDArray[np.float64]

_FEW_ROWS: Final = 256
"""Up to here columns are read and written on the event loop: a thread's hop costs as much as the work."""
_MOST_CACHED_ROWS: Final = 64
"""Of one request: what is asked in bulk is not asked again soon, and would sweep out what is."""


class PredictionServicer(v1.PredictionServiceServicer):
    """Implements the service over the judges."""

    def __init__(
        self,
        judges: Judges,
        rollout: Rollout,
        settings: FrontSettings,
        turns: Turns,
        shared: "SharedPredictions | None" = None,
        tuning: Tuning = MEASURED,
    ) -> None:
        """Begin with nothing remembered.

        Args:
            judges: describe who answered.
            rollout: asked for what is not remembered.
            settings: the front's.
            turns: threads that read and write many rows.
            shared: what all fronts remember, if they do.
            tuning: how much of a stream is worked on, how long a label is remembered.
        """
        self._judges = judges
        self._rollout = rollout
        self._settings = settings
        self._turns = turns
        self._shared = shared
        self._tuning = tuning
        self._busy = BusyStreams()
        self._cache = PredictionCache(settings.cache_rows, tuning.cache_fresh_s)

    async def Predict(self, request: v1.PredictRequest, context: Context) -> v1.PredictResponse:  # noqa: N802  # the contract's name
        """Rows in, rows out."""
        rows = _read_rows(request)
        budget = onward(context, cap_s=self._settings.prediction_deadline_s)
        arm = await self._rollout.choose(request.model, rows)
        keys = [row.tobytes() for row in rows] if self._settings.cache_rows and len(rows) <= _MOST_CACHED_ROWS else []
        asked_s = monotonic()
        if keys and (found := await self._remembered(arm.selector, keys, asked_s)):
            version, predictions = found
        else:
            said, arm = await self._rollout.judge(arm, rows, budget)
            version, predictions = said.version, encode_rows(said, rows)
            if keys:
                encoded = [prediction.SerializeToString() for prediction in predictions]
                self._cache.store(arm.selector, version, asked_s, keys, encoded)
                if self._shared is not None:
                    self._shared.store(version, keys, encoded)
        for prediction, item in zip(predictions, request.objects, strict=True):
            prediction.designation = item.designation
        model = await self._judges.describe(version, arm.model, budget)
        return v1.PredictResponse(predictions=predictions, model=model)

    async def _remembered(
        self, selector: bytes, keys: Sequence[bytes], now_s: float
    ) -> tuple[int, list[v1.Prediction]] | None:
        """The version that a selector means and what it said of some rows, here or in another front."""
        if found := self._cache.find(selector, keys, now_s):
            metrics.CACHE_HITS.inc()
            version, encoded = found
            return version, [v1.Prediction.FromString(prediction) for prediction in encoded]
        meant = self._cache.version_of(selector, now_s)
        if self._shared is not None and meant is not None and (shared := await self._shared.find(meant, keys)):
            with contextlib.suppress(DecodeError):
                predictions = [v1.Prediction.FromString(prediction) for prediction in shared]
                self._cache.keep(meant, keys, shared)
                metrics.CACHE_SHARED_HITS.inc()
                return meant, predictions
        metrics.CACHE_MISSES.inc()
        return None

    async def PredictColumns(  # noqa: N802  # the contract's name
        self, request: v1.PredictColumnsRequest, context: Context
    ) -> v1.PredictColumnsResponse:
        """Columns in, columns out."""
        budget = onward(context, cap_s=self._settings.prediction_deadline_s)
        few = len(request.orbits.eccentricity) <= _FEW_ROWS
        rows = (
            _read_columns(request)
            if few
            else await self._turns.call(_read_columns, request, caller=caller_here(context))
        )
        arm = await self._rollout.choose(request.model, rows)
        said, arm = await self._rollout.judge(arm, rows, budget, definition=not request.without_definition)
        model = await self._judges.describe(said.version, arm.model, budget)
        if few:
            return encode_columns(said, rows, model)
        return await self._turns.call(encode_columns, said, rows, model, caller=caller_here(context))

    async def StreamPredict(  # noqa: N802  # the contract's name
        self, request_iterator: AsyncIterator[v1.PredictColumnsRequest], context: Context
    ) -> AsyncIterator[v1.PredictColumnsResponse]:
        """Columns in, columns out, message by message."""
        replies = in_order(
            request_iterator,
            partial(self._answer_in_stream, context),
            weigh=lambda request: len(request.orbits.eccentricity),
            most_messages=self._tuning.stream_messages_under_way,
            most_weight=self._tuning.stream_rows_under_way,
            busy=self._busy,
        )
        async with contextlib.aclosing(replies):
            async for reply in replies:
                yield reply

    async def _answer_in_stream(self, context: Context, request: v1.PredictColumnsRequest) -> v1.PredictColumnsResponse:
        return await self.PredictColumns(request, context)


def _read_rows(request: v1.PredictRequest) -> Floats:
    """The (N, 7) numbers that are judged.

    Raises:
        InvalidRequest: naming every field that breaks its bounds.
    """
    violations = Violations()
    check(request, violations)
    # -0.0 and 0.0 are one number, and one key of the cache.
    return read_model_rows(request.objects, violations) + 0.0


def _read_columns(request: v1.PredictColumnsRequest) -> Floats:
    violations = Violations()
    check(request, violations)
    return read_model_columns(request.orbits, violations)

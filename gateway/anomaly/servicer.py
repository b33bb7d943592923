# SPDX-License-Identifier: GPL-3.0-or-later
"""AnomalyService: validate, score, explain, tag."""

import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.anomaly.explanation import METHOD, contributions
from gateway.anomaly.forests import Forests
from gateway.anomaly.scorer import BLOCK_ROWS, Forest, Scores
from gateway.anomaly.tags import orbit_tags, uncertainty_tags
from gateway.serving.callers import caller_behind
from gateway.serving.context import Context
from gateway.serving.drift import DriftMonitor
from gateway.serving.orbit_columns import read_model_columns
from gateway.serving.orbits import MODEL_COLUMNS, read_model_rows
from gateway.serving.streams import BusyStreams, in_order
from gateway.serving.turns import Pieces, Turns, by_blocks, complete
from gateway.serving.validation import Violations, check
from orrery.inference import v1

Floats = NDArray[np.float64]

# Of all streams at a time: messages, and their summed objects. Each stream may have one.
_STREAM_MESSAGES_UNDER_WAY: Final = 64
_STREAM_ROWS_UNDER_WAY: Final = 200_000

_FEW_ROWS: Final = 16
"""Up to here a call is answered on the event loop: 60 to 200 us, which a thread's hop and back would cost too."""


class AnomalyServicer(v1.AnomalyServiceServicer):
    """Implements the service over the loaded forests; all but the smallest calls are worked on in turns."""

    def __init__(self, forests: Forests, model_name: str, turns: Turns, drift: DriftMonitor | None = None) -> None:
        self._forests = forests
        self._drift = drift
        self._name = model_name
        self._turns = turns
        self._busy = BusyStreams()

    async def ScoreAnomalies(  # noqa: N802  # the contract's name
        self, request: v1.ScoreAnomaliesRequest, context: Context
    ) -> v1.ScoreAnomaliesResponse:
        """Rows in, rows out."""
        if len(request.objects) <= _FEW_ROWS and not request.explain:
            return complete(self.rows_in_pieces(request))
        return await self._turns.run(
            self.rows_in_pieces(request), caller=caller_behind(context), timeout_s=context.time_remaining()
        )

    async def ScoreAnomalyColumns(  # noqa: N802  # the contract's name
        self, request: v1.ScoreAnomalyColumnsRequest, context: Context
    ) -> v1.ScoreAnomalyColumnsResponse:
        """Columns in, columns out."""
        if len(request.orbits.eccentricity) <= _FEW_ROWS:
            rows, forest = self._read_columns(request)
            return self._columns_message(forest, forest.score(rows))
        return await self.score_columns(request, caller=caller_behind(context), timeout_s=context.time_remaining())

    async def score_columns(
        self, request: v1.ScoreAnomalyColumnsRequest, *, caller: str = "", timeout_s: float | None = None
    ) -> v1.ScoreAnomalyColumnsResponse:
        """The work behind `ScoreAnomalyColumns`; many rows are shared out among the threads."""
        count = len(request.orbits.eccentricity)
        rows, forest = await self._turns.call(self._read_columns, request, caller=caller, timeout_s=timeout_s)
        share = BLOCK_ROWS * math.ceil(count / (BLOCK_ROWS * self._turns.threads))
        shares = [forest.score_in_pieces(rows[start : start + share]) for start in range(0, count, share)]
        scores = Scores.join(await self._turns.run_all(shares, caller=caller))
        return await self._turns.call(self._columns_message, forest, scores, caller=caller)

    async def StreamScoreAnomalies(  # noqa: N802  # the contract's name
        self, request_iterator: AsyncIterator[v1.ScoreAnomalyColumnsRequest], context: Context
    ) -> AsyncIterator[v1.ScoreAnomalyColumnsResponse]:
        """Columns in, columns out, message by message."""
        replies = in_order(
            request_iterator,
            lambda request: self.ScoreAnomalyColumns(request, context),
            weigh=lambda request: len(request.orbits.eccentricity),
            most_messages=_STREAM_MESSAGES_UNDER_WAY,
            most_weight=_STREAM_ROWS_UNDER_WAY,
            busy=self._busy,
        )
        async with contextlib.aclosing(replies):
            async for reply in replies:
                yield reply

    def rows_in_pieces(self, request: v1.ScoreAnomaliesRequest) -> Pieces[v1.ScoreAnomaliesResponse]:
        """The work behind `ScoreAnomalies`."""
        violations = Violations()
        check(request, violations)
        rows = read_model_rows(request.objects, violations)
        forest = self._forests.choose(request.model)
        yield
        scores = yield from forest.score_in_pieces(rows[:, :MODEL_COLUMNS])
        self._watch(forest, scores)
        columns = zip(
            request.objects,
            scores.score.tolist(),
            scores.anomalous.tolist(),
            scores.percentile.tolist(),
            orbit_tags(rows),
            uncertainty_tags(request.objects),
            strict=True,
        )
        messages = [
            v1.AnomalyScore(
                designation=item.designation,
                score=score,
                anomalous=anomalous,
                population_percentile=percentile,
                tags=[*by_orbit, *by_uncertainty],
                condition_code=item.uncertainty.condition_code if item.uncertainty.HasField("condition_code") else None,
                arc_days=item.uncertainty.arc_days if item.uncertainty.HasField("arc_days") else None,
            )
            for item, score, anomalous, percentile, by_orbit, by_uncertainty in columns
        ]
        if request.explain:
            yield from by_blocks(len(messages), partial(_explain, messages, forest, scores))
        return v1.ScoreAnomaliesResponse(scores=messages, model=self._model_spec(forest))

    def _read_columns(self, request: v1.ScoreAnomalyColumnsRequest) -> tuple[Floats, Forest]:
        violations = Violations()
        check(request, violations)
        rows = read_model_columns(request.orbits, violations)
        return rows[:, :MODEL_COLUMNS], self._forests.choose(request.model)

    def _columns_message(self, forest: Forest, scores: Scores) -> v1.ScoreAnomalyColumnsResponse:
        self._watch(forest, scores)
        return v1.ScoreAnomalyColumnsResponse(
            score=scores.score.tolist(),
            anomalous=scores.anomalous.tolist(),
            population_percentile=scores.percentile.tolist(),
            model=self._model_spec(forest),
        )

    def _watch(self, forest: Forest, scores: Scores) -> None:
        if self._drift is not None:
            self._drift.observe(forest.version, scores.features, scores.score)

    def _model_spec(self, forest: Forest) -> v1.ModelSpec:
        return v1.ModelSpec(
            name=self._name, version=forest.version, variant=forest.variant, training_data=forest.training_data
        )


def _explain(messages: Sequence[v1.AnomalyScore], forest: Forest, scores: Scores, rows: slice) -> None:
    """Add to some scores what made them, largest magnitude first."""
    features = scores.features[rows]
    pushes: Floats = contributions(forest.tables, features, scores.score[rows])
    order = np.argsort(-np.abs(pushes), axis=1)
    names = forest.tables.feature_names
    for row, message in enumerate(messages[rows]):
        message.base_score = forest.tables.base_score
        message.explanation_method = METHOD
        message.contributions.extend(
            v1.FeatureContribution(feature=names[column], value=features[row, column], contribution=pushes[row, column])
            for column in order[row]
        )

# SPDX-License-Identifier: GPL-3.0-or-later
"""AnomalyService: validate, score, explain, tag."""

import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.anomaly.explanation import METHOD, contributions
from gateway.anomaly.forests import Forests
from gateway.anomaly.scorer import Forest, Scores
from gateway.anomaly.tags import orbit_tags, uncertainty_tags
from gateway.serving.context import Context
from gateway.serving.drift import DriftMonitor
from gateway.serving.orbit_columns import read_model_columns
from gateway.serving.orbits import MODEL_COLUMNS, read_model_rows
from gateway.serving.streams import in_order
from gateway.serving.validation import Violations, check
from gateway.serving.working import run_in_time
from orrery.inference import v1

# Of one stream at a time: messages, and their summed objects.
_STREAM_MESSAGES_UNDER_WAY: Final = 64
_STREAM_ROWS_UNDER_WAY: Final = 200_000

_FEW_ROWS: Final = 16
"""Up to here a call is answered on the event loop: 60 to 200 us, which a thread's hop and back would cost too."""


class AnomalyServicer(v1.AnomalyServiceServicer):
    """Implements the service over the loaded forests; all but the smallest calls are worked on by the executor."""

    def __init__(
        self, forests: Forests, model_name: str, executor: Executor, drift: DriftMonitor | None = None
    ) -> None:
        self._forests = forests
        self._drift = drift
        self._name = model_name
        self._executor = executor

    async def ScoreAnomalies(  # noqa: N802  # the contract's name
        self, request: v1.ScoreAnomaliesRequest, context: Context
    ) -> v1.ScoreAnomaliesResponse:
        """Rows in, rows out."""
        if len(request.objects) <= _FEW_ROWS and not request.explain:
            return self.score_rows(request)
        return await run_in_time(self._executor, context, self.score_rows, request)

    async def ScoreAnomalyColumns(  # noqa: N802  # the contract's name
        self, request: v1.ScoreAnomalyColumnsRequest, context: Context
    ) -> v1.ScoreAnomalyColumnsResponse:
        """Columns in, columns out."""
        if len(request.orbits.eccentricity) <= _FEW_ROWS:
            return self.score_columns(request)
        return await run_in_time(self._executor, context, self.score_columns, request)

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
        )
        async with contextlib.aclosing(replies):
            async for reply in replies:
                yield reply

    def score_rows(self, request: v1.ScoreAnomaliesRequest) -> v1.ScoreAnomaliesResponse:
        """The work behind `ScoreAnomalies`, in the calling thread."""
        violations = Violations()
        check(request, violations)
        rows = read_model_rows(request.objects, violations)
        forest = self._forests.choose(request.model)
        said = forest.score(rows[:, :MODEL_COLUMNS])
        self._watch(forest, said)
        columns = zip(
            request.objects,
            said.score.tolist(),
            said.anomalous.tolist(),
            said.percentile.tolist(),
            orbit_tags(rows),
            uncertainty_tags(request.objects),
            strict=True,
        )
        scores = [
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
            _explain(scores, forest, said)
        return v1.ScoreAnomaliesResponse(scores=scores, model=self._model_spec(forest))

    def score_columns(self, request: v1.ScoreAnomalyColumnsRequest) -> v1.ScoreAnomalyColumnsResponse:
        """The work behind `ScoreAnomalyColumns`, in the calling thread and those that share large calls."""
        violations = Violations()
        check(request, violations)
        rows = read_model_columns(request.orbits, violations)
        forest = self._forests.choose(request.model)
        said = forest.score(rows[:, :MODEL_COLUMNS])
        self._watch(forest, said)
        return v1.ScoreAnomalyColumnsResponse(
            score=said.score.tolist(),
            anomalous=said.anomalous.tolist(),
            population_percentile=said.percentile.tolist(),
            model=self._model_spec(forest),
        )

    def _watch(self, forest: Forest, said: Scores) -> None:
        if self._drift is not None:
            self._drift.observe(forest.version, said.features, said.score)

    def _model_spec(self, forest: Forest) -> v1.ModelSpec:
        return v1.ModelSpec(
            name=self._name, version=forest.version, variant=forest.variant, training_data=forest.training_data
        )


def _explain(scores: list[v1.AnomalyScore], forest: Forest, said: Scores) -> None:
    """Add to each score what made it, largest magnitude first."""
    pushes: NDArray[np.float64] = contributions(forest.tables, said.features, said.score)
    order = np.argsort(-np.abs(pushes), axis=1)
    names = forest.tables.feature_names
    for row, score in enumerate(scores):
        score.base_score = forest.tables.base_score
        score.explanation_method = METHOD
        score.contributions.extend(
            v1.FeatureContribution(
                feature=names[column], value=said.features[row, column], contribution=pushes[row, column]
            )
            for column in order[row]
        )

# SPDX-License-Identifier: GPL-3.0-or-later
"""The challenger in the shadow: asked what the champion was asked, for a share of objects; nobody is told what it says.

No caller waits for it or fails with it: it is asked after the answer is there, a few calls at a time, a few rows of
each; what would be more is left out and counted.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from gateway.front import metrics
from gateway.front.judging import Judgement
from gateway.front.rollout import CHALLENGER, in_share
from gateway.front.settings import FrontSettings
from gateway.front.tf_serving import TensorFlowServing
from gateway.serving.errors import ServingError
from gateway.serving.orbits import MODEL_COLUMNS
from orrery.inference import v1

Floats = NDArray[np.float64]

log = structlog.get_logger()

_MOST_ROWS: Final = 64
_MOST_CALLS: Final = 4
_DEADLINE_S: Final = 1.0


class Shadow:
    """Compares the challenger with whoever answered."""

    def __init__(
        self, models: TensorFlowServing, settings: FrontSettings, version: Callable[[str], int | None]
    ) -> None:
        """Nobody is asked yet.

        Args:
            models: where the challenger is asked.
            settings: its share.
            version: of a label, None where it is not being served.
        """
        self._models = models
        self._share = settings.shadow_share
        self._version = version
        self._selector = v1.ModelSelector(version_label=CHALLENGER)
        self._tasks: set[asyncio.Task[None]] = set()

    def observe(self, rows: Floats, said: Judgement) -> None:
        """Perhaps ask the challenger the same; returns at once.

        Args:
            rows: (N, 7), see `gateway.front.rules.COLUMNS`.
            said: what was answered.
        """
        challenger = self._version(CHALLENGER)
        if challenger is None or challenger == said.version:
            return
        if not in_share(rows[0], self._share, b"shadow"):
            return
        if len(self._tasks) >= _MOST_CALLS:
            metrics.SHADOW_LEFT_OUT.inc()
            return
        few = slice(0, _MOST_ROWS)
        task = asyncio.create_task(self._compare(rows[few], said.part(few)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Call back what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, rows: Floats, said: Judgement) -> None:
        inputs = {"orbits": np.ascontiguousarray(rows[:, :MODEL_COLUMNS])}
        began_s = time.perf_counter()
        try:
            answer = await self._models.predict(
                "serving_default", inputs, self._selector, timeout=_DEADLINE_S, metadata=None
            )
            theirs = _usable(answer.outputs, len(rows))
        except (ServingError, ValueError) as error:
            metrics.SHADOW_FAILED.labels(type(error).__name__).inc()
            return
        except Exception:
            # It must never reach a caller; it must not be lost either.
            metrics.SHADOW_FAILED.labels("internal").inc()
            log.exception("shadow")
            return
        challenger = str(answer.version)
        metrics.SHADOW_SECONDS.observe(time.perf_counter() - began_s)
        metrics.SHADOW_OBJECTS.labels(challenger).inc(len(rows))
        hazard = theirs["potentially_hazardous"] != said.potentially_hazardous
        classes = theirs["class_probabilities"].argmax(axis=1) != said.class_probabilities.argmax(axis=1)
        metrics.SHADOW_DISAGREEMENTS.labels(challenger, "potentially_hazardous").inc(int(hazard.sum()))
        metrics.SHADOW_DISAGREEMENTS.labels(challenger, "orbit_class").inc(int(classes.sum()))
        for difference in np.abs(theirs["pha_probability"] - said.pha_probability).tolist():
            metrics.SHADOW_DIFFERENCE.observe(difference)


def _usable(outputs: dict[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
    """The three outputs that are compared.

    Raises:
        ValueError: one is missing, of another shape, or not finite.
    """
    shapes = {"pha_probability": (count,), "potentially_hazardous": (count,), "class_probabilities": (count, 4)}
    for name, shape in shapes.items():
        values = outputs.get(name)
        if values is None or values.shape != shape or not np.isfinite(values).all():
            raise ValueError(name)
    return outputs

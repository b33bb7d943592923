# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version answers while the one that should cannot be used: its outputs have other names, or are no numbers."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import grpc
import structlog

from gateway.front import metrics
from gateway.front.arms import Arm, arm_of
from gateway.front.tf_serving import TensorFlowServing
from gateway.serving.errors import ModelNotFound, ModelUnusable
from gateway.serving.settings import CLASSIFIER_NAME
from orrery.inference import v1

T = TypeVar("T")

log = structlog.get_logger()


class SpareVersions:
    """For callers who chose no version: another loaded one, until the one that should answer is tried again."""

    def __init__(self, models: TensorFlowServing, period_s: float) -> None:
        """Nothing is known to be unusable.

        Args:
            models: asked which versions there are.
            period_s: after so long the version that should answer is tried again.
        """
        self._models = models
        self._period_s = period_s
        # By the name of the arm that cannot be used: the arm in its place, and until when.
        self._spares: dict[str, tuple[Arm, float]] = {}
        # The last version that answered, by the arm that should.
        self._good: dict[str, int] = {}

    def in_place_of(self, arm: Arm) -> Arm:
        """The arm to ask: this one, unless its version was found unusable just now."""
        spare, until_s = self._spares.get(arm.name, (arm, 0.0))
        return spare if monotonic() < until_s else arm

    def note(self, arm: Arm, version: int) -> None:
        """Remember which version answered well."""
        self._good[arm.name] = version
        if not arm.model.version:
            self._spares.pop(arm.name, None)

    async def ask(self, arm: Arm, ask: Callable[[Arm], Awaitable[T]], *, left_out: int | None = None) -> tuple[T, Arm]:
        """Ask the loaded versions, first the one that answered last, then from the newest on, until one can be used.

        Args:
            arm: whose version cannot be used.
            ask: puts the question.
            left_out: a version that answers nobody.

        Returns:
            The answer, and the arm that gave it.

        Raises:
            ModelUnusable: none can be used.
            ServingError: what else `ask` raises.
        """
        metrics.UNUSABLE.labels(arm.name).inc()
        try:
            loaded = await self._models.versions(timeout_s=self._period_s)
        except grpc.aio.AioRpcError:
            loaded = set()
        last = self._good.get(arm.name)
        for version in sorted(loaded - {left_out}, key=lambda version: (version == last, version), reverse=True):
            # Should it go before it is due, the arm itself is asked again.
            spare = arm_of(arm.name, v1.ModelSelector(version=version), arm)
            try:
                answer = await ask(spare)
            except (ModelNotFound, ModelUnusable):
                continue
            if arm.name not in self._spares:
                log.error("the version that should answer cannot be used", arm=arm.name, instead=version)
            self._spares[arm.name] = (spare, monotonic() + self._period_s)
            return answer, spare
        raise ModelUnusable(CLASSIFIER_NAME)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version answers a caller who chose none: the stable one, or for a share of objects the canary.

The model server's labels say which versions those are, and the front asks for labels, so that a label that moves takes
effect with the next call. Without labels the newest version answers, as TensorFlow Serving has it.

TensorFlow Serving does not list its labels, and refuses a request for a label that is not set. So the front looks
labels up only while callers ask.
"""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from math import inf
from time import monotonic
from typing import Any, Final, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from gateway.front import metrics
from gateway.front.arms import Arm, arm_of, chosen_by_caller
from gateway.front.judging import Judgement, Judges
from gateway.front.settings import FrontSettings
from gateway.front.spare_versions import SpareVersions
from gateway.front.tf_serving import TensorFlowServing
from gateway.front.tuning import MEASURED, Tuning
from gateway.serving.errors import ModelNotFound, ModelUnusable, ServingError
from orrery.inference import v1

Floats = NDArray[np.float64]
T = TypeVar("T")
Observer = Callable[[Floats, Judgement], None]
"""Told the rows and what one version said of them, after it did and before the caller is answered: it must not wait."""

log = structlog.get_logger()

# Labels of the model server that mean something here (docs/retraining.md).
STABLE: Final = "stable"
CANARY: Final = "canary"
CHALLENGER: Final = "challenger"
LABELS: Final = (STABLE, CANARY, CHALLENGER)

_HASH_BYTES: Final = 8
_HASHES: Final = float(1 << 8 * _HASH_BYTES)


def in_share(row: Floats, share: float, salt: bytes) -> bool:
    """Whether an object belongs to a share of all objects: the same answer in every front, at any time.

    Args:
        row: the numbers that are judged; the object is nothing else.
        share: in [0, 1].
        salt: shares with different ones are independent of each other.
    """
    digest = blake2b(row.tobytes(), digest_size=_HASH_BYTES, key=salt).digest()
    return int.from_bytes(digest) / _HASHES < share


class Rollout:
    """Stands before the judges; knows the labels being served."""

    def __init__(
        self, judges: Judges, models: TensorFlowServing, settings: FrontSettings, tuning: Tuning = MEASURED
    ) -> None:
        """No label is known until `look` has asked.

        Args:
            judges: who answer.
            models: asked for labels.
            settings: the canary's share.
            tuning: how often labels are asked for.
        """
        self._judges = judges
        self._models = models
        self._canary_share = settings.canary_share
        self._label_period_s = tuning.label_period_s
        self._observers: list[Observer] = []
        self._newest = arm_of("newest", v1.ModelSelector())
        self._stable = arm_of("stable", v1.ModelSelector(version_label=STABLE), self._newest)
        self._canary = arm_of("canary", v1.ModelSelector(version_label=CANARY), self._stable)
        self._spares = SpareVersions(models, tuning.label_period_s)
        self._versions: dict[str, int] = {}
        # The newest version may be a challenger: it answers only where the model server has said that none is stable.
        self._has_stable = True
        # Whether a call needed the labels since the last look, and when that was.
        self._in_use = False
        self._looked_s = -inf
        self._looking = asyncio.Lock()

    def tell(self, observer: Observer) -> None:
        """Have somebody told of every answer from now on."""
        self._observers.append(observer)

    def version(self, label: str) -> int | None:
        """The version that a label named when it was last asked for; None where it is not being served."""
        return self._versions.get(label)

    async def choose(self, model: v1.ModelSelector, rows: Floats) -> Arm:
        """Whom to ask.

        A request is answered by one version, so its first object decides for all of them.

        Args:
            model: the caller's choice, often none.
            rows: of the request, (N, 7) with N at least 1.

        Raises:
            ModelNotFound: the caller's choice can be no label.
        """
        if model.WhichOneof("choice"):
            return chosen_by_caller(model)
        await self._know_labels()
        if CANARY in self._versions and in_share(rows[0], self._canary_share, b"canary"):
            return self._canary
        return self._spares.in_place_of(self._stable if self._has_stable else self._newest)

    async def judge(
        self, arm: Arm, rows: Floats, budget: dict[str, Any], *, definition: bool = True
    ) -> tuple[Judgement, Arm]:
        """Have rows judged that way, or where its label has just gone or its version cannot be used, the next one.

        Returns:
            What was said, and the arm that said it.

        Raises:
            ServingError: as `Judges.judge`.
        """
        said, arm = await self._along(
            arm, lambda way: self._judges.judge(way.selector, rows, budget, definition=definition)
        )
        self._spares.note(arm, said.version)
        for observe in self._observers:
            observe(rows, said)
        return said, arm

    async def ask_stable(self, model: v1.ModelSelector, ask: Callable[[v1.ModelSelector], Awaitable[T]]) -> T:
        """Ask as the caller chose, or the stable version: for protocols whose callers take no part in a canary.

        Args:
            model: the caller's choice, often none.
            ask: puts the question.

        Raises:
            ServingError: what `ask` raises; ModelNotFound where no way is left.
        """
        if model.WhichOneof("choice"):
            arm = chosen_by_caller(model)
        else:
            await self._know_labels()
            arm = self._spares.in_place_of(self._stable if self._has_stable else self._newest)
        answer, _ = await self._along(arm, lambda way: ask(way.model))
        return answer

    async def _along(self, arm: Arm, ask: Callable[[Arm], Awaitable[T]]) -> tuple[T, Arm]:
        """Ask one way after the other until one is being served and can be used."""
        while True:
            try:
                answer = await ask(arm)
            except ModelNotFound:
                if arm.otherwise is None:
                    raise
                metrics.FALLBACKS.labels(arm.name).inc()
                self._versions.pop(arm.model.version_label, None)
                self._has_stable = self._has_stable and arm is not self._stable
                arm = arm.otherwise
            except ModelUnusable:
                if not arm.name:
                    raise
                if arm is not self._canary:
                    return await self._spares.ask(arm, ask, left_out=self._versions.get(CHALLENGER))
                metrics.UNUSABLE.labels(arm.name).inc()
                arm = self._stable
            else:
                if arm.name:
                    metrics.ARM_CALLS.labels(arm.name).inc()
                return answer, arm

    async def follow(self) -> None:
        """Look the labels up once a period while callers ask, until cancelled."""
        while True:
            await asyncio.sleep(self._label_period_s)
            if self._in_use:
                self._in_use = False
                await self.look()

    async def _know_labels(self) -> None:
        """Look the labels up if nobody asked for so long that `follow` did not."""
        self._in_use = True
        oldest_s = monotonic() - 2 * self._label_period_s
        if self._looked_s < oldest_s:
            async with self._looking:
                if self._looked_s < oldest_s:
                    # Unknown again, until the model server says that none is stable.
                    self._has_stable = True
                    await self.look()

    async def look(self) -> None:
        """Ask which versions the labels name now; what is not answered stays as it was."""
        started_s = monotonic()
        answers = await asyncio.gather(*(self._ask(label) for label in LABELS))
        said = {label: answer for label, answer in zip(LABELS, answers, strict=True) if answer is not None}
        found = {label: version for label, version in {**self._versions, **said}.items() if version}
        if STABLE in said:
            self._has_stable = STABLE in found
        for label in LABELS:
            if found.get(label) != self._versions.get(label):
                log.info("label", label=label, version=found.get(label))
            metrics.LABEL_VERSION.labels(label).set(found.get(label, 0))
        self._versions = found
        self._looked_s = started_s

    async def _ask(self, label: str) -> int | None:
        """The version of a label, 0 where it is not being served; None where the model server does not answer."""
        selector = v1.ModelSelector(version_label=label)
        inputs = {"rows": np.zeros(1, np.int32)}
        try:
            answer = await self._models.predict(
                "describe", inputs, selector, timeout=self._label_period_s, metadata=None
            )
        except ModelNotFound:
            return 0
        except ServingError:
            return None
        return answer.version

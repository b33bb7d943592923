# SPDX-License-Identifier: GPL-3.0-or-later
"""The network and the exact rule, side by side: the model server works while the definitions are applied here."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.front import metrics
from gateway.front.batching import MicroBatcher
from gateway.front.rules import NO_VERDICTS, Verdicts, judge, judge_in_pieces
from gateway.front.tf_serving import Answer, Asked, TensorFlowServing
from gateway.front.tuning import MEASURED, Tuning
from gateway.serving.callers import CALLER
from gateway.serving.errors import ModelNotFound, ModelUnusable
from gateway.serving.orbits import MODEL_COLUMNS
from gateway.serving.settings import CLASSIFIER_NAME
from gateway.serving.streams import in_order
from gateway.serving.turns import Turns
from orrery.inference import v1

Floats = NDArray[np.float64]

_FEW_ROWS: Final = 128
"""Half a millisecond of MOIDs: up to here a thread would cost the event loop more than the work does."""


class Judgement(NamedTuple):
    """What one version of the network, and what the definitions say of N orbits.

    Attributes:
        pha_probability: (N,).
        potentially_hazardous: (N,) by the network.
        class_probabilities: (N, 4) of Atira, Aten, Apollo, Amor.
        rules: the definitions' verdicts; empty columns where they were not asked for.
        version: of the model; one for all rows.
    """

    pha_probability: NDArray[Any]
    potentially_hazardous: NDArray[np.bool_]
    class_probabilities: NDArray[Any]
    rules: Verdicts
    version: int

    def part(self, rows: slice) -> "Judgement":
        """Of some of the orbits."""
        rules = Verdicts(
            self.rules.earth_moid_au[rows], self.rules.potentially_hazardous[rows], self.rules.orbit_class[rows]
        )
        return Judgement(
            self.pha_probability[rows],
            self.potentially_hazardous[rows],
            self.class_probabilities[rows],
            rules,
            self.version,
        )


class Judges:
    """Asks both; small questions of concurrent callers are merged, large ones divided."""

    def __init__(self, models: TensorFlowServing, turns: Turns, tuning: Tuning = MEASURED) -> None:
        """Take the model server, the threads that apply definitions to many rows, and the limits."""
        self._models = models
        self._turns = turns
        self._most_rows = tuning.batch_max_rows
        self._part_rows = tuning.column_part_rows
        self._parts_under_way = tuning.column_parts_under_way
        # Of all large questions together, in their turn: whatever is asked beside them waits for so many parts.
        self._places = asyncio.Semaphore(tuning.column_parts_under_way)
        # By whether the definitions are applied too.
        self._batchers: dict[bool, MicroBatcher[Judgement]] = {
            definition: MicroBatcher(
                partial(self._ask, definition=definition),
                most_rows=tuning.batch_max_rows,
                most_under_way=tuning.batches_under_way,
            )
            for definition in (True, False)
        }
        # What a version says of itself never changes: (variant, training data).
        self._descriptions: dict[int, tuple[str, str]] = {}

    async def judge(
        self, selector: bytes, rows: Floats, budget: dict[str, Any], *, definition: bool = True
    ) -> Judgement:
        """Everything there is to say of some orbits, by one version of the model.

        Args:
            selector: a serialised ModelSelector.
            rows: (N, 7), see `gateway.front.rules.COLUMNS`, or without definitions (N, 6), the model's; checked.
            budget: timeout and metadata, see `gateway.serving.channels.onward`.
            definition: apply the definitions too.

        Raises:
            ServingError: there is no such version, or the model server is away, too slow or too busy.
        """
        if len(rows) <= self._most_rows:
            return await self._batchers[definition].submit(selector, rows, **budget)
        async with asyncio.timeout(None) as limit:
            limit.reschedule(asyncio.get_running_loop().time() + budget["timeout"])
            parts = await self._parts(selector, rows, budget, definition)
            versions = {part.version for part in parts}
            if len(versions) > 1:
                # Another version came between the parts: once more, all from the older one. Model servers load one
                # after the other, and each still has the version before.
                older, newer = (
                    v1.ModelSelector(version=version).SerializeToString() for version in (min(versions), max(versions))
                )
                try:
                    parts = await self._parts(older, rows, budget, definition)
                except ModelNotFound:
                    parts = await self._parts(newer, rows, budget, definition)
        return _joined(parts)

    async def describe(self, version: int, selector: v1.ModelSelector, budget: dict[str, Any]) -> v1.ModelSpec:
        """The model that answered, in its own words; asked for once a version. Empty words if it has none."""
        if version not in self._descriptions:
            words = await self._ask_description(version, budget)
            if words is not None:
                self._descriptions[version] = words
        variant, training_data = self._descriptions.get(version, ("", ""))
        return v1.ModelSpec(
            name=CLASSIFIER_NAME,
            version=version,
            version_label=selector.version_label,
            variant=variant,
            training_data=training_data,
        )

    async def _ask_description(self, version: int, budget: dict[str, Any]) -> tuple[str, str] | None:
        """Variant and training data; None where the version says nothing of itself, or has gone since it answered."""
        inputs = {"rows": np.zeros(1, np.int32)}
        try:
            said = await self._models.predict("describe", inputs, v1.ModelSelector(version=version), **budget)
            return said.outputs["variant"][0].decode(), said.outputs["training_data"][0].decode()
        except (ModelNotFound, ModelUnusable, LookupError, AttributeError):
            # That is no reason to refuse the answer.
            return None

    async def _parts(self, selector: bytes, rows: Floats, budget: dict[str, Any], definition: bool) -> list[Judgement]:
        async def divided() -> AsyncIterator[Floats]:
            for start in range(0, len(rows), self._part_rows):
                yield rows[start : start + self._part_rows]

        async def ask(part: Floats) -> Judgement:
            async with self._places:
                return await self._ask(selector, part, definition=definition, **budget)

        most = self._parts_under_way
        return [part async for part in in_order(divided(), ask, weigh=len, most_messages=most, most_weight=len(rows))]

    def _ask(
        self, selector: bytes, rows: Floats, *, definition: bool = True, **budget: Any
    ) -> asyncio.Future[Judgement]:
        """Both judges' word; the model server is asked before this returns, and no more if the future is cancelled."""
        metrics.BATCH_ROWS.observe(len(rows))
        inputs = {"orbits": np.ascontiguousarray(rows[:, :MODEL_COLUMNS])}
        choice = v1.ModelSelector.FromString(selector)
        asked = self._models.ask("serving_default", inputs, choice, **budget)
        judged = asyncio.get_running_loop().create_task(self._judged(asked, rows, definition))
        # Not in the task, which never gets there if it is cancelled before its first step.
        judged.add_done_callback(lambda _: asked.cancel())
        return judged

    async def _judged(self, asked: Asked, rows: Floats, definition: bool) -> Judgement:
        if not definition:
            rules = NO_VERDICTS
        elif len(rows) <= _FEW_ROWS:
            rules = judge(rows)
        else:
            rules = await self._turns.run(judge_in_pieces(rows), caller=CALLER.get() or "")
        answer = await asked.answer()
        said = _judgement(answer, rules, len(rows), CLASSIFIER_NAME)
        metrics.ANSWERS.labels(answer.version).inc()
        if definition:
            metrics.count_judged(said.potentially_hazardous, rules.potentially_hazardous, rules.earth_moid_au)
        return said


def _judgement(answer: Answer, rules: Verdicts, count: int, model: str) -> Judgement:
    """Both together; a model that breaks its promise must not reach the caller as a number."""
    outputs = answer.outputs
    shapes = {"pha_probability": (count,), "potentially_hazardous": (count,), "class_probabilities": (count, 4)}
    for name, shape in shapes.items():
        values = outputs.get(name)
        if values is None or values.shape != shape or not np.isfinite(values).all():
            raise ModelUnusable(model)
    return Judgement(
        outputs["pha_probability"],
        outputs["potentially_hazardous"],
        outputs["class_probabilities"],
        rules,
        answer.version,
    )


def _joined(parts: list[Judgement]) -> Judgement:
    rules = Verdicts(
        np.concatenate([part.rules.earth_moid_au for part in parts]),
        np.concatenate([part.rules.potentially_hazardous for part in parts]),
        np.concatenate([part.rules.orbit_class for part in parts]),
    )
    return Judgement(
        np.concatenate([part.pha_probability for part in parts]),
        np.concatenate([part.potentially_hazardous for part in parts]),
        np.concatenate([part.class_probabilities for part in parts]),
        rules,
        parts[0].version,
    )

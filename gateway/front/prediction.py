# SPDX-License-Identifier: GPL-3.0-or-later
"""PredictionService: validate, ask the model server, and set the exact rule's verdict beside its answer."""

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.front.tf_serving import Answer, TensorFlowServing
from gateway.neo.elements import Orbits
from gateway.neo.hazard import potentially_hazardous
from gateway.neo.moid import earth_moid_au
from gateway.neo.orbit_class import OrbitClass, classify, why_other
from gateway.serving.channels import onward
from gateway.serving.errors import ModelUnusable
from gateway.serving.interceptor import Context
from gateway.serving.orbits import model_inputs, read_absolute_magnitudes, read_columns, read_orbits
from gateway.serving.validation import Violations, check
from orrery.inference import v1

Floats = NDArray[np.float64]

# The order of the model's class_probabilities.
_CLASSES = (v1.ORBIT_CLASS_ATIRA, v1.ORBIT_CLASS_ATEN, v1.ORBIT_CLASS_APOLLO, v1.ORBIT_CLASS_AMOR)
_MOID_UNKNOWN = -1.0


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """What the definitions say of N orbits; NaN where the MOID is unknown."""

    earth_moid_au: Floats
    potentially_hazardous: NDArray[np.bool_]
    orbit_class: NDArray[np.int8]


class PredictionServicer(v1.PredictionServiceServicer):
    """Implements the service over a model server."""

    def __init__(self, models: TensorFlowServing, model_name: str, cap_s: float) -> None:
        self._models = models
        self._name = model_name
        self._cap_s = cap_s
        # What a version says of itself never changes: (variant, training data).
        self._descriptions: dict[int, tuple[str, str]] = {}

    async def Predict(self, request: v1.PredictRequest, context: Context) -> v1.PredictResponse:  # noqa: N802  # the contract's name
        """Rows in, rows out."""
        violations = Violations()
        check(request, violations)
        magnitudes = read_absolute_magnitudes(request.objects, violations)
        orbits = read_orbits(request.objects, violations, closed=True)
        answer, verdicts, model = await self._ask(orbits, magnitudes, request.model, context)
        probabilities = answer.outputs["class_probabilities"]
        predictions = [
            v1.Prediction(
                designation=item.designation,
                pha_probability=answer.outputs["pha_probability"][row],
                potentially_hazardous=answer.outputs["potentially_hazardous"][row],
                orbit_class=_CLASSES[int(probabilities[row].argmax())],
                class_probabilities=[
                    v1.ClassProbability(orbit_class=orbit_class, probability=probability)
                    for orbit_class, probability in zip(_CLASSES, probabilities[row], strict=True)
                ],
                definition=_definition(verdicts, orbits, row),
            )
            for row, item in enumerate(request.objects)
        ]
        return v1.PredictResponse(predictions=predictions, model=model)

    async def PredictColumns(  # noqa: N802  # the contract's name
        self, request: v1.PredictColumnsRequest, context: Context
    ) -> v1.PredictColumnsResponse:
        """Columns in, columns out."""
        orbits, magnitudes = await asyncio.to_thread(_read_columns, request)
        answer, verdicts, model = await self._ask(orbits, magnitudes, request.model, context)
        unknown = np.isnan(verdicts.earth_moid_au)
        return v1.PredictColumnsResponse(
            pha_probability=answer.outputs["pha_probability"],
            potentially_hazardous=answer.outputs["potentially_hazardous"],
            orbit_class=np.array(_CLASSES)[answer.outputs["class_probabilities"].argmax(axis=1)],
            earth_moid_au=np.where(unknown, _MOID_UNKNOWN, verdicts.earth_moid_au),
            definition_potentially_hazardous=verdicts.potentially_hazardous,
            definition_orbit_class=verdicts.orbit_class,
            model=model,
        )

    async def _ask(
        self, orbits: Orbits, magnitudes: Floats, selector: v1.ModelSelector, context: Context
    ) -> tuple[Answer, _Verdicts, v1.ModelSpec]:
        """The network and the rules, side by side."""
        budget = onward(context, cap_s=self._cap_s)
        inputs = {"orbits": model_inputs(orbits, magnitudes)}
        answer, verdicts = await asyncio.gather(
            self._models.predict("serving_default", inputs, selector, **budget),
            asyncio.to_thread(_judge, orbits, magnitudes),
        )
        _require_outputs(answer, len(orbits), self._name)
        return answer, verdicts, await self._model_spec(answer.version, selector, budget)

    async def _model_spec(self, version: int, selector: v1.ModelSelector, budget: dict[str, Any]) -> v1.ModelSpec:
        if version not in self._descriptions:
            inputs = {"rows": np.zeros(1, np.int32)}
            said = await self._models.predict("describe", inputs, v1.ModelSelector(version=version), **budget)
            words = (said.outputs["variant"][0].decode(), said.outputs["training_data"][0].decode())
            self._descriptions[version] = words
        variant, training_data = self._descriptions[version]
        return v1.ModelSpec(
            name=self._name,
            version=version,
            version_label=selector.version_label,
            variant=variant,
            training_data=training_data,
        )


def _read_columns(request: v1.PredictColumnsRequest) -> tuple[Orbits, Floats]:
    violations = Violations()
    check(request, violations)
    return read_columns(request.orbits, violations, closed=True, magnitudes=True)


def _judge(orbits: Orbits, magnitudes: Floats) -> _Verdicts:
    moid_au = earth_moid_au(orbits)
    known = ~np.isnan(moid_au)
    hazardous = np.zeros(len(orbits), np.bool_)
    hazardous[known] = potentially_hazardous(moid_au[known], magnitudes[known])
    return _Verdicts(moid_au, hazardous, classify(orbits.perihelion_distance_au, orbits.eccentricity))


def _definition(verdicts: _Verdicts, orbits: Orbits, row: int) -> v1.Definition:
    orbit_class = int(verdicts.orbit_class[row])
    definition = v1.Definition(orbit_class=v1.OrbitClass.ValueType(orbit_class))
    if orbit_class == OrbitClass.OTHER:
        definition.orbit_class_note = why_other(orbits.perihelion_distance_au[row], orbits.eccentricity[row])
    if not np.isnan(verdicts.earth_moid_au[row]):
        definition.earth_moid_au = verdicts.earth_moid_au[row]
        definition.potentially_hazardous = verdicts.potentially_hazardous[row]
    return definition


def _require_outputs(answer: Answer, count: int, model: str) -> None:
    """A model that breaks its promise must not reach the caller as a number."""
    shapes = {"pha_probability": (count,), "potentially_hazardous": (count,), "class_probabilities": (count, 4)}
    for name, shape in shapes.items():
        values = answer.outputs.get(name)
        if values is None or values.shape != shape or not np.isfinite(values).all():
            raise ModelUnusable(model)

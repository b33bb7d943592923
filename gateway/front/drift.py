# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift of what the front is asked about orbits, and of what the network answers."""

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.drift import Reference
from gateway.front.settings import FrontSettings
from gateway.front.tf_serving import TensorFlowServing
from gateway.serving.drift import DriftMonitor
from gateway.serving.errors import ServingError
from gateway.serving.orbits import MODEL_COLUMNS
from gateway.serving.settings import CLASSIFIER_NAME
from orrery.inference import v1

FEATURES: Final = (
    "perihelion_distance_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
    "absolute_magnitude_h",
    "pha_probability",
    "orbit_class",
)
"""What the reference of a classifier has, in this order; the class by its place in `class_probabilities`."""

_SIGNATURE: Final = "drift_reference"


def front_monitor(models: TensorFlowServing, settings: FrontSettings) -> DriftMonitor:
    """Asks each version for its reference, once; a version without one is not watched."""

    async def reference_of(version: int) -> Reference | None:
        selector = v1.ModelSelector(version=version)
        inputs = {"rows": np.zeros(1, np.int32)}
        try:
            answer = await models.predict(
                _SIGNATURE, inputs, selector, timeout=settings.prediction_deadline_s, metadata=None
            )
            reference = Reference.from_json(json.loads(answer.outputs[_SIGNATURE][0]))
        except (ServingError, ValueError, KeyError, IndexError):
            return None
        return reference if reference.names == FEATURES else None

    return DriftMonitor(CLASSIFIER_NAME, reference_of, _columns)


def _columns(
    rows: NDArray[np.float64], pha_probability: NDArray[Any], class_probabilities: NDArray[Any]
) -> NDArray[np.float64]:
    return np.column_stack((rows[:, :MODEL_COLUMNS], pha_probability, class_probabilities.argmax(axis=1)))

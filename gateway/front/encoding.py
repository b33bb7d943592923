# SPDX-License-Identifier: GPL-3.0-or-later
"""From judgements to the contract's replies."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.front.judging import Judgement
from gateway.neo.orbit_class import OrbitClass, why_other
from orrery.inference import v1

# The order of the model's class_probabilities.
_CLASSES: Final = (v1.ORBIT_CLASS_ATIRA, v1.ORBIT_CLASS_ATEN, v1.ORBIT_CLASS_APOLLO, v1.ORBIT_CLASS_AMOR)
_CLASS_NUMBERS: Final = np.array(_CLASSES, np.uint8)
_MOID_UNKNOWN: Final = -1.0
_LENGTH_DELIMITED: Final = 2
_UNBOUND_NOTE: Final = (
    "eccentricity {:g} is 1 or more: none of the network's classes applies, and it was trained on bound orbits, so"
    " its probability is an extrapolation; the definition's verdict is exact"
)


def encode_rows(said: Judgement, rows: NDArray[np.float64]) -> list[v1.Prediction]:
    """One message an object, without its designation; without the network's class where the orbit is not bound.

    Args:
        said: of N objects.
        rows: the (N, 7) numbers it was said of.
    """
    probabilities = said.class_probabilities.tolist()
    rules = said.rules
    columns = zip(
        said.pha_probability.tolist(),
        said.potentially_hazardous.tolist(),
        probabilities,
        rules.earth_moid_au.tolist(),
        rules.potentially_hazardous.tolist(),
        rules.orbit_class.tolist(),
        rows[:, :2].tolist(),
        strict=True,
    )
    return [
        v1.Prediction(
            pha_probability=probability,
            potentially_hazardous=hazardous,
            **(_classes(of_classes) if shape[1] < 1.0 else {"network_note": _UNBOUND_NOTE.format(shape[1])}),
            definition=_definition(moid_au, is_hazardous, orbit_class_number, shape),
        )
        for probability, hazardous, of_classes, moid_au, is_hazardous, orbit_class_number, shape in columns
    ]


def encode_columns(said: Judgement, rows: NDArray[np.float64], model: v1.ModelSpec) -> v1.PredictColumnsResponse:
    """Columns of N objects.

    Args:
        said: of the objects.
        rows: the (N, 7) numbers it was said of.
        model: that said it.

    The packed columns are written as they lie on the wire and parsed at once, which copies them: 100,000 objects
    value by value would take over 20 ms.
    """
    moid_au = said.rules.earth_moid_au
    classes = _CLASS_NUMBERS[said.class_probabilities.argmax(axis=1)]
    columns: dict[str, NDArray[Any]] = {
        "pha_probability": said.pha_probability.astype("<f8"),
        "potentially_hazardous": said.potentially_hazardous.astype(np.uint8),
        "orbit_class": np.where(rows[:, 1] < 1.0, classes, np.uint8(v1.ORBIT_CLASS_UNSPECIFIED)),
        "earth_moid_au": np.where(np.isnan(moid_au), _MOID_UNKNOWN, moid_au).astype("<f8"),
        "definition_potentially_hazardous": said.rules.potentially_hazardous.astype(np.uint8),
        "definition_orbit_class": said.rules.orbit_class.astype(np.uint8),
    }
    numbers = v1.PredictColumnsResponse.DESCRIPTOR.fields_by_name
    wire = b"".join(_packed(numbers[name].number, values) for name, values in columns.items())
    reply = v1.PredictColumnsResponse.FromString(wire)
    reply.model.CopyFrom(model)
    return reply


def _packed(number: int, values: NDArray[Any]) -> bytes:
    """A packed repeated field of doubles, or of varints below 128, which are one byte each."""
    content = values.tobytes()
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _classes(probabilities: list[float]) -> dict[str, Any]:
    """The network's word on the class, as fields of a `Prediction`."""
    return {
        "orbit_class": _CLASSES[probabilities.index(max(probabilities))],
        "class_probabilities": [
            v1.ClassProbability(orbit_class=orbit_class, probability=share)
            for orbit_class, share in zip(_CLASSES, probabilities, strict=True)
        ],
    }


def _definition(moid_au: float, hazardous: bool, orbit_class: int, shape: list[float]) -> v1.Definition:
    definition = v1.Definition(orbit_class=v1.OrbitClass.ValueType(orbit_class))
    if orbit_class == OrbitClass.OTHER:
        definition.orbit_class_note = why_other(*shape)
    if not math.isnan(moid_au):
        definition.earth_moid_au = moid_au
        definition.potentially_hazardous = hazardous
    return definition

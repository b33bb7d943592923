# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to ask the model server: by a label, for the newest version, or as the caller chose."""

from dataclasses import dataclass

from gateway.serving.errors import ModelNotFound
from orrery.inference import v1


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to ask, and which to take where its label is not being served.

    Attributes:
        name: for metrics; empty where the caller chose.
        model: the selector.
        selector: the same, serialised.
        otherwise: None where there is no other way.
    """

    name: str
    model: v1.ModelSelector
    selector: bytes
    otherwise: "Arm | None" = None


def chosen_by_caller(model: v1.ModelSelector) -> Arm:
    """The arm of a caller's own choice.

    Raises:
        ModelNotFound: the label is empty, or has white space at an end. TensorFlow Serving repeats it at the end of its
            refusal, and HTTP/2 allows no such header.
    """
    label = model.version_label
    if model.WhichOneof("choice") == "version_label" and (not label or label != label.strip()):
        raise ModelNotFound("model.version_label", f"{label!r} is no label being served")
    return arm_of("", model)


def arm_of(name: str, model: v1.ModelSelector, otherwise: Arm | None = None) -> Arm:
    """An arm of this name."""
    return Arm(name, model, model.SerializeToString(), otherwise)

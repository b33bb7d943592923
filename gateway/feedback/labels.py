# SPDX-License-Identifier: GPL-3.0-or-later
"""Which answers belong to which question; numbers are those of the contract's enums."""

from collections.abc import Mapping
from typing import Final

from orrery.inference import v1

ANSWERS: Final[Mapping[int, frozenset[int]]] = {
    v1.CLASSIFICATION_QUESTION_RECORD: frozenset(
        {v1.CLASSIFICATION_LABEL_DATA_ERROR, v1.CLASSIFICATION_LABEL_DATA_PLAUSIBLE}
    ),
    v1.CLASSIFICATION_QUESTION_INTEREST: frozenset(
        {v1.CLASSIFICATION_LABEL_INTERESTING, v1.CLASSIFICATION_LABEL_ORDINARY}
    ),
    v1.CLASSIFICATION_QUESTION_HAZARD: frozenset(
        {v1.CLASSIFICATION_LABEL_HAZARDOUS, v1.CLASSIFICATION_LABEL_NOT_HAZARDOUS}
    ),
    v1.CLASSIFICATION_QUESTION_ORBIT_CLASS: frozenset(
        {
            v1.CLASSIFICATION_LABEL_ATIRA,
            v1.CLASSIFICATION_LABEL_ATEN,
            v1.CLASSIFICATION_LABEL_APOLLO,
            v1.CLASSIFICATION_LABEL_AMOR,
        }
    ),
}

QUESTION_OF: Final[Mapping[int, int]] = {label: question for question, labels in ANSWERS.items() for label in labels}


def label_name(label: int) -> str:
    """As files and commands have it: "DATA_ERROR"; "" for none."""
    name = v1.ClassificationLabel.Name(v1.ClassificationLabel.ValueType(label))
    return name.removeprefix("CLASSIFICATION_LABEL_") if label else ""


def question_name(question: int) -> str:
    """As files and commands have it: "RECORD"."""
    name = v1.ClassificationQuestion.Name(v1.ClassificationQuestion.ValueType(question))
    return name.removeprefix("CLASSIFICATION_QUESTION_")


def label_of(name: str) -> int:
    """The number of "DATA_ERROR".

    Raises:
        ValueError: there is no such label.
    """
    label: int = v1.ClassificationLabel.Value(f"CLASSIFICATION_LABEL_{name}")
    if label not in QUESTION_OF:
        raise ValueError(f"{name} answers no question")
    return label

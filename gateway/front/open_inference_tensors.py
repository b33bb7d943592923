# SPDX-License-Identifier: GPL-3.0-or-later
"""Tensors of the Open Inference Protocol to orbits, and answers to tensors."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.neo.units import J2000_TDB_JD
from gateway.serving.bounds import MAX_COLUMN_ROWS
from gateway.serving.orbit_columns import read_model_columns
from gateway.serving.orbits import MODEL_COLUMNS
from gateway.serving.validation import Violations, check
from orrery.inference import v1

Floats = NDArray[np.float64]

ORBITS: Final = "orbits"
# What both models read, in their order.
COLUMNS: Final = (
    "perihelion_distance_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
    "absolute_magnitude_h",
)
# Of inputs: the dtype on the wire, and the field of InferTensorContents.
_INPUT_TYPES: Final = {"FP64": ("<f8", "fp64_contents"), "FP32": ("<f4", "fp32_contents")}
# Of outputs, by numpy's kind and size.
_OUTPUT_TYPES: Final = {
    "f8": ("FP64", "fp64_contents"),
    "f4": ("FP32", "fp32_contents"),
    "b1": ("BOOL", "bool_contents"),
}


def read_orbits(request: Any) -> v1.OrbitColumns:
    """The orbits of a ModelInferRequest, held against the bounds of `OrbitColumns`.

    Args:
        request: with one tensor "orbits" of shape (N, 6), or the six columns as tensors of shape (N) or (N, 1).

    Returns:
        N orbits; the models do not read their epoch.

    Raises:
        InvalidRequest: naming every tensor and every number that is wrong, numbers as `orbits.eccentricity[3]`.
    """
    violations = Violations()
    tensors = _read_tensors(request, violations)
    violations.raise_if_any()
    columns = _columns_of(tensors, violations)
    violations.raise_if_any()
    orbits = v1.OrbitColumns(epoch_tdb_jd=[J2000_TDB_JD], **{name: column.tolist() for name, column in columns.items()})
    check(orbits, violations, ORBITS)
    violations.raise_if_any()
    return orbits


def model_rows(orbits: v1.OrbitColumns) -> Floats:
    """(N, 6) float64, what the models read.

    Raises:
        InvalidRequest: an orbit is none that the models know.
    """
    return read_model_columns(orbits, Violations())[:, :MODEL_COLUMNS]


def write_outputs(reply: Any, outputs: Mapping[str, NDArray[Any]], *, raw: bool) -> None:
    """Put answers into a ModelInferResponse.

    Args:
        reply: to write into.
        outputs: float64, float32 or bool by name, first axis N.
        raw: as bytes, else in the field of their type.
    """
    for name, values in outputs.items():
        datatype, field = _OUTPUT_TYPES[f"{values.dtype.kind}{values.dtype.itemsize}"]
        tensor = reply.outputs.add(name=name, datatype=datatype, shape=values.shape)
        if raw:
            reply.raw_output_contents.append(values.astype(values.dtype.newbyteorder("<")).tobytes())
        else:
            getattr(tensor.contents, field).extend(values.ravel().tolist())


def chosen_outputs(request: Any, known: Sequence[str]) -> list[str]:
    """The names of the outputs that a request wants; all if it names none.

    Raises:
        InvalidRequest: it names one that the model has not, or one twice.
    """
    violations = Violations()
    names: list[str] = []
    for place, wanted in enumerate(request.outputs):
        if wanted.name not in known or wanted.name in names:
            violations.add(f"outputs[{place}].name", f"must be one of {', '.join(known)}, each at most once")
        names.append(wanted.name)
    violations.raise_if_any()
    return names or list(known)


def _read_tensors(request: Any, violations: Violations) -> dict[str, NDArray[Any]]:
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        violations.add("raw_input_contents", f"must hold {len(request.inputs)} values, one for each input")
        return {}
    tensors: dict[str, NDArray[Any]] = {}
    for place, tensor in enumerate(request.inputs):
        path = f"inputs[{place}]"
        if tensor.name in tensors or (tensor.name != ORBITS and tensor.name not in COLUMNS):
            violations.add(f"{path}.name", f"must be {ORBITS}, or one of {', '.join(COLUMNS)}, each at most once")
        elif tensor.datatype not in _INPUT_TYPES:
            violations.add(f"{path}.datatype", f"must be {' or '.join(_INPUT_TYPES)}")
        elif not _is_shape(tensor.name, tensor.shape):
            violations.add(f"{path}.shape", _expected_shape(tensor.name))
        elif raw and tensor.HasField("contents"):
            violations.add(f"{path}.contents", "must be left out with raw_input_contents")
        else:
            values = _values_of(tensor, raw[place] if raw else None)
            if values is None:
                where = f"raw_input_contents[{place}]" if raw else f"{path}.contents.{_INPUT_TYPES[tensor.datatype][1]}"
                violations.add(
                    where, f"must hold the {math.prod(tensor.shape):,} values of its shape, and nothing else"
                )
            else:
                tensors[tensor.name] = values
    return tensors


def _values_of(tensor: Any, raw: bytes | None) -> NDArray[Any] | None:
    """The values in their shape; None where there are more or fewer, or they are of another type."""
    dtype, field = _INPUT_TYPES[tensor.datatype]
    count = math.prod(tensor.shape)
    if raw is not None:
        if len(raw) != count * np.dtype(dtype).itemsize:
            return None
        return np.frombuffer(raw, dtype).reshape(tensor.shape)
    if {descriptor.name for descriptor, _ in tensor.contents.ListFields()} != {field}:
        return None
    values: NDArray[Any] = np.array(getattr(tensor.contents, field), dtype)
    return values.reshape(tensor.shape) if len(values) == count else None


def _is_shape(name: str, shape: Sequence[int]) -> bool:
    rest = tuple(shape[1:])
    fits = rest == (len(COLUMNS),) if name == ORBITS else rest in {(), (1,)}
    return len(shape) > 0 and 1 <= shape[0] <= MAX_COLUMN_ROWS and fits


def _expected_shape(name: str) -> str:
    shape = f"[N, {len(COLUMNS)}]" if name == ORBITS else "[N] or [N, 1]"
    return f"must be {shape} with N from 1 to {MAX_COLUMN_ROWS:,}"


def _columns_of(tensors: Mapping[str, NDArray[Any]], violations: Violations) -> dict[str, NDArray[Any]]:
    if ORBITS in tensors:
        if len(tensors) > 1:
            violations.add("inputs", f"must be {ORBITS} alone, or the columns without it")
        return dict(zip(COLUMNS, tensors[ORBITS].T, strict=True))
    if missing := [name for name in COLUMNS if name not in tensors]:
        violations.add("inputs", f"must hold {ORBITS}, or all its columns; missing: {', '.join(missing)}")
    lengths = {name: len(values) for name, values in tensors.items()}
    if len(set(lengths.values())) > 1:
        violations.add("inputs", f"must be equally long, not {lengths}")
    return {name: values.reshape(-1) for name, values in tensors.items()}

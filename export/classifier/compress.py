# SPDX-License-Identifier: GPL-3.0-or-later
"""Smaller weights: half precision, or eight-bit integers with one scale an output channel, behind a parity gate.

Weight-only forms: kernels are stored small and widened in the graph, the arithmetic stays float32. Static form: the
inputs of each layer become int8 too, and the product is one of integers, int8 x int8 -> int32. Symmetric per-channel
int8: Jacob et al. 2018, CVPR, and Krishnamoorthi 2018 (arXiv:1806.08342), section 2.
"""

import enum
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from export.classifier.training import CLASS_HEAD, HAZARD_HEAD, Network
from export.errors import ExportError

INT8_LIMIT: Final = 127
"""Largest step of a symmetric int8 number; -128 is not used."""

LARGEST_AVERAGE_PRECISION_LOSS: Final = 0.002
"""A variant whose average precision on validation falls by more, against the reference, is refused."""

LARGEST_CALIBRATION_ERROR: Final = 0.003
"""A variant whose expected calibration error on validation is above this and above the reference's is refused."""

SAME_SIZE: Final = 1.01
"""Sizes within this factor of the smallest are the same, and latency decides."""

Floats = NDArray[np.float32]
Name = TypeVar("Name", bound=str)


class Variant(enum.StrEnum):
    """How the weights are stored."""

    F32 = "pruned-f32"
    FP16 = "pruned-fp16"
    INT8 = "pruned-int8-weights"


class NothingPassesError(ExportError):
    """No variant passes the gate, not even the reference: it was not among them."""


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """One dense layer as stored.

    Attributes:
        kernel: (inputs, outputs), float32, float16 or int8.
        channel_scale: (outputs,) float32, what a unit of the kernel is worth; None unless the kernel is int8.
        bias: (outputs,) float32.
        input_step: (inputs,) float32, what a step of each input is worth once it is int8; None where inputs stay
            float32. With it, a unit of `channel_scale` is one of the product of the integers.
    """

    kernel: NDArray[Any]
    channel_scale: Floats | None
    bias: Floats
    input_step: Floats | None = None

    def arrays(self) -> list[NDArray[Any]]:
        """All that is stored."""
        return [part for part in (self.kernel, self.channel_scale, self.bias, self.input_step) if part is not None]


def hidden_names(layers: Mapping[str, object]) -> list[str]:
    """The names of the hidden layers, `hidden_1` first."""
    return sorted(
        (name for name in layers if name.startswith("hidden_")), key=lambda name: int(name.rpartition("_")[2])
    )


def pack(network: Network, variant: Variant) -> dict[str, PackedLayer]:
    """The layers of a network as a variant stores them; pruned weights stay exactly zero."""
    return {name: _pack_layer(kernel, bias, variant) for name, (kernel, bias) in network.layers.items()}


def _pack_layer(kernel: Floats, bias: Floats, variant: Variant) -> PackedLayer:
    if variant is Variant.F32:
        return PackedLayer(kernel, None, bias)
    if variant is Variant.FP16:
        return PackedLayer(kernel.astype(np.float16), None, bias)
    return PackedLayer(*_int8(kernel), bias)


def _int8(kernel: Floats) -> tuple[NDArray[np.int8], Floats]:
    largest = np.abs(kernel).max(axis=0)
    channel_scale = np.where(largest > 0.0, largest / INT8_LIMIT, 1.0).astype(np.float32)
    return np.rint(kernel / channel_scale).astype(np.int8), channel_scale


def layer_inputs(network: Network, standardised: Floats) -> dict[str, Floats]:
    """What each layer of the float32 network is given for standardised features (N, F): name -> (N, inputs)."""
    inputs, flow = {}, standardised
    for name in hidden_names(network.layers):
        inputs[name] = flow
        kernel, bias = network.layers[name]
        flow = np.maximum(flow @ kernel + bias, np.float32(0.0))
    return {**inputs, HAZARD_HEAD: flow, CLASS_HEAD: flow}


def pack_static(network: Network, standardised: Floats) -> dict[str, PackedLayer]:
    """Weights and activations as int8, each input's step calibrated on training rows.

    An input's largest absolute value there becomes 127 steps. The step is folded into the kernel's row before the
    kernel is rounded, so that every input may have its own and the product of integers stays exact.

    Args:
        network: to be packed.
        standardised: features of training rows, shape (N, F).
    """
    packed = {}
    for name, inputs in layer_inputs(network, standardised).items():
        kernel, bias = network.layers[name]
        largest = np.abs(inputs).max(axis=0)
        input_step = np.where(largest > 0.0, largest / INT8_LIMIT, 1.0).astype(np.float32)
        packed[name] = PackedLayer(*_int8(kernel * input_step[:, None]), bias, input_step)
    return packed


def pack_trained(network: Network, input_steps: Mapping[str, float]) -> dict[str, PackedLayer]:
    """The static form with the steps that quantisation-aware training learnt, one a layer."""
    packed = {}
    for name, (kernel, bias) in network.layers.items():
        rounded, channel_scale = _int8(kernel)
        step = np.float32(input_steps[name])
        packed[name] = PackedLayer(rounded, channel_scale * step, bias, np.full(len(kernel), step, np.float32))
    return packed


def _dense(layer: PackedLayer, inputs: Floats) -> Floats:
    scale = np.float32(1.0) if layer.channel_scale is None else layer.channel_scale
    product: Floats
    if layer.input_step is None:
        product = np.matmul(inputs, layer.kernel.astype(np.float32) * scale)
    else:
        steps = np.clip(np.rint(inputs / layer.input_step), -INT8_LIMIT, INT8_LIMIT).astype(np.int32)
        product = np.matmul(steps, layer.kernel.astype(np.int32)).astype(np.float32) * scale
    return product + layer.bias


def forward(layers: Mapping[str, PackedLayer], standardised: Floats) -> dict[str, Floats]:
    """The numpy reference of every packed form.

    Args:
        layers: as packed.
        standardised: features, shape (N, F).

    Returns:
        Logits: of the hazard head (N, 1) and of the class head (N, C), by name.
    """
    flow = standardised
    for name in hidden_names(layers):
        flow = np.maximum(_dense(layers[name], flow), np.float32(0.0))
    return {name: _dense(layers[name], flow) for name in (HAZARD_HEAD, CLASS_HEAD)}


def sparsity(layers: Mapping[str, PackedLayer]) -> float:
    """Fraction of the stored kernels' weights that are zero."""
    return float(np.mean(np.concatenate([layer.kernel.ravel() == 0 for layer in layers.values()])))


def sizes(content: bytes) -> dict[str, int]:
    """Bytes, plain and gzipped."""
    return {"plain": len(content), "gzip": len(gzip.compress(content, compresslevel=9, mtime=0))}


def weight_bytes(layers: Mapping[str, PackedLayer]) -> dict[str, int]:
    """Bytes of the stored weights, plain and gzipped."""
    return sizes(b"".join(array.tobytes() for layer in layers.values() for array in layer.arrays()))


def passes_gate(average_precision: float, reference: float) -> bool:
    """Whether a variant ranks as well as the reference, within the loss allowed; NaN does not."""
    return average_precision >= reference - LARGEST_AVERAGE_PRECISION_LOSS


def passes_calibration(error: float, reference: float) -> bool:
    """Whether a variant's calibration error is within the limit, or at least no worse than the reference's."""
    return error <= max(LARGEST_CALIBRATION_ERROR, reference)


def choose(
    average_precisions: Mapping[Name, float],
    sizes: Mapping[Name, int],
    *,
    calibration_errors: Mapping[Name, float] | None = None,
    latencies: Mapping[Name, float] | None = None,
    reference: str = Variant.F32,
) -> Name:
    """The variant that ships: of those that pass the gate, the smallest; of equally small ones, the quickest.

    The rule, in full. Candidates are the variants that TensorFlow Serving can serve from our signature. One passes if
    on the validation part it (1) loses at most `LARGEST_AVERAGE_PRECISION_LOSS` of average precision against the
    reference, the network of the same further training without compression, and (2) has an expected calibration error
    of at most `LARGEST_CALIBRATION_ERROR`, or no larger than the reference's where that is above. The smallest
    gzipped size wins; among sizes within `SAME_SIZE` of it, the lowest latency. The test set has no say.

    Args:
        average_precisions: of every candidate on the validation part, the reference among them.
        sizes: gzipped bytes of every candidate.
        calibration_errors: of every candidate on the validation part; None leaves (2) out.
        latencies: of every candidate, in one unit; None leaves the choice among equals to the size.
        reference: the name of the candidate to compare with; it passes always.

    Raises:
        NothingPassesError: no candidate passes.
    """
    passing = [
        name
        for name, precision in average_precisions.items()
        if passes_gate(precision, average_precisions[reference])  # type: ignore[index]  # a StrEnum and its text are one key
        and (calibration_errors is None or passes_calibration(calibration_errors[name], calibration_errors[reference]))  # type: ignore[index]  # ditto
    ]
    if not passing:
        raise NothingPassesError(f"no variant passes the gate: {dict(average_precisions)}")
    smallest = min(sizes[name] for name in passing)
    if latencies is None:
        return min(passing, key=lambda name: sizes[name])
    return min((name for name in passing if sizes[name] <= SAME_SIZE * smallest), key=lambda name: latencies[name])

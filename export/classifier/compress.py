# SPDX-License-Identifier: GPL-3.0-or-later
"""Smaller weights: half precision, or eight-bit integers with one scale an output channel, behind a parity gate.

Weight-only quantisation: kernels are stored small and widened in the graph, the arithmetic stays float32. Symmetric
per-channel int8: Jacob et al. 2018, CVPR, and Krishnamoorthi 2018 (arXiv:1806.08342), section 2.
"""

import enum
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.classifier.training import Network

_INT8_LIMIT: Final = 127

LARGEST_AVERAGE_PRECISION_LOSS: Final = 0.002
"""A variant whose average precision on validation falls by more, against the pruned float32, is refused."""


class Variant(enum.StrEnum):
    """How the weights are stored."""

    F32 = "pruned-f32"
    FP16 = "pruned-fp16"
    INT8 = "pruned-int8-weights"


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """One dense layer as stored.

    Attributes:
        kernel: (inputs, outputs), float32, float16 or int8.
        channel_scale: (outputs,) float32, what a unit of the kernel is worth; None unless the kernel is int8.
        bias: (outputs,) float32.
    """

    kernel: NDArray[Any]
    channel_scale: NDArray[np.float32] | None
    bias: NDArray[np.float32]


def pack(network: Network, variant: Variant) -> dict[str, PackedLayer]:
    """The layers of a network as a variant stores them; pruned weights stay exactly zero."""
    return {name: _pack_layer(kernel, bias, variant) for name, (kernel, bias) in network.layers.items()}


def _pack_layer(kernel: NDArray[np.float32], bias: NDArray[np.float32], variant: Variant) -> PackedLayer:
    if variant is Variant.F32:
        return PackedLayer(kernel, None, bias)
    if variant is Variant.FP16:
        return PackedLayer(kernel.astype(np.float16), None, bias)
    largest = np.abs(kernel).max(axis=0)
    channel_scale = np.where(largest > 0.0, largest / _INT8_LIMIT, 1.0).astype(np.float32)
    return PackedLayer(np.rint(kernel / channel_scale).astype(np.int8), channel_scale, bias)


def weight_bytes(layers: Mapping[str, PackedLayer]) -> dict[str, int]:
    """Bytes of the stored weights, plain and gzipped."""
    content = b"".join(
        array.tobytes()
        for layer in layers.values()
        for array in (layer.kernel, layer.channel_scale, layer.bias)
        if array is not None
    )
    return {"plain": len(content), "gzip": len(gzip.compress(content, compresslevel=9, mtime=0))}


def passes_gate(average_precision: float, reference: float) -> bool:
    """Whether a variant is as good as the pruned float32 network, within the loss allowed."""
    return average_precision >= reference - LARGEST_AVERAGE_PRECISION_LOSS


def choose(average_precisions: Mapping[Variant, float], sizes: Mapping[Variant, int]) -> Variant:
    """The smallest variant that passes the gate; the float32 one passes always.

    Args:
        average_precisions: of every variant on the validation part, `Variant.F32` among them.
        sizes: bytes of every variant.
    """
    reference = average_precisions[Variant.F32]
    passing = [v for v, precision in average_precisions.items() if passes_gate(precision, reference)]
    return min(passing, key=lambda variant: sizes[variant])

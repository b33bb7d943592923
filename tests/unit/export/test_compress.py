# SPDX-License-Identifier: GPL-3.0-or-later
"""Packing weights and the parity gate."""

import numpy as np
import pytest

from export.classifier import compress
from export.classifier.compress import Variant
from export.classifier.training import Network


@pytest.fixture
def network() -> Network:
    random = np.random.default_rng(1)
    kernel = random.normal(size=(12, 64)).astype(np.float32)
    kernel[random.random(kernel.shape) < 0.5] = 0.0
    kernel[:, 5] = 0.0
    return Network(np.zeros(12, np.float32), np.ones(12, np.float32), {"one": (kernel, np.zeros(64, np.float32))}, 0.5)


def test_int8_is_within_half_a_step_of_each_channel(network: Network) -> None:
    layer = compress.pack(network, Variant.INT8)["one"]
    assert layer.kernel.dtype == np.int8
    assert layer.channel_scale is not None
    kernel = network.layers["one"][0]
    error = np.abs(layer.kernel * layer.channel_scale - kernel)
    assert (error <= 0.5001 * layer.channel_scale).all()
    assert np.abs(layer.kernel).max() == 127


@pytest.mark.parametrize("variant", list(Variant))
def test_pruned_weights_stay_zero(network: Network, variant: Variant) -> None:
    kernel = network.layers["one"][0]
    layer = compress.pack(network, variant)["one"]
    assert (layer.kernel[kernel == 0.0] == 0).all()
    assert np.isfinite(layer.kernel.astype(np.float64)).all()


def test_sizes_fall(network: Network) -> None:
    sizes = {v: compress.weight_bytes(compress.pack(network, v)) for v in Variant}
    assert sizes[Variant.F32]["plain"] == (12 * 64 + 64) * 4
    assert sizes[Variant.FP16]["plain"] == 12 * 64 * 2 + 64 * 4
    assert sizes[Variant.INT8]["plain"] == 12 * 64 + 2 * 64 * 4
    assert sizes[Variant.F32]["gzip"] > sizes[Variant.FP16]["gzip"] > sizes[Variant.INT8]["gzip"]


def test_gate_on_its_boundary() -> None:
    assert compress.passes_gate(0.998, 1.0)
    assert not compress.passes_gate(0.9979, 1.0)
    assert compress.passes_gate(1.0, 0.5)


def test_the_smallest_that_passes_is_chosen() -> None:
    sizes = {Variant.F32: 30, Variant.FP16: 20, Variant.INT8: 10}
    good = dict.fromkeys(Variant, 0.99)
    assert compress.choose(good, sizes) is Variant.INT8
    assert compress.choose({**good, Variant.INT8: 0.98}, sizes) is Variant.FP16
    assert compress.choose({**good, Variant.INT8: 0.98, Variant.FP16: 0.9}, sizes) is Variant.F32

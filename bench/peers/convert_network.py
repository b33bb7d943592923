# SPDX-License-Identifier: GPL-3.0-or-later
"""The published classifier as an ONNX graph with the same signature, features included.

Runs in an environment of its own: `python convert_network.py SAVED_MODEL_FOLDER OUT.onnx`. onnxruntime has no double
precision form of some functions, which are computed in single precision; the result is compared with the SavedModel.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx

TOLERANCE = 1e-5
_OPSET = 18
_CHECKED = 20_000
# onnxruntime/docs/OperatorKernels.md, CPU: float only.
_SINGLE_ONLY = frozenset({"Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan"})


def convert(saved_model: Path, out: Path) -> float:
    """Write the graph.

    Returns:
        The largest difference of any output from the SavedModel's.

    Raises:
        SystemExit: it is larger than the tolerance.
    """
    signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]

    @tf.function(input_signature=[tf.TensorSpec((None, 6), tf.float64, "orbits")])
    def network(orbits: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs: dict[str, tf.Tensor] = signature(orbits=orbits)
        return outputs

    model, _ = tf2onnx.convert.from_function(network, input_signature=network.input_signature, opset=_OPSET)
    nodes = [part for node in model.graph.node for part in _runnable(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    orbits = _orbits()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"orbits": orbits}), strict=True))
    wanted = {name: values.numpy() for name, values in network(tf.constant(orbits)).items()}
    # The verdict is the probability against a threshold: compared through the probability.
    numbers = [name for name, values in wanted.items() if values.dtype != np.bool_]
    difference = max(float(np.abs(found[name] - wanted[name]).max()) for name in numbers)
    if not difference <= TOLERANCE:
        raise SystemExit(f"the graph differs from the SavedModel by {difference:.2g}")
    onnx.save(model, str(out))
    return difference


def _runnable(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    if node.op_type not in _SINGLE_ONLY:
        return [node]
    single_in, single_out = f"{node.name}/single_in", f"{node.name}/single_out"
    return [
        onnx.helper.make_node("Cast", [node.input[0]], [single_in], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node(node.op_type, [single_in], [single_out]),
        onnx.helper.make_node("Cast", [single_out], [node.output[0]], to=onnx.TensorProto.DOUBLE),
    ]


def _orbits() -> np.ndarray:
    draw = np.random.default_rng(20261126)
    low = [0.1, 0.0, 0.0, 0.0, 0.0, 10.0]
    high = [1.3, 0.95, 120.0, 360.0, 360.0, 32.0]
    return draw.uniform(low, high, (_CHECKED, 6))


if __name__ == "__main__":
    print(f"{convert(Path(sys.argv[1]), Path(sys.argv[2])):.2g}")

# SPDX-License-Identifier: GPL-3.0-or-later
"""The forest as ONNX: a converter for skl2onnx that writes all trees as ONE `TreeEnsemble` node, in double.

skl2onnx's own converter writes thousands of nodes and takes milliseconds a row; one node takes microseconds. The trap:
scikit-learn compares float32(feature) with a float64 threshold, so features are rounded to float32 and widened again
before the trees. Operator: ONNX `ai.onnx.ml` version 5, TreeEnsemble (splits, leaf weights and output in double).
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline

from export.data.cleaning import MODEL_COLUMNS
from export.errors import ExportError
from export.forest.isolation_forest import (
    FEATURE_NAMES,
    JUPITER_SEMI_MAJOR_AXIS_AU,
    SMALLEST_ONE_MINUS_ECCENTRICITY,
    OrbitFeatures,
    average_path_length,
    leaf_path_lengths,
)
from gateway.quiet_onnxruntime import onnxruntime

ORBITS_INPUT: Final = "orbits"
SCORE_OUTPUT: Final = "score"
FEATURES_OUTPUT: Final = "features"
LARGEST_SCORE_DIFFERENCE: Final = 1e-7

_ML_DOMAIN: Final = "ai.onnx.ml"
# skl2onnx 1.20 lets a converter declare version 3 at most: the graph is raised to 5 once it is complete.
_DECLARED_OPSET: Final = {"": 19, _ML_DOMAIN: 3}
_TREE_ENSEMBLE_OPSET: Final = 5
_TREE_ENSEMBLE_IR_VERSION: Final = 10
_SUM: Final = 1
_NO_TRANSFORM: Final = 0
_LESS_OR_EQUAL: Final = 0

Floats = NDArray[np.float64]


class ParityError(ExportError):
    """The ONNX graph does not say what scikit-learn says."""


class UnsplitTreeError(ExportError):
    """A tree of the forest is a single leaf."""


def _features_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None, len(FEATURE_NAMES)])


def _convert_features(scope: Any, operator: Any, container: Any) -> None:
    """`OrbitFeatures.transform`, operation by operation in the same order, in double."""
    raw = operator.inputs[0].full_name

    def constant(value: float) -> str:
        name: str = scope.get_unique_variable_name("constant")
        container.add_initializer(name, onnx.TensorProto.DOUBLE, [1], [value])
        return name

    def node(op_type: str, *inputs: str, **attributes: Any) -> str:
        name: str = scope.get_unique_variable_name(op_type.lower())
        container.add_node(op_type, list(inputs), [name], name=scope.get_unique_operator_name(op_type), **attributes)
        return name

    def column(index: int) -> str:
        position = scope.get_unique_variable_name("column")
        container.add_initializer(position, onnx.TensorProto.INT64, [1], [index])
        return node("Gather", raw, position, axis=1)

    q, e, inclination_deg, magnitude_h = (column(index) for index in (0, 1, 2, 5))
    one, jupiter_au = constant(1.0), constant(JUPITER_SEMI_MAJOR_AXIS_AU)
    one_minus_e, one_plus_e = node("Sub", one, e), node("Add", one, e)
    a_au = node("Div", q, node("Max", one_minus_e, constant(SMALLEST_ONE_MINUS_ECCENTRICITY)))
    aphelion_au = node("Mul", a_au, one_plus_e)
    inclination = node("Mul", inclination_deg, constant(np.pi / 180.0))
    root = node("Sqrt", node("Div", node("Mul", q, one_plus_e), jupiter_au))
    energy_term = node("Div", node("Mul", jupiter_au, one_minus_e), q)
    momentum_term = node("Mul", node("Mul", constant(2.0), node("Cos", inclination)), root)
    tisserand = node("Add", energy_term, momentum_term)
    log_scale = constant(np.log(10.0))
    log_a, log_aphelion = (node("Div", node("Log", value), log_scale) for value in (a_au, aphelion_au))
    container.add_node(
        "Concat",
        [log_a, e, inclination_deg, magnitude_h, q, log_aphelion, tisserand],
        [operator.outputs[0].full_name],
        name=scope.get_unique_operator_name("Concat"),
        axis=1,
    )


def _tree_attributes(forest: IsolationForest) -> dict[str, Any]:
    """All trees in the layout of `TreeEnsemble`: split nodes and leaves numbered apart, children by number."""
    roots, features, thresholds, weights = [], [], [], []
    left_ids, left_leaf, right_ids, right_leaf = [], [], [], []
    splits_before = leaves_before = 0
    for estimator, chosen in zip(forest.estimators_, forest.estimators_features_, strict=True):
        tree = estimator.tree_
        is_leaf = tree.children_left < 0
        number = np.where(is_leaf, leaves_before + np.cumsum(is_leaf) - 1, splits_before + np.cumsum(~is_leaf) - 1)
        left, right = tree.children_left[~is_leaf], tree.children_right[~is_leaf]
        roots.append(splits_before)
        features.append(np.asarray(chosen)[tree.feature[~is_leaf]])
        thresholds.append(tree.threshold[~is_leaf])
        left_ids.append(number[left])
        left_leaf.append(is_leaf[left])
        right_ids.append(number[right])
        right_leaf.append(is_leaf[right])
        weights.append(leaf_path_lengths(tree)[is_leaf])
        splits_before += int((~is_leaf).sum())
        leaves_before += int(is_leaf.sum())
    return {
        "n_targets": 1,
        "aggregate_function": _SUM,
        "post_transform": _NO_TRANSFORM,
        "tree_roots": roots,
        "nodes_modes": numpy_helper.from_array(np.full(splits_before, _LESS_OR_EQUAL, np.uint8)),
        "nodes_featureids": np.concatenate(features).tolist(),
        "nodes_splits": numpy_helper.from_array(np.concatenate(thresholds).astype(np.float64)),
        "nodes_truenodeids": np.concatenate(left_ids).tolist(),
        "nodes_trueleafs": np.concatenate(left_leaf).astype(np.int64).tolist(),
        "nodes_falsenodeids": np.concatenate(right_ids).tolist(),
        "nodes_falseleafs": np.concatenate(right_leaf).astype(np.int64).tolist(),
        "leaf_targetids": [0] * leaves_before,
        "leaf_weights": numpy_helper.from_array(np.concatenate(weights)),
    }


def _parse_forest(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:  # noqa: ARG001 - skl2onnx's signature
    """One output, the score: scikit-learn's label and decision are the service's business."""
    operator = scope.declare_local_operator("FusedIsolationForest", model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable(SCORE_OUTPUT, DoubleTensorType([None])))
    return operator.outputs


def _forest_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None])


def _convert_forest(scope: Any, operator: Any, container: Any) -> None:
    forest: IsolationForest = operator.raw_operator
    samples = forest._max_samples  # noqa: SLF001 - the resolved number has no public name
    per_path = -1.0 / (len(forest.estimators_) * float(average_path_length(samples)))
    names = [
        scope.get_unique_variable_name(name)
        for name in ("rounded", "widened", "path_length_sum", "exponents", "exponent", "per_path", "two", "column_axis")
    ]
    rounded, widened, path_sum, exponents, exponent, scale, two, axis = names
    container.add_initializer(scale, onnx.TensorProto.DOUBLE, [1], [per_path])
    container.add_initializer(two, onnx.TensorProto.DOUBLE, [1], [2.0])
    container.add_initializer(axis, onnx.TensorProto.INT64, [1], [1])
    # scikit-learn rounds features to float32 before it compares them with float64 thresholds.
    container.add_node("Cast", [operator.inputs[0].full_name], [rounded], name="round", to=onnx.TensorProto.FLOAT)
    container.add_node("Cast", [rounded], [widened], name="widen", to=onnx.TensorProto.DOUBLE)
    container.add_node(
        "TreeEnsemble",
        [widened],
        [path_sum],
        op_domain=_ML_DOMAIN,
        op_version=_DECLARED_OPSET[_ML_DOMAIN],
        name="forest",
        **_tree_attributes(forest),
    )
    container.add_node("Mul", [path_sum, scale], [exponents], name="normalise")
    container.add_node("Squeeze", [exponents, axis], [exponent], name="squeeze")
    container.add_node("Pow", [two, exponent], [operator.outputs[0].full_name], name="score")


def register() -> None:
    """Make skl2onnx use the converters of this module for `OrbitFeatures` and `IsolationForest`."""
    update_registered_converter(OrbitFeatures, "OrbitFeatures", _features_shape, _convert_features)
    update_registered_converter(
        IsolationForest, "FusedIsolationForest", _forest_shape, _convert_forest, parser=_parse_forest
    )


def to_onnx(pipeline: Pipeline) -> onnx.ModelProto:
    """The pipeline as a graph: `orbits` double (N, 6) -> `score` double (N,), `features` double (N, 7).

    Raises:
        UnsplitTreeError: a tree has no split, as when it was grown on one object.
    """
    if any(estimator.tree_.node_count == 1 for estimator in pipeline["forest"].estimators_):
        raise UnsplitTreeError("a tree without a split cannot be fused: the objects are too few or all alike")
    register()
    model = convert_sklearn(
        pipeline,
        "neo_anomaly",
        [(ORBITS_INPUT, DoubleTensorType([None, len(MODEL_COLUMNS)]))],
        target_opset=_DECLARED_OPSET,
    )
    next(opset for opset in model.opset_import if opset.domain == _ML_DOMAIN).version = _TREE_ENSEMBLE_OPSET
    model.ir_version = _TREE_ENSEMBLE_IR_VERSION
    features = next(node.output[0] for node in model.graph.node if node.op_type == "Concat")
    model.graph.node.append(onnx.helper.make_node("Identity", [features], [FEATURES_OUTPUT], name="features"))
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(FEATURES_OUTPUT, onnx.TensorProto.DOUBLE, [None, len(FEATURE_NAMES)])
    )
    onnx.checker.check_model(model)
    return model


def run(path: Path, columns: Floats) -> tuple[Floats, Floats]:
    """Scores (N,) and features (N, 7) as onnxruntime computes them from a written graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    score, features = session.run([SCORE_OUTPUT, FEATURES_OUTPUT], {ORBITS_INPUT: columns})
    return score, features


def check_parity(onnx_scores: Floats, sklearn_scores: Floats) -> float:
    """The largest difference between the two.

    Raises:
        ParityError: it exceeds `LARGEST_SCORE_DIFFERENCE`, or the objects rank differently beyond rounding.
    """
    difference = float(np.abs(onnx_scores - sklearn_scores).max())
    if not difference <= LARGEST_SCORE_DIFFERENCE:
        raise ParityError(f"ONNX and scikit-learn scores differ by up to {difference:.3g}")
    in_sklearn_order = onnx_scores[np.argsort(sklearn_scores, kind="stable")]
    if np.diff(in_sklearn_order).min(initial=0.0) < -1e-12:
        raise ParityError("ONNX and scikit-learn rank objects differently")
    return difference

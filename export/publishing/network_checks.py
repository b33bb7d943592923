# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a candidate folder holds the SavedModel that the gateway's front speaks to.

Everything is read from the files, nothing is run: `export.publishing.infra_check` serves the candidate afterwards.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from export.classifier.saved_model import ORBITS_INPUT, ROWS_INPUT, WARMUP_FILE
from export.data.cleaning import MODEL_COLUMNS
from export.data.dataset import CLASSES
from export.publishing.manifest_checks import check_sums, read_manifest
from export.publishing.publish import RefusedError
from export.quiet_tensorflow import prediction_log_pb2, tf

# dtype and shape by name; -1 is the number of objects. The front reads exactly these (gateway/front/prediction.py).
Tensors = Mapping[str, tuple[Any, tuple[int, ...]]]
SIGNATURES: Final[dict[str, tuple[Tensors, Tensors]]] = {
    "serving_default": (
        {ORBITS_INPUT: (tf.float64, (-1, len(MODEL_COLUMNS)))},
        {
            "pha_probability": (tf.float32, (-1,)),
            "potentially_hazardous": (tf.bool, (-1,)),
            "class_probabilities": (tf.float32, (-1, len(CLASSES))),
        },
    ),
    "describe": (
        {ROWS_INPUT: (tf.int32, (-1,))},
        {"variant": (tf.string, (-1,)), "training_data": (tf.string, (-1,))},
    ),
}
OPTIONAL_SIGNATURES: Final[dict[str, tuple[Tensors, Tensors]]] = {
    "drift_reference": ({ROWS_INPUT: (tf.int32, (-1,))}, {"drift_reference": (tf.string, (-1,))}),
}
"""What versions published before drift was watched do not have."""
_GRAPH_FILE: Final = "saved_model.pb"
_VARIABLES: Final = Path("variables") / "variables"
_VARIABLE_OPS: Final = frozenset({"VarHandleOp", "VariableV2", "Variable"})


def check_network(folder: Path) -> None:
    """Refuse a folder that TensorFlow Serving could not serve to the front.

    Raises:
        RefusedError: says what is wrong.
    """
    check_sums(folder)
    read_manifest(folder)
    graph = read_graph(folder)
    _check_signatures(graph)
    _check_constants(graph)
    _check_variables(folder, graph)
    read_warmup(folder)


def read_graph(folder: Path) -> Any:
    """The one MetaGraph tagged "serve".

    Raises:
        RefusedError: the file is missing, truncated, or holds no such graph.
    """
    from tensorflow.core.protobuf import saved_model_pb2  # noqa: PLC0415 - only after the quiet door has opened

    try:
        content = (folder / _GRAPH_FILE).read_bytes()
        model = saved_model_pb2.SavedModel.FromString(content)
    except OSError as error:
        raise RefusedError(f"{_GRAPH_FILE} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise RefusedError(f"{_GRAPH_FILE} is truncated or no SavedModel: {len(content)} bytes do not parse") from error
    graphs = [graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if len(graphs) != 1:
        raise RefusedError(f"{_GRAPH_FILE} has {len(graphs)} graphs tagged serve, not one")
    return graphs[0]


def _check_signatures(graph: Any) -> None:
    for name, (inputs, outputs) in (SIGNATURES | OPTIONAL_SIGNATURES).items():
        if name not in graph.signature_def:
            if name in OPTIONAL_SIGNATURES:
                continue
            raise RefusedError(f"signature {name} is missing")
        signature = graph.signature_def[name]
        for side, wanted, found in (("input", inputs, signature.inputs), ("output", outputs, signature.outputs)):
            if set(found) != set(wanted):
                raise RefusedError(f"signature {name} has the {side}s {sorted(found)}, not {sorted(wanted)}")
            for tensor, (dtype, shape) in wanted.items():
                _check_tensor(f"signature {name}: {side} {tensor}", found[tensor], dtype, shape)


def _check_tensor(what: str, found: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    if tf.as_dtype(found.dtype) != dtype:
        raise RefusedError(f"{what} is {tf.as_dtype(found.dtype).name}, not {dtype.name}")
    sizes = tuple(int(dim.size) for dim in found.tensor_shape.dim)
    if found.tensor_shape.unknown_rank or sizes != shape:
        raise RefusedError(f"{what} has the shape {sizes}, not {shape}")


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _check_constants(graph: Any) -> None:
    """Weights that are stored in the graph are finite; limits of operations may be infinite, so scalars are free."""
    for node in _nodes(graph):
        if node.op != "Const":
            continue
        tensor = node.attr["value"].tensor
        if tf.as_dtype(tensor.dtype).is_floating:
            _require_finite(f"constant {node.name}", tf.make_ndarray(tensor))


def _require_finite(what: str, values: Any) -> None:
    wide = np.asarray(values).astype(np.float64)
    broken = int((~np.isfinite(wide)).sum()) if wide.size > 1 else int(np.isnan(wide).sum())
    if broken:
        raise RefusedError(f"{what} holds {broken} weights that are not finite, of {wide.size}")


def _check_variables(folder: Path, graph: Any) -> None:
    """What the graph's checkpoint must hold: TensorFlow Serving refuses a folder without it."""
    has_variables = any(node.op in _VARIABLE_OPS for node in _nodes(graph)) or any(
        entry.WhichOneof("kind") == "variable" for entry in graph.object_graph_def.nodes
    )
    prefix = folder / _VARIABLES
    shards = sorted(path.name for path in prefix.parent.glob(f"{prefix.name}.data-*"))
    if not prefix.with_suffix(".index").is_file() or not shards:
        raise RefusedError("the variables are missing: variables.index or variables.data-* is not there")
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        stored = {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise RefusedError(f"the variables cannot be read: {first_line}") from error
    weights = {name: value for name, value in stored.items() if not name.startswith("_CHECKPOINTABLE_OBJECT_GRAPH")}
    if has_variables and not any("/.ATTRIBUTES/" in name for name in weights):
        raise RefusedError("the graph has variables and the checkpoint holds none")
    for name, value in weights.items():
        if np.asarray(value).dtype.kind == "f":
            _require_finite(f"variable {name}", value)


def read_warmup(folder: Path) -> list[Any]:
    """The warm-up requests (PredictRequest), at least one for each signature.

    Raises:
        RefusedError: there are none, one cannot be read, or a signature has none.
    """
    path = folder / WARMUP_FILE
    if not path.is_file():
        raise RefusedError(f"the warm-up records are missing: {WARMUP_FILE.as_posix()}")
    try:
        logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in _records(path.read_bytes())]
    except DecodeError as error:
        raise RefusedError("a warm-up record is no PredictionLog") from error
    requests = [log.predict_log.request for log in logs]
    warmed = {request.model_spec.signature_name or "serving_default" for request in requests}
    if cold := sorted(SIGNATURES.keys() - warmed):
        raise RefusedError(f"no warm-up record for {', '.join(cold)}")
    return requests


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file: length (8 bytes), masked CRC (4), data, masked CRC (4); cut ends are noticed."""
    at = 0
    while at < len(content):
        if len(content) < at + 12:
            raise RefusedError("the warm-up records are truncated")
        (length,) = struct.unpack_from("<Q", content, at)
        if len(content) < at + 16 + length:
            raise RefusedError("the warm-up records are truncated")
        yield content[at + 12 : at + 12 + length]
        at += 16 + length

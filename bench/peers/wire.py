# SPDX-License-Identifier: GPL-3.0-or-later
"""The same question in each server's own words, and its answer back as arrays.

A protocol turns (N, 6) float64 orbits (q in au, e, i, node, argument of perihelion in degrees, H) into a request, and a
reply into outputs by name: for the classifier `pha_probability` (N,) and `class_probabilities` (N, 4) where it says
them, for the forest `score` (N,).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.front.open_inference_messages import MESSAGES as OPEN_INFERENCE_MESSAGES
from gateway.front.tf_serving import _MESSAGES as TENSORFLOW_MESSAGES
from gateway.front.tf_serving import _read_tensor, _write_tensor
from orrery.inference import v1

Floats: TypeAlias = NDArray[np.float64]
Outputs: TypeAlias = Mapping[str, NDArray[Any]]

CLASSIFIER: Final = "neo_classifier"
FOREST: Final = "neo_anomaly"
OUTPUTS: Final = {
    CLASSIFIER: ("pha_probability", "potentially_hazardous", "class_probabilities"),
    FOREST: ("score",),
}
_COLUMNS: Final = ("q", "e", "i", "node", "peri", "h")
_FIELDS: Final = (
    "perihelion_distance_au",
    "eccentricity",
    "inclination_deg",
    "longitude_of_ascending_node_deg",
    "argument_of_perihelion_deg",
)
_EPOCH_TDB_JD: Final = 2461000.5
_DTYPES: Final = {"FP32": np.float32, "FP64": np.float64, "BOOL": np.bool_}
_CONTENTS: Final = {"FP32": "fp32_contents", "FP64": "fp64_contents", "BOOL": "bool_contents"}
_FOUR_CLASSES: Final = (
    v1.ORBIT_CLASS_ATIRA,
    v1.ORBIT_CLASS_ATEN,
    v1.ORBIT_CLASS_APOLLO,
    v1.ORBIT_CLASS_AMOR,
)


@dataclass(frozen=True, slots=True)
class Protocol:
    """How to ask, and how to read the answer.

    Attributes:
        name: for the page.
        target: the gRPC method or the HTTP path, of a model and a number of rows.
        encode: a request's bytes, of a model and (N, 6) orbits.
        decode: outputs, of a model and a reply's bytes.
        content_type: of the request over HTTP; empty for gRPC.
    """

    name: str
    target: Callable[[str, int], str]
    encode: Callable[[str, Floats], bytes]
    decode: Callable[[str, bytes], Outputs]
    content_type: str = ""


def _open_inference_request(model: str, orbits: Floats) -> bytes:
    request = OPEN_INFERENCE_MESSAGES["ModelInferRequest"](model_name=model, id="1")
    request.inputs.add(name="orbits", datatype="FP64", shape=orbits.shape)
    for name in OUTPUTS[model]:
        request.outputs.add(name=name)
    request.raw_input_contents.append(orbits.tobytes())
    content: bytes = request.SerializeToString()
    return content


def _open_inference_reply(model: str, content: bytes) -> Outputs:
    reply = OPEN_INFERENCE_MESSAGES["ModelInferResponse"].FromString(content)
    found: dict[str, NDArray[Any]] = {}
    flat: NDArray[Any]
    for position, output in enumerate(reply.outputs):
        if reply.raw_output_contents:
            flat = np.frombuffer(reply.raw_output_contents[position], _DTYPES[output.datatype])
        else:
            flat = np.array(getattr(output.contents, _CONTENTS[output.datatype]), _DTYPES[output.datatype])
        # MLServer and Triton say (N, 1) where the model said (N,).
        found[output.name] = flat.reshape(output.shape) if flat.size != output.shape[0] else flat
    if missing := set(OUTPUTS[model]) - set(found):
        raise ValueError(f"the reply lacks {sorted(missing)}")
    return found


def _tensorflow_request(model: str, orbits: Floats) -> bytes:
    request = TENSORFLOW_MESSAGES["PredictRequest"]()
    request.model_spec.name = model
    request.model_spec.signature_name = "serving_default"
    _write_tensor(request.inputs["orbits"], orbits)
    content: bytes = request.SerializeToString()
    return content


def _tensorflow_reply(model: str, content: bytes) -> Outputs:
    reply = TENSORFLOW_MESSAGES["PredictResponse"].FromString(content)
    return {name: _read_tensor(tensor, model) for name, tensor in reply.outputs.items()}


def _column_tensors_request(model: str, orbits: Floats) -> bytes:
    request = TENSORFLOW_MESSAGES["PredictRequest"]()
    request.model_spec.name = model
    for name, column in zip(_COLUMNS, orbits.T, strict=True):
        _write_tensor(request.inputs[name], np.ascontiguousarray(column[:, None]))
    content: bytes = request.SerializeToString()
    return content


def _column_tensors_reply(model: str, content: bytes) -> Outputs:
    return _from_table(model, _tensorflow_reply(model, content)["predictions"])


def _from_table(model: str, table: NDArray[Any]) -> Outputs:
    """The outputs that `servers.graphs.Graph.table` put side by side."""
    if model == FOREST:
        return {"score": table[:, 0]}
    probability, verdict, classes = table[:, 0], table[:, 1] > 0, table[:, 2:]
    return {"pha_probability": probability, "potentially_hazardous": verdict, "class_probabilities": classes}


def _own_request(model: str, orbits: Floats) -> bytes:
    if len(orbits) == 1:
        elements = v1.OrbitalElements(epoch_tdb_jd=_EPOCH_TDB_JD, mean_anomaly_deg=0.0)
        for field, value in zip(_FIELDS, orbits[0], strict=False):
            setattr(elements, field, value)
        item = v1.NearEarthObject(elements=elements, physical=v1.PhysicalParameters(absolute_magnitude_h=orbits[0, 5]))
        if model == FOREST:
            return v1.ScoreAnomaliesRequest(objects=[item]).SerializeToString()
        return v1.PredictRequest(objects=[item]).SerializeToString()
    columns = v1.OrbitColumns(epoch_tdb_jd=[_EPOCH_TDB_JD], absolute_magnitude_h=orbits[:, 5])
    for field, column in zip(_FIELDS, orbits.T, strict=False):
        getattr(columns, field).extend(column)
    if model == FOREST:
        return v1.ScoreAnomalyColumnsRequest(orbits=columns).SerializeToString()
    return v1.PredictColumnsRequest(orbits=columns).SerializeToString()


def _own_reply_of_one(model: str, content: bytes) -> Outputs:
    if model == FOREST:
        return {"score": np.array([item.score for item in v1.ScoreAnomaliesResponse.FromString(content).scores])}
    predictions = v1.PredictResponse.FromString(content).predictions
    classes = [{each.orbit_class: each.probability for each in item.class_probabilities} for item in predictions]
    return {
        "pha_probability": np.array([item.pha_probability for item in predictions]),
        "potentially_hazardous": np.array([item.potentially_hazardous for item in predictions]),
        "class_probabilities": np.array([[row[name] for name in _FOUR_CLASSES] for row in classes]),
    }


def _own_reply_of_many(model: str, content: bytes) -> Outputs:
    if model == FOREST:
        return {"score": np.array(v1.ScoreAnomalyColumnsResponse.FromString(content).score)}
    reply = v1.PredictColumnsResponse.FromString(content)
    return {
        "pha_probability": np.array(reply.pha_probability),
        "potentially_hazardous": np.array(reply.potentially_hazardous),
    }


def _own_target(model: str, rows: int) -> str:
    service, one, many = {
        CLASSIFIER: ("Prediction", "Predict", "PredictColumns"),
        FOREST: ("Anomaly", "ScoreAnomalies", "ScoreAnomalyColumns"),
    }[model]
    return f"/orrery.inference.v1.{service}Service/{one if rows == 1 else many}"


def _json_reply(model: str, content: bytes) -> Outputs:
    return _from_table(model, np.array(json.loads(content), np.float64))


def _bytes_reply(model: str, content: bytes) -> Outputs:
    width = 1 if model == FOREST else 6
    return _from_table(model, np.frombuffer(content, np.float64).reshape(-1, width))


OPEN_INFERENCE: Final = Protocol(
    "gRPC, Open Inference Protocol v2, raw contents",
    lambda _model, _rows: "/inference.GRPCInferenceService/ModelInfer",
    _open_inference_request,
    _open_inference_reply,
)
TENSORFLOW_SERVING: Final = Protocol(
    "gRPC, TensorFlow Serving's Predict",
    lambda _model, _rows: "/tensorflow.serving.PredictionService/Predict",
    _tensorflow_request,
    _tensorflow_reply,
)
COLUMN_TENSORS: Final = Protocol(
    "gRPC, TensorFlow Serving's Predict, a tensor a column",
    lambda _model, _rows: "/tensorflow.serving.PredictionService/Predict",
    _column_tensors_request,
    _column_tensors_reply,
)
OWN_ONE: Final = Protocol("gRPC, our own API", _own_target, _own_request, _own_reply_of_one)
OWN_MANY: Final = Protocol("gRPC, our own API by columns", _own_target, _own_request, _own_reply_of_many)
JSON: Final = Protocol(
    "HTTP, JSON",
    lambda model, _rows: f"/{model}",
    lambda _model, orbits: json.dumps({"orbits": orbits.tolist()}).encode(),
    _json_reply,
    "application/json",
)
BYTES: Final = Protocol(
    "HTTP, the arrays' own bytes",
    lambda model, _rows: f"/{model}",
    lambda _model, orbits: orbits.tobytes(),
    _bytes_reply,
    "application/octet-stream",
)

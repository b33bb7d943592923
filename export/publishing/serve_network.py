# SPDX-License-Identifier: GPL-3.0-or-later
"""The infra check of the classifier: the embedded model server, asked through TensorFlow Serving's genuine stubs."""

from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from export.classifier.saved_model import ORBITS_INPUT
from export.publishing.infra_check import (
    Expected,
    Pod,
    Replay,
    compare,
    measured,
    race,
    replay,
    sample_batches,
    wait_until,
)
from export.publishing.network_checks import read_warmup
from export.publishing.publish import RefusedError
from export.quiet_tensorflow import predict_pb2, tf

_BOUNDS: Final = {"pha_probability": (0.0, 1.0), "class_probabilities": (0.0, 1.0)}
_STUB_OPTIONS: Final = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
_STATUS_TIMEOUT_S: Final = 5.0


def replay_network(
    pod: Pod,
    folder: Path,
    name: str,
    version: int,
    expected: Expected,
    population: NDArray[np.float64],
    champion: Path | None = None,
) -> Replay:
    """Serve a candidate, wait until it is AVAILABLE, send its warm-up records and 1,000 requests.

    Args:
        pod: a model server with nothing in its store.
        folder: of the candidate.
        name: of the model.
        version: its number.
        expected: the model in memory.
        population: (N, 6) orbits to draw from.
        champion: the folder of the version to be as quick as, served beside the candidate; None to race with nobody.

    Raises:
        RefusedError: says which answer was wrong, missing or an error.
    """
    from tensorflow_serving.apis import (  # noqa: PLC0415 - after the quiet door of tensorflow
        get_model_status_pb2,
        model_service_pb2_grpc,
        prediction_service_pb2_grpc,
    )

    warmup = read_warmup(folder)
    pod.place(folder, name, version)
    rival = None if champion is None else int(champion.name)
    if champion is not None and rival is not None:
        pod.place(champion, name, rival)
    with grpc.insecure_channel(pod.address(), options=_STUB_OPTIONS) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        asked = get_model_status_pb2.GetModelStatusRequest()
        asked.model_spec.name = name
        states = get_model_status_pb2.ModelVersionStatus.State

        def complaint() -> str:
            try:
                reply = models.GetModelStatus(asked, timeout=_STATUS_TIMEOUT_S)
            except grpc.RpcError as error:
                return f"{error.code().name}: {error.details()}"
            found = {entry.version: entry for entry in reply.model_version_status}
            if version in found and found[version].state == states.END:
                raise RefusedError(f"the model server gave the candidate up: {found[version].status.error_message}")
            for wanted in filter(None, (version, rival)):
                if wanted not in found or found[wanted].state != states.AVAILABLE:
                    return f"version {wanted} is not AVAILABLE"
            return ""

        wait_until(complaint, pod)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        replay(stub.Predict, warmup)
        batches = sample_batches(population)
        requests = [_request(name, version, batch) for batch in batches]
        replies, took_ms = replay(stub.Predict, requests)
        against = None
        if rival is not None:
            against = race(stub.Predict, requests, [_request(name, rival, batch) for batch in batches])
    served = [{output: tf.make_ndarray(tensor) for output, tensor in reply.outputs.items()} for reply in replies]
    if wrong := {reply.model_spec.version.value for reply in replies} - {version}:
        raise RefusedError(f"versions {sorted(wrong)} answered in place of {version}")
    largest = compare(served, expected(np.concatenate(batches)), _BOUNDS)
    return measured(batches, took_ms, largest, against)


def _request(name: str, version: int, orbits: NDArray[np.float64]) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.version.value = version
    request.inputs[ORBITS_INPUT].CopyFrom(tf.make_tensor_proto(orbits))
    return request

# SPDX-License-Identifier: GPL-3.0-or-later
"""The Open Inference Protocol: NVIDIA's client and hand-made messages get the numbers that our own API gives."""

import asyncio
import json
import subprocess

import grpc
import numpy as np
import pytest

from gateway.front.open_inference_messages import MESSAGES, SERVICE
from gateway.front.open_inference_tensors import COLUMNS
from orrery.inference import InferenceError, v1
from tests.pods import PROJECT_ROOT, running_anomaly, running_front

TRITON_PYTHON = PROJECT_ROOT / "build" / "tritonclient" / "bin" / "python"


def orbits(count):
    rng = np.random.default_rng(11)
    low, high = zip((0.3, 1.3), (0.0, 0.7), (0.0, 170.0), (0.0, 360.0), (0.0, 360.0), (12.0, 28.0), strict=True)
    return rng.uniform(low, high, (count, 6))


def in_columns(rows):
    return {"epoch_tdb_jd": 2461000.5, **dict(zip(COLUMNS, rows.T, strict=True))}


@pytest.fixture(scope="module")
def ours(stack):
    """What our own API says of the same orbits: outputs by model and name."""
    from orrery.inference import InferenceClient

    columns = in_columns(orbits(40))
    with InferenceClient(stack["front"], timeout_s=30.0) as client:
        predicted, scored = client.predict_columns(columns), client.score_anomaly_columns(columns)
    return {"neo_classifier": predicted, "neo_anomaly": scored}


@pytest.fixture(scope="module")
def told(stack):
    """What tritonclient was told."""
    if not TRITON_PYTHON.is_file():
        pytest.skip("tritonclient's environment is not there: `make test` makes it")
    question = json.dumps({"orbits": orbits(40).tolist()})
    command = [TRITON_PYTHON, PROJECT_ROOT / "tests" / "triton_asks.py", stack["front"]]
    asked = subprocess.run(command, input=question, capture_output=True, text=True, check=False, timeout=120)
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


def same(outputs, ours, within):
    shared = outputs.keys() & ours.keys()
    assert shared
    for name in shared:
        assert np.array(outputs[name], float) == pytest.approx(ours[name].astype(float), abs=within), name


@pytest.mark.parametrize("model", ["neo_classifier", "neo_anomaly"])
def test_tritonclient_gets_our_numbers(told, ours, model):
    said = told["models"][model]
    version = str(ours[model].model.version)
    for way in ("matrix", "pinned", "chosen"):
        assert said[way]["version"] == version
        same(said[way]["outputs"], ours[model], 1e-6)
    assert said["id"] == "seven"
    assert said["ready"]
    assert len(said["chosen"]["outputs"]) == 1
    # The input itself is rounded to 24 bits.
    first = next(iter(said["matrix"]["outputs"]))
    assert said["single"]["outputs"][first] == pytest.approx(said["matrix"]["outputs"][first], abs=1e-2)


def test_class_probabilities_are_there(told, ours):
    probabilities = np.array(told["models"]["neo_classifier"]["matrix"]["outputs"]["class_probabilities"])
    assert probabilities.shape == (40, 4)
    assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert list(probabilities.argmax(axis=1) + v1.ORBIT_CLASS_ATIRA) == list(ours["neo_classifier"]["orbit_class"])


def test_tritonclient_by_asyncio(told):
    assert told["asyncio"]["outputs"] == told["models"]["neo_anomaly"]["matrix"]["outputs"]


def test_metadata_says_what_the_models_really_take_and_give(told):
    assert told["live"]
    assert told["ready"]
    assert told["server"]["name"] == "orrery-inference"
    for said in told["models"].values():
        metadata = said["metadata"]
        assert metadata["inputs"] == [{"name": "orbits", "datatype": "FP64", "shape": ["-1", "6"]}]
        assert metadata["versions"] == [said["matrix"]["version"]]
        outputs = said["matrix"]["outputs"]
        assert [output["name"] for output in metadata["outputs"]] == list(outputs)
        for output in metadata["outputs"]:
            assert [int(size) for size in output["shape"]][1:] == list(np.shape(outputs[output["name"]])[1:])


def test_a_refusal_names_the_column(told):
    code, message = told["refusal"]
    assert code == "StatusCode.INVALID_ARGUMENT"
    assert message.startswith("orbits.perihelion_distance_au[0]: must be in ")


class Asking:
    """Calls by hand-made messages."""

    def __init__(self, channel):
        self._channel = channel

    def __getattr__(self, method):
        described = SERVICE.methods_by_name[method]
        call = self._channel.unary_unary(
            f"/{SERVICE.full_name}/{method}",
            MESSAGES[described.input_type.name].SerializeToString,
            MESSAGES[described.output_type.name].FromString,
        )
        return lambda **fields: call(MESSAGES[described.input_type.name](**fields), timeout=30)


@pytest.fixture
def asking(stack):
    with grpc.insecure_channel(stack["front"]) as channel:
        yield Asking(channel)


def matrix(values, **changed):
    contents = {"fp64_contents": np.ravel(values)}
    return {"name": "orbits", "datatype": "FP64", "shape": np.shape(values), "contents": contents, **changed}


def columns_of(rows, shape):
    return [
        {"name": name, "datatype": "FP64", "shape": shape, "contents": {"fp64_contents": column}}
        for name, column in zip(COLUMNS, rows.T, strict=True)
    ]


@pytest.mark.parametrize("shape", [[40], [40, 1]])
def test_columns_and_typed_contents_give_the_same(asking, ours, shape):
    for model, field in (("neo_classifier", "fp32_contents"), ("neo_anomaly", "fp64_contents")):
        for inputs in (columns_of(orbits(40), shape), [matrix(orbits(40))]):
            reply = asking.ModelInfer(model_name=model, inputs=inputs)
            assert not reply.raw_output_contents
            first = reply.outputs[0]
            same({first.name: getattr(first.contents, field)}, ours[model], 1e-6)
            assert [output.shape[0] for output in reply.outputs] == [40] * len(reply.outputs)


RAW = orbits(2).astype("<f8").tobytes()
GOOD = matrix(orbits(2))
BAD = [
    ([], [], "inputs"),
    ([{**GOOD, "name": "x"}], [], "inputs[0].name"),
    ([GOOD, GOOD], [], "inputs[1].name"),
    ([{**GOOD, "datatype": "INT64"}], [], "inputs[0].datatype"),
    ([{**GOOD, "shape": [3, 4]}], [], "inputs[0].shape"),
    ([{**GOOD, "shape": [-2, 6]}], [], "inputs[0].shape"),
    ([{**GOOD, "shape": [2**62, 6]}], [], "inputs[0].shape"),
    ([{**GOOD, "shape": []}], [], "inputs[0].shape"),
    ([{**GOOD, "shape": [3, 6]}], [], "inputs[0].contents.fp64_contents"),
    ([{**GOOD, "datatype": "FP32"}], [], "inputs[0].contents.fp32_contents"),
    ([{**GOOD, "contents": None}], [RAW[:-1]], "raw_input_contents[0]"),
    ([{**GOOD, "contents": None}], [RAW, RAW], "raw_input_contents"),
    ([GOOD], [RAW], "inputs[0].contents"),
    (columns_of(orbits(2), [2])[1:], [], "inputs"),
    ([*columns_of(orbits(2), [2])[1:], *columns_of(orbits(3), [3])[:1]], [], "inputs"),
    ([GOOD, *columns_of(orbits(2), [2])[:1]], [], "inputs"),
    ([matrix(np.full((2, 6), np.nan))], [], "orbits.eccentricity[0]"),
    ([matrix([[0.5, 20.5, 3.0, 4.0, 5.0, 20.0]])], [], "orbits.eccentricity[0]"),
]


@pytest.mark.parametrize("model", ["neo_classifier", "neo_anomaly"])
@pytest.mark.parametrize(("inputs", "raw", "path"), BAD)
def test_bad_tensors_are_refused_by_the_field(asking, model, inputs, raw, path):
    with pytest.raises(grpc.RpcError) as error:
        asking.ModelInfer(model_name=model, inputs=inputs, raw_input_contents=raw)
    refusal = InferenceError(error.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert path in [violation.path for violation in refusal.violations]


@pytest.mark.parametrize("model", ["neo_classifier", "neo_anomaly"])
def test_unknown_models_versions_and_outputs(asking, model):
    for fields in ({"model_name": "nobody"}, {"model_name": model, "model_version": "7"}):
        with pytest.raises(grpc.RpcError) as error:
            asking.ModelInfer(inputs=[GOOD], **fields)
        assert InferenceError(error.value).reason == "MODEL_NOT_FOUND"
    for names in (["x"], ["score", "score"], ["pha_probability", "pha_probability"]):
        with pytest.raises(grpc.RpcError) as error:
            asking.ModelInfer(model_name=model, inputs=[GOOD], outputs=[{"name": name} for name in names])
        assert InferenceError(error.value).violations
    assert not asking.ModelReady(name=model, version="7").ready
    assert not asking.ModelReady(name=model, version="no such label").ready


async def test_readiness_follows_the_backends():
    """Without a model server the forest is ready, the network and the whole are not."""
    async with (
        running_anomaly() as anomaly,
        running_front(anomaly_address=anomaly.address) as pod,
        grpc.aio.insecure_channel(pod.address) as channel,
    ):
        asking = Asking(channel)
        async with asyncio.timeout(30):
            while not (await asking.ModelReady(name="neo_anomaly")).ready:
                await asyncio.sleep(0.05)
        assert not (await asking.ModelReady(name="neo_classifier")).ready
        assert not (await asking.ServerReady()).ready
        assert (await asking.ServerLive()).live
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await asking.ModelMetadata(name="neo_classifier")
        assert InferenceError(error.value).reason == "BACKEND_UNAVAILABLE"

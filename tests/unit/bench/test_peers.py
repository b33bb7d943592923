# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench of other model servers sends, reads, refuses and writes; no peer is needed."""

import json

import numpy as np
import pytest

from bench.peers import wire
from bench.peers.contenders import PEERS
from bench.peers.load import Question, WrongAnswer, calls
from bench.peers.loads import DIRECT, ECHO, FRONT, FRONT_OPEN, LOADS, OURS
from bench.peers.page import page, quicker, rates, short, unrest
from gateway.front import open_inference_tensors
from gateway.front.open_inference_messages import MESSAGES
from gateway.serving.orbit_columns import read_model_columns
from gateway.serving.orbits import read_model_rows
from gateway.serving.validation import Violations
from orrery.inference import v1

ORBITS = np.array([[0.746, 0.1911, 3.34, 203.9, 126.7, 19.1], [1.133, 0.2228, 10.83, 304.27, 178.93, 10.4]])
SAID = {
    "pha_probability": np.array([0.93, 0.02], np.float32),
    "potentially_hazardous": np.array([True, False]),
    "class_probabilities": np.array([[0.0, 0.9, 0.1, 0.0], [0.0, 0.0, 0.1, 0.9]], np.float32),
}
SCORES = {"score": np.array([0.41, 0.56])}
TABLE = np.column_stack([SAID["pha_probability"], SAID["potentially_hazardous"], SAID["class_probabilities"]]).astype(
    np.float64
)


def assert_outputs(found, wanted):
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=1e-7)


def test_the_front_itself_reads_the_open_inference_request():
    request = MESSAGES["ModelInferRequest"].FromString(wire.OPEN_INFERENCE.encode(wire.CLASSIFIER, ORBITS))
    assert request.model_name == "neo_classifier"
    np.testing.assert_allclose(open_inference_tensors.model_rows(open_inference_tensors.read_orbits(request)), ORBITS)
    assert open_inference_tensors.chosen_outputs(request, wire.OUTPUTS[wire.CLASSIFIER]) == list(SAID)


@pytest.mark.parametrize("raw", [True, False])
def test_open_inference_replies_are_read_in_both_forms(raw):
    reply = MESSAGES["ModelInferResponse"]()
    open_inference_tensors.write_outputs(reply, SAID, raw=raw)
    assert_outputs(wire.OPEN_INFERENCE.decode(wire.CLASSIFIER, reply.SerializeToString()), SAID)


def test_a_column_of_one_is_the_vector_the_model_said():
    reply = MESSAGES["ModelInferResponse"]()
    open_inference_tensors.write_outputs(reply, {"score": SCORES["score"][:, None]}, raw=True)
    assert_outputs(wire.OPEN_INFERENCE.decode(wire.FOREST, reply.SerializeToString()), SCORES)


def test_a_reply_that_lacks_an_output_is_refused():
    reply = MESSAGES["ModelInferResponse"]()
    open_inference_tensors.write_outputs(reply, SCORES, raw=True)
    with pytest.raises(ValueError, match="class_probabilities"):
        wire.OPEN_INFERENCE.decode(wire.CLASSIFIER, reply.SerializeToString())


@pytest.mark.parametrize(("protocol", "names"), [(wire.TENSORFLOW_SERVING, ["orbits"]), (wire.COLUMN_TENSORS, None)])
def test_tensorflow_servings_request_holds_the_orbits(protocol, names):
    request = wire.TENSORFLOW_MESSAGES["PredictRequest"].FromString(protocol.encode(wire.CLASSIFIER, ORBITS))
    columns = names or ["q", "e", "i", "node", "peri", "h"]
    assert set(request.inputs) == set(columns)
    found = np.column_stack([wire._read_tensor(request.inputs[name], "") for name in columns])
    np.testing.assert_array_equal(found, ORBITS)


def test_one_array_of_everything_is_taken_apart():
    reply = wire.TENSORFLOW_MESSAGES["PredictResponse"]()
    wire._write_tensor(reply.outputs["predictions"], TABLE.astype(np.float32))
    for protocol, content in (
        (wire.COLUMN_TENSORS, reply.SerializeToString()),
        (wire.JSON, json.dumps(TABLE.tolist()).encode()),
        (wire.BYTES, TABLE.tobytes()),
    ):
        assert_outputs(protocol.decode(wire.CLASSIFIER, content), SAID)
    assert_outputs(wire.BYTES.decode(wire.FOREST, SCORES["score"].tobytes()), SCORES)
    assert json.loads(wire.JSON.encode(wire.FOREST, ORBITS)) == {"orbits": ORBITS.tolist()}


def test_our_own_requests_hold_the_orbits():
    one = v1.PredictRequest.FromString(wire.OWN_ONE.encode(wire.CLASSIFIER, ORBITS[:1]))
    np.testing.assert_allclose(read_model_rows(one.objects, Violations())[:, :6], ORBITS[:1])
    many = v1.ScoreAnomalyColumnsRequest.FromString(wire.OWN_MANY.encode(wire.FOREST, ORBITS))
    np.testing.assert_allclose(read_model_columns(many.orbits, Violations())[:, :6], ORBITS)
    assert wire.OWN_MANY.target(wire.FOREST, 2).endswith("AnomalyService/ScoreAnomalyColumns")


async def test_the_load_generator_stops_at_a_wrong_number():
    right, wrong = SCORES["score"], SCORES["score"] + [0.0, 2e-5]
    question = Question(b"?", lambda reply: wire.BYTES.decode(wire.FOREST, reply), {"score": right})

    async def good(request: bytes) -> bytes:
        assert request == b"?"
        return right.tobytes()

    async def bad(_request: bytes) -> bytes:
        return wrong.tobytes()

    assert await calls(good, [question], 2, seconds=0.01)() > 0
    with pytest.raises(WrongAnswer, match="score"):
        await calls(bad, [question], 2, seconds=0.01)()


def test_a_reply_without_a_known_output_is_wrong():
    with pytest.raises(WrongAnswer, match="only"):
        Question(b"", lambda _reply: {}, SCORES).check(b"")


def session(peer, rate):
    ours = {ECHO: [400.0, 500.0, 600.0], DIRECT: [190.0, 200.0, 210.0], FRONT: [90.0, 100.0, 110.0]}
    found = ours | {FRONT_OPEN: [140.0, 150.0, 160.0], PEERS[peer].variants[0].name: [rate - 1, rate, rate + 1]}
    return {
        "date": "2026-11-26",
        "cores": 2,
        "load_before": [0.5, 0.5, 0.5],
        "versions": {PEERS[peer].distribution: "9.9.9", "numpy": "2.4.6"},
        "rates": {load.key: found for load in LOADS},
    }


def test_the_table_compares_within_a_session_and_pools_ours():
    table = rates(LOADS[0], {"kserve": session("kserve", 50.0), "triton": session("triton", 400.0)})
    assert "| KServe | 50.0 | 49.0 to 51.0 | 0.10 | 4.00 | 2.00 | 3.00 |" in table
    assert "| Triton, dynamic batching | 400 | 399 to 401 | 0.80 | 0.50 | 0.25 | 0.38 |" in table
    assert f"| *{OURS[0]}* | 200 | 190 to 210 | 0.40 |" in table


def test_in_short_ours_over_the_best_variant():
    measured = session("triton", 400.0)
    slow, load = PEERS["triton"].variants[1].name, LOADS[-1].key
    measured["rates"] = measured["rates"] | {load: measured["rates"][load] | {slow: [1_000.0]}}
    row = short({"triton": measured}).splitlines()[-1]
    assert row == "| Triton |" + " 0.50 / 0.25 |" * (len(LOADS) - 1) + " 0.20 / 0.10 |"


def test_an_unquiet_session_is_said_to_be_one():
    restless = session("kserve", 50.0)
    restless["rates"] = restless["rates"] | {LOADS[0].key: restless["rates"][LOADS[0].key] | {ECHO: [100.0, 400.0]}}
    text = unrest({"kserve": restless, "triton": session("triton", 400.0)})
    assert "KServe 4.0, Triton 1.5." in text


def test_a_peer_is_quicker_only_beyond_the_spread():
    text = quicker({"kserve": session("kserve", 100.5), "triton": session("triton", 400.0)})
    assert "**KServe** nowhere" in text
    assert "**Triton** beats ours, through the front: classifier, 1 a call, concurrency 1 (4.00 times)" in text


def test_the_page_says_versions_settings_and_what_was_not_measured():
    text = page({"kserve": session("kserve", 50.0)}, "1.7e-06")
    assert "KServe (9.9.9)" in text
    assert PEERS["kserve"].variants[0].settings in text
    assert "not measured here: Triton, MLServer, mosec, BentoML, pythie-serving." in text
    assert text.count("## Classifier") == text.count("## Forest") == len(LOADS) // 2

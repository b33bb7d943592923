# SPDX-License-Identifier: GPL-3.0-or-later
"""Candidates in the real pods: what is right passes 1,000 requests, what is wrong is refused, nothing stays running."""

import itertools
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from export.data import catalogue
from export.forest import fused_forest
from export.publishing import gate, infra_check, serve_forest, serve_network
from export.publishing.publish import Published, RefusedError
from export.quiet_tensorflow import tf
from orrery.inference import v1

VERSIONS = itertools.count(20260101000000)


def network_in_memory(folder: Path) -> infra_check.Expected:
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return lambda orbits: {name: value.numpy() for name, value in signature(orbits=tf.constant(orbits)).items()}


@pytest.fixture(scope="module")
def model_server() -> Iterator[infra_check.Pod]:
    """One for all: each candidate is newer than the one before."""
    with infra_check.model_server() as pod:
        yield pod
    assert pod.ended


def test_the_classifier_is_served_as_it_is_in_memory(
    tiny_models: dict[str, Published], tiny_catalogue: catalogue.Catalogue, model_server: infra_check.Pod
) -> None:
    folder = tiny_models["neo_classifier"].folder
    expected = network_in_memory(folder)
    orbits = gate.population(tiny_catalogue)
    found = serve_network.replay_network(model_server, folder, "neo_classifier", next(VERSIONS), expected, orbits)
    assert found.requests == 1_000
    assert found.largest_difference <= infra_check.TOLERANCE
    assert 0.0 < found.p50_ms <= found.p99_ms

    def off(columns: np.ndarray) -> dict[str, np.ndarray]:
        answers = dict(expected(columns))
        return {**answers, "pha_probability": answers["pha_probability"] + np.float32(1e-3)}

    with pytest.raises(RefusedError, match=r"pha_probability differs from the model in memory by up to 0\.001"):
        serve_network.replay_network(model_server, folder, "neo_classifier", next(VERSIONS), off, orbits)


def test_a_graph_that_the_model_server_cannot_load_is_refused(
    tiny_models: dict[str, Published],
    tiny_catalogue: catalogue.Catalogue,
    model_server: infra_check.Pod,
    tmp_path: Path,
) -> None:
    folder = tiny_models["neo_classifier"].folder
    broken = tmp_path / "candidate"
    shutil.copytree(folder, broken)
    (broken / "saved_model.pb").write_bytes(b"")
    orbits = gate.population(tiny_catalogue)
    expected = network_in_memory(folder)
    with pytest.raises(RefusedError, match="the model server gave the candidate up"):
        serve_network.replay_network(model_server, broken, "neo_classifier", next(VERSIONS), expected, orbits)


def test_the_forest_is_served_as_it_is_in_memory(
    tiny_models: dict[str, Published], tiny_catalogue: catalogue.Catalogue, tmp_path: Path
) -> None:
    folder = tiny_models["neo_anomaly"].folder
    broken = tmp_path / "candidate"
    shutil.copytree(folder, broken)
    (broken / "forest.onnx").write_bytes(b"")
    orbits = gate.population(tiny_catalogue)

    def expected(columns: np.ndarray) -> dict[str, np.ndarray]:
        return {"score": fused_forest.run(folder / "forest.onnx", columns)[0]}

    with infra_check.anomaly_pod() as pod:
        with pytest.raises(RefusedError, match="the anomaly pod refuses the candidate"):
            serve_forest.replay_forest(pod, broken, "neo_anomaly", next(VERSIONS), expected, orbits)
        found = serve_forest.replay_forest(pod, folder, "neo_anomaly", next(VERSIONS), expected, orbits)
    assert (found.requests, found.largest_difference) == (1_000, 0.0)
    assert pod.ended


def test_batches_are_the_same_for_the_same_seed() -> None:
    orbits = np.arange(60.0).reshape(10, 6)
    first, second = infra_check.sample_batches(orbits), infra_check.sample_batches(orbits)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert {len(batch) for batch in first} == set(range(1, 65))


class Paced(v1.AnomalyServiceServicer):
    """Takes longer over the requests of one version."""

    def __init__(self, slow_s: float) -> None:
        self._slow_s = slow_s

    def ScoreAnomalies(self, request: v1.ScoreAnomaliesRequest, context: object) -> v1.ScoreAnomaliesResponse:  # noqa: N802
        del context
        time.sleep(self._slow_s if request.model.version == 2 else 0.001)
        return v1.ScoreAnomaliesResponse()


@pytest.mark.parametrize(("slow_s", "refused"), [(0.001, False), (0.01, True)])
def test_a_candidate_slower_than_its_champion_is_refused_with_the_figures(slow_s: float, refused: bool) -> None:
    server = grpc.server(ThreadPoolExecutor(8))
    v1.add_AnomalyServiceServicer_to_server(Paced(slow_s), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ours, theirs = ([v1.ScoreAnomaliesRequest(model=v1.ModelSelector(version=version))] * 200 for version in (2, 1))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = v1.AnomalyServiceStub(channel).ScoreAnomalies
        if refused:
            with pytest.raises(RefusedError, match=r"slower than the champion, asked in turns: p50 .* 1\.5 allowed"):
                infra_check.race(call, ours, theirs)
        else:
            found = infra_check.race(call, ours, theirs)
            assert found.p50_ms[0] <= infra_check.P50_RATIO * found.p50_ms[1]
    server.stop(None).wait()

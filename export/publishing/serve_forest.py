# SPDX-License-Identifier: GPL-3.0-or-later
"""The infra check of the forest: the anomaly pod, asked through the client's stubs."""

from pathlib import Path
from typing import Final

import grpc
import numpy as np
from numpy.typing import NDArray

from export.data.dataset import SYNTHETIC_EPOCH_TDB_JD
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
from export.publishing.publish import RefusedError
from orrery.inference import v1

_BOUNDS: Final = {"score": (0.0, 1.0)}
_PROBE_TIMEOUT_S: Final = 5.0
# The pod refuses open orbits and what is no near-Earth object's H: requests are drawn from those it takes.
_MAGNITUDES_H: Final = (5.0, 35.0)


def replay_forest(
    pod: Pod,
    folder: Path,
    name: str,
    version: int,
    expected: Expected,
    population: NDArray[np.float64],
    champion: Path | None = None,
) -> Replay:
    """Serve a candidate, wait until it scores, send 1,000 requests of columns.

    Args:
        pod: an anomaly pod with nothing in its store.
        folder: of the candidate.
        name: of the model.
        version: its number.
        expected: the forest in memory, giving `score`.
        population: (N, 6) orbits to draw from.
        champion: the folder of the version to be as quick as, served beside the candidate; None to race with nobody.

    Raises:
        RefusedError: says which answer was wrong, missing or an error.
    """
    closed = population[:, 1] < 1.0
    plausible = (population[:, 5] > _MAGNITUDES_H[0]) & (population[:, 5] < _MAGNITUDES_H[1])
    batches = sample_batches(population[closed & plausible])
    pod.place(folder, name, version)
    rival = None if champion is None else int(champion.name)
    if champion is not None and rival is not None:
        pod.place(champion, name, rival)
    with grpc.insecure_channel(pod.address(), options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = v1.AnomalyServiceStub(channel)

        def complaint() -> str:
            try:
                for wanted in filter(None, (version, rival)):
                    stub.ScoreAnomalyColumns(_request(batches[0], wanted), timeout=_PROBE_TIMEOUT_S)
            except grpc.RpcError as error:
                refusals = [line for line in pod.tail().split(" | ") if "forest refused" in line]
                if any(f'"version": {version},' in line for line in refusals):
                    raise RefusedError(f"the anomaly pod refuses the candidate: {pod.tail()}") from error
                return f"{error.code().name}: {error.details()}"
            return ""

        wait_until(complaint, pod)
        requests = [_request(batch, version) for batch in batches]
        replies, took_ms = replay(stub.ScoreAnomalyColumns, requests)
        against = None
        if rival is not None:
            against = race(stub.ScoreAnomalyColumns, requests, [_request(batch, rival) for batch in batches])
    if wrong := {reply.model.version for reply in replies} - {version}:
        raise RefusedError(f"versions {sorted(wrong)} answered in place of {version}")
    served = [{"score": np.array(reply.score)} for reply in replies]
    largest = compare(served, expected(np.concatenate(batches)), _BOUNDS)
    return measured(batches, took_ms, largest, against)


def _request(orbits: NDArray[np.float64], version: int) -> v1.ScoreAnomalyColumnsRequest:
    q, e, inclination, node, argument, magnitude = orbits.T
    return v1.ScoreAnomalyColumnsRequest(
        orbits=v1.OrbitColumns(
            epoch_tdb_jd=[SYNTHETIC_EPOCH_TDB_JD],
            perihelion_distance_au=q,
            eccentricity=e,
            inclination_deg=inclination,
            longitude_of_ascending_node_deg=node,
            argument_of_perihelion_deg=argument,
            absolute_magnitude_h=magnitude,
        ),
        model=v1.ModelSelector(version=version),
    )

# SPDX-License-Identifier: GPL-3.0-or-later
"""A candidate is served by the very pod that will serve it, alone, and asked 1,000 times before it is published.

The pod is a process of its own on free ports, started before the training so that its libraries load meanwhile; the
candidate is dropped into its empty store. The model server reads the project's own `serving_config/models.config`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from export import paths
from export.publishing.publish import RefusedError

REQUESTS: Final = 1_000
P50_RATIO: Final = 1.5
P99_RATIO: Final = 2.0
"""So many times as slow as the champion may a candidate be, both asked in turns; less is a busy machine's noise."""
_RACES: Final = 2
_TURNS: Final = 10
LARGEST_BATCH: Final = 64
TOLERANCE: Final = 1e-6

_IN_FLIGHT: Final = 8
_START_TIMEOUT_S: Final = 180.0
_LOAD_TIMEOUT_S: Final = 60.0
_CALL_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.1
_SEED: Final = 23

Answers = Mapping[str, NDArray[Any]]
Expected = Callable[[NDArray[np.float64]], Answers]
"""The model in memory: raw orbits (N, 6) to its outputs by name, first axis N."""


@dataclass(frozen=True, slots=True)
class Race:
    """How a candidate's latency compares with its champion's over all turns, candidate first.

    Attributes:
        p50_ms: of each.
        p99_ms: of each.
    """

    p50_ms: tuple[float, float]
    p99_ms: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay measured.

    Attributes:
        requests: how many were answered, all of them rightly.
        rows: objects in them.
        p50_ms: half of the calls took no longer, with `in_flight` calls at a time.
        p99_ms: 99 of 100 took no longer.
        largest_difference: between any served number and the model in memory.
        race: against the champion, where there is one.
    """

    requests: int
    rows: int
    p50_ms: float
    p99_ms: float
    largest_difference: float
    race: Race | None = None


class Pod:
    """A started process of the gateway with a model store of its own, empty at first."""

    def __init__(self, process: subprocess.Popen[bytes], store: Path, log: Path) -> None:
        self._process = process
        self._store = store
        self._log = log

    def place(self, folder: Path, name: str, version: int) -> None:
        """Copy a candidate into the pod's store as one whole version."""
        parent = self._store / name
        parent.mkdir(exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".staging-", dir=parent))
        shutil.copytree(folder, beside, dirs_exist_ok=True)
        beside.rename(parent / str(version))

    def address(self) -> str:
        """Where it listens, as soon as it says so.

        Raises:
            RefusedError: it died, or did not listen in time; with the end of its log.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            for line in self._lines():
                with contextlib.suppress(json.JSONDecodeError):
                    said = json.loads(line)
                    if said.get("event") == "serving":
                        return str(said["address"])
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_S)
        raise RefusedError(f"the pod that should serve the candidate does not start: {self.tail()}")

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def tail(self) -> str:
        """The end of its log, on one line."""
        return " | ".join(self._lines()[-3:]) or "its log is empty"

    def _lines(self) -> list[str]:
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()


@contextlib.contextmanager
def _pod(command: str, environment: Mapping[str, str]) -> Iterator[Pod]:
    with tempfile.TemporaryDirectory(prefix="orrery-infra-check-") as place:
        store, log = Path(place) / "models", Path(place) / "log"
        store.mkdir()
        settings = {name: value.format(store=store) for name, value in environment.items()}
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own module, in this very interpreter
                [sys.executable, "-m", "gateway", command],
                stdout=output, stderr=output, env={**os.environ, **settings}, cwd=paths.PROJECT_ROOT,
                start_new_session=True,
            )  # fmt: skip
        try:
            yield Pod(process, store, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def model_server() -> contextlib.AbstractContextManager[Pod]:
    """The embedded model server over an empty store; it is gone when the block ends, however it ends."""
    return _pod(
        "model-server",
        {
            "ORRERY_MODEL_SERVER_ADDRESS": "127.0.0.1:0",
            "ORRERY_MODEL_SERVER_STATUS_ADDRESS": "127.0.0.1:0",
            "ORRERY_MODEL_STORE": "{store}",
            "ORRERY_MODEL_SERVER_MODEL_CONFIG_FILE": str(paths.PROJECT_ROOT / "serving_config" / "models.config"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
        },
    )


def anomaly_pod() -> contextlib.AbstractContextManager[Pod]:
    """The anomaly pod over an empty store; it is gone when the block ends, however it ends."""
    return _pod(
        "anomaly",
        {
            "ORRERY_ANOMALY_ADDRESS": "127.0.0.1:0",
            "ORRERY_ANOMALY_METRICS_ADDRESS": "127.0.0.1:0",
            "ORRERY_MODEL_STORE": "{store}",
        },
    )


def sample_batches(
    population: NDArray[np.float64], requests: int = REQUESTS, seed: int = _SEED
) -> list[NDArray[np.float64]]:
    """Batches of 1 to 64 rows drawn from a population of shape (N, 6), the same for the same seed."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, LARGEST_BATCH, endpoint=True, size=requests)
    return [population[random.integers(len(population), size=size)] for size in sizes]


def wait_until(ready: Callable[[], str], pod: Pod) -> None:
    """Poll until `ready` has no complaint.

    Raises:
        RefusedError: it still complains when the time is up; says the complaint and the pod's last words.
    """
    deadline = time.monotonic() + _LOAD_TIMEOUT_S
    while complaint := ready():
        if time.monotonic() > deadline:
            raise RefusedError(f"the candidate is not served: {complaint}; {pod.tail()}")
        time.sleep(_POLL_S)


def replay(call: Any, requests: Sequence[Any]) -> tuple[list[Any], list[float]]:
    """Send all requests, a few at a time.

    Args:
        call: a unary stub method.
        requests: its messages.

    Returns:
        The replies in order, and each call's milliseconds.

    Raises:
        RefusedError: a call failed; says which and how.
    """
    replies: list[Any] = []
    took_ms: list[float] = [0.0] * len(requests)
    for first in range(0, len(requests), _IN_FLIGHT):
        futures = []
        for number, request in enumerate(requests[first : first + _IN_FLIGHT], start=first):
            started = time.perf_counter()
            future = call.future(request, timeout=_CALL_TIMEOUT_S)
            future.add_done_callback(
                lambda _, row=number, since=started: took_ms.__setitem__(row, 1e3 * (time.perf_counter() - since))
            )
            futures.append(future)
        for number, future in enumerate(futures, start=first):
            try:
                replies.append(future.result())
            except grpc.RpcError as error:
                raise RefusedError(f"served request {number} failed: {error.code().name}: {error.details()}") from error
    return replies, took_ms


def race(call: Any, ours: Sequence[Any], theirs: Sequence[Any]) -> Race:
    """Ask candidate and champion the same, in many short turns, so that a busy machine is as unfair to both.

    Args:
        call: a unary stub method.
        ours: the candidate's requests.
        theirs: the champion's.

    Raises:
        RefusedError: a call failed, or the candidate is slower than the ratios allow, in each of `_RACES` races.
    """
    slow: list[str] = []
    for _ in range(_RACES):
        found = _race(call, ours, theirs)
        slow = [
            f"{name} {mine:.2f} ms after {champions:.2f} ms, {mine / champions:.2f} times, {most:g} allowed"
            for name, (mine, champions), most in (("p50", found.p50_ms, P50_RATIO), ("p99", found.p99_ms, P99_RATIO))
            if mine > most * champions
        ]
        if not slow:
            return found
    raise RefusedError(f"slower than the champion, asked in turns: {'; '.join(slow)}")


def _race(call: Any, ours: Sequence[Any], theirs: Sequence[Any]) -> Race:
    took_ms: tuple[list[float], list[float]] = ([], [])
    for turn in range(_TURNS):
        sides = ((0, ours), (1, theirs)) if turn % 2 else ((1, theirs), (0, ours))
        for side, requests in sides:
            took_ms[side].extend(replay(call, requests[turn::_TURNS])[1])
    p50, p99 = np.percentile(took_ms, [50.0, 99.0], axis=1)
    return Race((float(p50[0]), float(p50[1])), (float(p99[0]), float(p99[1])))


def compare(served: Sequence[Answers], expected: Answers, bounds: Mapping[str, tuple[float, float]]) -> float:
    """The largest difference between served answers, batch after batch, and the model in memory.

    Args:
        served: outputs by name of each batch.
        expected: outputs by name of all batches end to end.
        bounds: the smallest and the largest value of each number.

    Raises:
        RefusedError: an output is missing, of another shape, not finite, out of range, or further off than `TOLERANCE`.
    """
    largest = 0.0
    for name, wanted in expected.items():
        if any(name not in batch for batch in served):
            raise RefusedError(f"served answers lack {name}")
        found = np.concatenate([batch[name] for batch in served])
        if found.shape != wanted.shape:
            raise RefusedError(f"served {name} has the shape {found.shape}, not {wanted.shape}")
        if name not in bounds:
            continue
        low, high = bounds[name]
        if not np.isfinite(found).all() or found.min() < low or found.max() > high:
            raise RefusedError(f"served {name} is not finite or outside [{low}, {high}]")
        difference = float(np.abs(found.astype(np.float64) - wanted).max())
        if difference > TOLERANCE:
            raise RefusedError(f"served {name} differs from the model in memory by up to {difference:.3g}")
        largest = max(largest, difference)
    return largest


def measured(
    batches: Sequence[NDArray[np.float64]],
    took_ms: Sequence[float],
    largest_difference: float,
    against: Race | None = None,
) -> Replay:
    """The figures of a replay that went well."""
    p50_ms, p99_ms = np.percentile(took_ms, [50.0, 99.0])
    rows = sum(len(batch) for batch in batches)
    return Replay(len(took_ms), rows, float(p50_ms), float(p99_ms), largest_difference, against)

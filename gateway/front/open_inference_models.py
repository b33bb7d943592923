# SPDX-License-Identifier: GPL-3.0-or-later
"""The two models as the Open Inference Protocol sees them: named tensors in, named tensors out, versions as text."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import grpc
import numpy as np
from numpy.typing import NDArray

from gateway.front.judging import Judgement, Judges
from gateway.front.open_inference_tensors import COLUMNS, ORBITS, model_rows
from gateway.front.rollout import Rollout
from gateway.neo.units import J2000_TDB_JD
from gateway.serving.channels import refusal_of
from gateway.serving.transports.interface import Channel
from orrery.inference import v1

Tensor = tuple[str, str, tuple[int, ...]]
"""Name, data type, shape; -1 for any size."""

INPUTS: Final[tuple[Tensor, ...]] = ((ORBITS, "FP64", (-1, len(COLUMNS))),)

FEW_ROWS: Final = 64
"""Up to here a thread's hop and back would cost more than reading and writing do."""

# (433) Eros, rounded: what a model is asked to see whether it answers.
_PROBE: Final = v1.OrbitColumns(
    epoch_tdb_jd=[J2000_TDB_JD],
    **{name: [value] for name, value in zip(COLUMNS, (1.133, 0.2228, 10.83, 304.27, 178.93, 10.4), strict=True)},
)


@dataclass(frozen=True, slots=True)
class Answered:
    """What one version of a model said of N orbits."""

    outputs: dict[str, NDArray[Any]]
    version: int


class Model(Protocol):
    """A model that can be asked."""

    platform: str
    outputs: tuple[Tensor, ...]

    async def infer(self, orbits: v1.OrbitColumns, selector: v1.ModelSelector, budget: dict[str, Any]) -> Answered:
        """Ask it; `budget` is the timeout and metadata, see `gateway.serving.channels.onward`."""


async def probe(model: Model, selector: v1.ModelSelector, budget: dict[str, Any]) -> int:
    """Ask about a known orbit, and tell which version answers.

    Raises:
        ServingError: it does not.
    """
    return (await model.infer(_PROBE, selector, budget)).version


def selector_of(version: str) -> v1.ModelSelector:
    """A version as the protocol writes it: a number, a label, or nothing for the newest."""
    if version.isascii() and version.isdecimal() and 0 < int(version) < 2**63:
        return v1.ModelSelector(version=int(version))
    return v1.ModelSelector(version_label=version) if version else v1.ModelSelector()


class Classifier:
    """The network, behind TensorFlow Serving; the exact rule has no place in this protocol."""

    platform = "tensorflow_savedmodel"
    outputs: tuple[Tensor, ...] = (
        ("pha_probability", "FP32", (-1,)),
        ("potentially_hazardous", "BOOL", (-1,)),
        ("class_probabilities", "FP32", (-1, 4)),
    )

    def __init__(self, judges: Judges, rollout: Rollout) -> None:
        self._judges = judges
        self._rollout = rollout

    async def infer(self, orbits: v1.OrbitColumns, selector: v1.ModelSelector, budget: dict[str, Any]) -> Answered:
        """Ask the network: together with concurrent callers where it is little, in parts where it is much.

        Raises:
            InvalidRequest: an orbit is none that the model knows.
            ServingError: there is no such version, or the model server is away, too slow or too busy.
        """
        few = len(orbits.eccentricity) <= FEW_ROWS
        rows = model_rows(orbits) if few else await asyncio.to_thread(model_rows, orbits)

        async def ask(model: v1.ModelSelector) -> Judgement:
            return await self._judges.judge(model.SerializeToString(), rows, budget, definition=False)

        said = await self._rollout.ask_stable(selector, ask)
        return Answered({name: getattr(said, name) for name, _, _ in self.outputs}, said.version)


class Forest:
    """The forest, in the anomaly pod."""

    platform = "onnx_onnxv1"
    outputs: tuple[Tensor, ...] = (
        ("score", "FP64", (-1,)),
        ("anomalous", "BOOL", (-1,)),
        ("population_percentile", "FP64", (-1,)),
    )

    def __init__(self, channel: Channel) -> None:
        self._score: Any = v1.AnomalyServiceStub(cast("grpc.aio.Channel", channel)).ScoreAnomalyColumns

    async def infer(self, orbits: v1.OrbitColumns, selector: v1.ModelSelector, budget: dict[str, Any]) -> Answered:
        """One ScoreAnomalyColumns of the pod.

        Raises:
            ServingError: the pod refuses, or is away, too slow or too busy.
        """
        request = v1.ScoreAnomalyColumnsRequest(orbits=orbits, model=selector)
        try:
            reply = await self._score(request, **budget)
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error, "anomaly") from error
        dtypes: dict[str, Any] = {"FP64": np.float64, "BOOL": np.bool_}
        outputs: dict[str, NDArray[Any]] = {
            name: np.array(getattr(reply, name), dtypes[datatype]) for name, datatype, _ in self.outputs
        }
        return Answered(outputs, reply.model.version)

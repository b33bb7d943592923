# SPDX-License-Identifier: Apache-2.0
"""The contract's methods in one table: where each is, what it takes and gives, and how long it may take."""

from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from google.protobuf.message import Message

from orrery.inference import v1

Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)

Kind = Literal["unary_unary", "unary_stream", "stream_stream"]


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Reply]):
    """One method.

    Attributes:
        path: "/package.Service/Method".
        kind: what is a stream, in gRPC's words.
        request: the message it takes.
        reply: the message it gives.
        timeout_s: of a call, unless its caller says otherwise; of a stream, from its beginning to its end.
    """

    path: str
    kind: Kind
    request: type[Request]
    reply: type[Reply]
    timeout_s: float

    def within_s(self, timeout_s: float | None) -> float:
        """What the caller says, or else the method's own time."""
        return self.timeout_s if timeout_s is None else timeout_s


def _path(service: str, name: str) -> str:
    return f"/orrery.inference.v1.{service}Service/{name}"


# The servers' own limits are 10 s for prediction, 30 s for anomalies, 300 s for simulations, an hour for streams both
# ways; a shorter one here ends what nobody would wait for.
PREDICT: Final = Method(_path("Prediction", "Predict"), "unary_unary", v1.PredictRequest, v1.PredictResponse, 10.0)
PREDICT_COLUMNS: Final = Method(
    _path("Prediction", "PredictColumns"), "unary_unary", v1.PredictColumnsRequest, v1.PredictColumnsResponse, 10.0
)
STREAM_PREDICT: Final = Method(
    _path("Prediction", "StreamPredict"), "stream_stream", v1.PredictColumnsRequest, v1.PredictColumnsResponse, 3600.0
)
SCORE_ANOMALIES: Final = Method(
    _path("Anomaly", "ScoreAnomalies"), "unary_unary", v1.ScoreAnomaliesRequest, v1.ScoreAnomaliesResponse, 30.0
)
SCORE_ANOMALY_COLUMNS: Final = Method(
    _path("Anomaly", "ScoreAnomalyColumns"),
    "unary_unary",
    v1.ScoreAnomalyColumnsRequest,
    v1.ScoreAnomalyColumnsResponse,
    30.0,
)
STREAM_SCORE_ANOMALIES: Final = Method(
    _path("Anomaly", "StreamScoreAnomalies"),
    "stream_stream",
    v1.ScoreAnomalyColumnsRequest,
    v1.ScoreAnomalyColumnsResponse,
    3600.0,
)
COMPUTE_MOID: Final = Method(
    _path("Simulation", "ComputeMoid"), "unary_unary", v1.ComputeMoidRequest, v1.ComputeMoidResponse, 30.0
)
COMPUTE_MOID_COLUMNS: Final = Method(
    _path("Simulation", "ComputeMoidColumns"),
    "unary_unary",
    v1.ComputeMoidColumnsRequest,
    v1.ComputeMoidColumnsResponse,
    60.0,
)
SIMULATE: Final = Method(_path("Simulation", "Simulate"), "unary_unary", v1.SimulateRequest, v1.SimulateResponse, 60.0)
STREAM_SIMULATE: Final = Method(
    _path("Simulation", "StreamSimulate"), "unary_stream", v1.SimulateRequest, v1.SimulateUpdate, 300.0
)
ESTIMATE_IMPACT: Final = Method(
    _path("Simulation", "EstimateImpact"), "unary_stream", v1.EstimateImpactRequest, v1.EstimateImpactUpdate, 300.0
)
ESTIMATE_DEFLECTION: Final = Method(
    _path("Simulation", "EstimateDeflection"),
    "unary_stream",
    v1.EstimateDeflectionRequest,
    v1.EstimateDeflectionUpdate,
    300.0,
)
ASSESS_CONSEQUENCES: Final = Method(
    _path("Simulation", "AssessConsequences"),
    "unary_unary",
    v1.AssessConsequencesRequest,
    v1.AssessConsequencesResponse,
    30.0,
)
SUBMIT_CLASSIFICATION: Final = Method(
    _path("Feedback", "SubmitClassification"),
    "unary_unary",
    v1.SubmitClassificationRequest,
    v1.SubmitClassificationResponse,
    10.0,
)
GET_CONSENSUS: Final = Method(
    _path("Feedback", "GetConsensus"), "unary_unary", v1.GetConsensusRequest, v1.GetConsensusResponse, 10.0
)
EXPORT_CONTRIBUTOR: Final = Method(
    _path("Feedback", "ExportContributor"),
    "unary_stream",
    v1.ExportContributorRequest,
    v1.ExportContributorResponse,
    60.0,
)
ERASE_CONTRIBUTOR: Final = Method(
    _path("Feedback", "EraseContributor"),
    "unary_unary",
    v1.EraseContributorRequest,
    v1.EraseContributorResponse,
    30.0,
)

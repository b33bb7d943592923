# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call what: one role for each method that any pod serves.

A method without a row here is refused to everyone while authentication is on; a test holds the table against the
contract and against what running pods say they serve.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a caller may do. Roles do not contain each other: a caller is given each it needs."""

    READER = "reader"  # ask the models and the rules: cheap, nothing is kept
    SIMULATOR = "simulator"  # run simulations: seconds to minutes of a processor
    CONTRIBUTOR = "contributor"  # hand in citizens' votes
    PRIVACY = "privacy"  # see and erase what is held about a citizen whose token one has
    OPERATOR = "operator"  # look into the servers: reflection where it is not open


_PREFIX = "/orrery.inference.v1."
_OPEN_INFERENCE = "/inference.GRPCInferenceService/"

METHOD_ROLES: Final[Mapping[str, Role]] = {
    f"{_PREFIX}PredictionService/Predict": Role.READER,
    f"{_PREFIX}PredictionService/PredictColumns": Role.READER,
    f"{_PREFIX}PredictionService/StreamPredict": Role.READER,
    f"{_PREFIX}AnomalyService/ScoreAnomalies": Role.READER,
    f"{_PREFIX}AnomalyService/ScoreAnomalyColumns": Role.READER,
    f"{_PREFIX}AnomalyService/StreamScoreAnomalies": Role.READER,
    f"{_PREFIX}SimulationService/ComputeMoid": Role.READER,
    f"{_PREFIX}SimulationService/ComputeMoidColumns": Role.READER,
    f"{_PREFIX}SimulationService/AssessConsequences": Role.READER,
    f"{_PREFIX}SimulationService/EstimateDeflection": Role.SIMULATOR,
    f"{_PREFIX}SimulationService/Simulate": Role.SIMULATOR,
    f"{_PREFIX}SimulationService/StreamSimulate": Role.SIMULATOR,
    f"{_PREFIX}SimulationService/EstimateImpact": Role.SIMULATOR,
    f"{_PREFIX}FeedbackService/SubmitClassification": Role.CONTRIBUTOR,
    f"{_PREFIX}FeedbackService/GetConsensus": Role.READER,
    f"{_PREFIX}FeedbackService/ExportContributor": Role.PRIVACY,
    f"{_PREFIX}FeedbackService/EraseContributor": Role.PRIVACY,
    f"{_OPEN_INFERENCE}ServerMetadata": Role.READER,
    f"{_OPEN_INFERENCE}ModelReady": Role.READER,
    f"{_OPEN_INFERENCE}ModelMetadata": Role.READER,
    f"{_OPEN_INFERENCE}ModelInfer": Role.READER,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.OPERATOR,
}

# Probes come from machines that hold no credentials.
OPEN_TO_ALL: Final = frozenset(
    (
        *(f"/grpc.health.v1.Health/{name}" for name in ("Check", "Watch", "List")),
        *(f"{_OPEN_INFERENCE}{name}" for name in ("ServerLive", "ServerReady")),
    )
)
REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def roles_of(names: str) -> frozenset[Role]:
    """The roles of a comma-separated list.

    Raises:
        ValueError: one of them does not exist.
    """
    return frozenset(Role(name.strip()) for name in names.split(","))

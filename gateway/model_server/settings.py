# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the embedded model server, `ORRERY_MODEL_SERVER_…` and `ORRERY_MODEL_STORE`; and its fixed flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress
from gateway.serving.processors import cpu_quota
from gateway.serving.settings import PROJECT_ROOT, LogLevel, ModelStoreSettings, TransportSettings


def _config_file(settings: dict[str, Any]) -> Path:
    own: Path = settings["model_store"] / "models.config"
    return own if own.exists() else PROJECT_ROOT / "serving_config" / "models.config"


class ModelServerSettings(ModelStoreSettings):
    """Where the embedded model server listens, and what it serves. `/models` of a base_path is the model store."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_MODEL_SERVER_", frozen=True, protected_namespaces=())

    address: ListenAddress = Field(
        default="127.0.0.1:8500", description="Where it serves gRPC (`--port`). Port 0 takes a free port."
    )
    status_address: ListenAddress = Field(
        default="127.0.0.1:8501",
        description="Where it serves `GET /v1/models/<name>` and `/monitoring/prometheus/metrics` (`--rest_api_port`).",
    )
    log_level: LogLevel = Field(default="INFO", description="The least important lines that are logged.")
    model_config_file: File = Field(
        default_factory=_config_file,
        description="Which models and versions it serves (`--model_config_file`). Unset: the model store's"
        " models.config, which `python -m export rollout` writes, else the project's.",
        json_schema_extra={"default": "serving_config/models.config"},
    )
    predict_threads: int = Field(
        default_factory=cpu_quota,
        ge=1,
        description="Predictions at the same time.",
        json_schema_extra={"unit": "threads", "default": "its processors"},
    )
    grace_s: float = Field(default=8.0, ge=0, description="How long calls in flight may go on after SIGTERM.")


@dataclass(frozen=True, slots=True)
class Flags:
    """What tensorflow_model_server has as flags and nobody sets here; tests may choose otherwise.

    Attributes:
        file_system_poll_wait_s: between two looks for version folders; 0 looks once, at the start.
        model_config_poll_wait_s: the same for the config file.
        allow_version_labels_for_unavailable_models: a new label may name a version that is not loaded yet; an existing
            label moves to a loaded one only.
        enable_serialization_as_tensor_content: outputs as packed bytes (Tensor::AsProtoTensorContent) in place of typed
            fields (AsProtoField).
        intra_op_threads: for one operation. A 12-64-32 network at 4096 rows: 0.91 ms with one, 0.81 ms with two.
        inter_op_threads: for the operations of one call; -1 runs them in the caller's thread (batch 1: 45 us, 117 us
            with 1).
        max_concurrent_streams: calls of one connection; more wait in the client.
    """

    file_system_poll_wait_s: float = 1.0
    model_config_poll_wait_s: float = 1.0
    allow_version_labels_for_unavailable_models: bool = True
    enable_serialization_as_tensor_content: bool = True
    intra_op_threads: int = 1
    inter_op_threads: int = -1
    max_concurrent_streams: int = 128


SETTINGS: Final = (ModelServerSettings, TransportSettings)

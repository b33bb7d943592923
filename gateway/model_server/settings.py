# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the embedded model server, read from `ORRERY_MODEL_SERVER_<NAME>`."""

import math
import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.serving.environment import File, ListenAddress, Settings
from gateway.serving.settings import PROJECT_ROOT, LogLevel, ModelStoreSettings

_CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def cpu_quota(cpu_max: Path = _CGROUP_CPU_MAX) -> int:
    """The number of processors this process may use: the cgroup v2 quota rounded up, at most those it may run on."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota_us, period_us = cpu_max.read_text().split()
    except OSError:
        return processors
    if quota_us == "max":
        return processors
    return min(processors, max(1, math.ceil(int(quota_us) / int(period_us))))


def _config_file(store: Path) -> Path:
    own = store / "models.config"
    return own if own.exists() else PROJECT_ROOT / "serving_config" / "models.config"


class ModelServerSettings(Settings):
    """What the embedded model server needs to know; names follow tensorflow_model_server's flags where they match."""

    model_config = SettingsConfigDict(env_prefix="ORRERY_MODEL_SERVER_", frozen=True, protected_namespaces=())

    # host:port of the gRPC services; port 0 takes a free one.
    address: ListenAddress = "127.0.0.1:8500"
    # host:port of GET /v1/models/<name> and /monitoring/prometheus/metrics; port 0 takes a free one.
    status_address: ListenAddress = "127.0.0.1:8501"
    log_level: LogLevel = "INFO"

    # Default: the model store's own where there is one (`python -m export rollout` writes it), else the shipped one.
    model_config_file: File = Field(default_factory=lambda: _config_file(ModelStoreSettings().model_store))
    # What "/models" of a base_path means here. Default: the model store (ORRERY_MODEL_STORE, else var/models).
    models_root: Path = Field(default_factory=lambda: ModelStoreSettings().model_store)
    # How often to look for version folders, and at the config file; 0 looks once, at the start.
    file_system_poll_wait_s: float = Field(default=1.0, ge=0)
    model_config_poll_wait_s: float = Field(default=1.0, ge=0)
    # A new label may name a version that is not loaded yet; an existing label moves to a loaded one only.
    allow_version_labels_for_unavailable_models: bool = True
    # Outputs as packed bytes (Tensor::AsProtoTensorContent) in place of typed fields (AsProtoField).
    enable_serialization_as_tensor_content: bool = True

    # Calls on one connection; more wait in the client.
    max_concurrent_streams: int = Field(default=128, ge=1)
    # Predictions at the same time. More than there are processors only adds waiting.
    predict_threads: int = Field(default_factory=cpu_quota, ge=1)
    # Threads for one operation. A 12-64-32 network at 4096 rows: 0.91 ms with one, 0.81 ms with two.
    intra_op_threads: int = Field(default=1, ge=1)
    # Threads for the operations of one call; -1 runs them in the caller's thread (batch 1: 45 us, 117 us with 1).
    inter_op_threads: int = Field(default=-1, ge=-1)

    # How long calls in flight may go on after SIGTERM.
    grace_s: float = Field(default=8.0, ge=0)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ModelServerConfig: the models to serve, where they lie, which versions, and their labels.

The rules and their wording are server_core.cc's of TensorFlow Serving (ValidateModelConfigList, GetPlatform).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from gateway.model_server.errors import invalid
from gateway.model_server.storage import VersionPolicy

PLATFORM = "tensorflow"
# The folder of base_path that stands for the model store.
MODELS_MOUNT = PurePosixPath("/models")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One model of the config: which versions of which folder are wanted."""

    name: str
    base_path: Path
    policy: VersionPolicy
    labels: Mapping[str, int]


def read_config_file(path: Path) -> Any:
    """The ModelServerConfig of a text protobuf file.

    Raises:
        Refusal: INVALID_ARGUMENT when the file cannot be read or is no ModelServerConfig.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise invalid(f"Failed to read ModelServerConfig file {path}: {error}") from error


def model_sources(config: Any, models_root: Path) -> dict[str, ModelSource]:
    """The models of a ModelServerConfig by name; none for an empty config.

    Args:
        config: a ModelServerConfig.
        models_root: what "/models" of a base_path means on this machine.

    Raises:
        Refusal: INVALID_ARGUMENT saying what is wrong with it.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("ModelServer does not yet support custom model config.")
    sources: dict[str, ModelSource] = {}
    for model in config.model_config_list.config:
        if not model.name:
            raise invalid("Illegal to list a model without a name in config list")
        if model.name in sources:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        _check_platform(model)
        policy = _policy(model.model_version_policy)
        sources[model.name] = ModelSource(
            model.name, _local_path(model, models_root), policy, dict(model.version_labels)
        )
    return sources


def _check_platform(model: Any) -> None:
    platform = model.model_platform
    if model.model_type != model_server_config_pb2.MODEL_TYPE_UNSPECIFIED:
        if platform:
            raise invalid(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise invalid(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
        platform = PLATFORM
    if not platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    if platform != PLATFORM:
        raise invalid(f"Model {model.name} requests unsupported platform {platform}")


def _local_path(model: Any, models_root: Path) -> Path:
    path = PurePosixPath(model.base_path)
    if not path.is_absolute():
        raise invalid(
            f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            + (" (the embedded server reads no URIs)" if "://" in model.base_path else "")
        )
    if path.is_relative_to(MODELS_MOUNT):
        return models_root / path.relative_to(MODELS_MOUNT)
    return Path(path)


def _policy(policy: Any) -> VersionPolicy:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicy.every()
        case "specific":
            return VersionPolicy.specific(policy.specific.versions)
        case _:
            return VersionPolicy.latest(policy.latest.num_versions)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels in TensorFlow Serving's models.config: which version a name means.

`stable` and `champion` name the version that answers callers who chose none; `canary` the one that answers a share of
them; `challenger` the one that is asked in the shadow; `previous` the one to go back to.
"""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format

from export import paths
from export.errors import ExportError
from export.files import write_durably
from export.rollout.protocol import MESSAGES

FILE: Final = "models.config"
SHIPPED: Final = paths.PROJECT_ROOT / "serving_config" / FILE
STABLE, CHAMPION, CANARY, CHALLENGER, PREVIOUS = "stable", "champion", "canary", "challenger", "previous"

_HEADER: Final = "# Written by `python -m export rollout` (docs/retraining.md). models.config.before is what it was.\n"

Labels = Mapping[str, int]


class RolloutError(ExportError):
    """A step of a rollout cannot be made; nothing, or what the text says, has changed."""


def read(path: Path) -> Any:
    """The ModelServerConfig of a file.

    Raises:
        RolloutError: it cannot be read, or is no ModelServerConfig; says the line.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), MESSAGES["ModelServerConfig"]())
    except (OSError, UnicodeDecodeError) as error:
        raise RolloutError(f"{path} cannot be read: {error}") from error
    except text_format.ParseError as error:
        raise RolloutError(
            f"{path}:{error}: repair it, or take {path}.before; the servers keep what they have"
        ) from error


def of_model(config: Any, name: str) -> Any:
    """The part of a config that is about one model.

    Raises:
        RolloutError: there is none, or more than one.
    """
    found = [model for model in config.model_config_list.config if model.name == name]
    if len(found) != 1:
        raise RolloutError(f"models.config has {len(found)} entries for {name}, not one")
    return found[0]


def labels(config: Any, name: str) -> dict[str, int]:
    """The version of each label of a model."""
    return dict(of_model(config, name).version_labels)


def pinned(config: Any, name: str) -> frozenset[int]:
    """The versions that a config wants by number; empty where its policy is another."""
    return frozenset(of_model(config, name).model_version_policy.specific.versions)


def edited(config: Any, name: str, wanted: Iterable[int], names: Labels) -> Any:
    """Another config: the same, but for the versions of one model and their labels."""
    copy = type(config)()
    copy.CopyFrom(config)
    model = of_model(copy, name)
    model.ClearField("model_version_policy")
    model.model_version_policy.specific.versions.extend(sorted(set(wanted)))
    model.ClearField("version_labels")
    for label, version in sorted(names.items()):
        model.version_labels[label] = version
    return copy


def write(path: Path, config: Any) -> None:
    """Replace the file at once, and keep the one before beside it."""
    with contextlib.suppress(FileNotFoundError):
        write_durably(path.with_name(f"{path.name}.before"), path.read_text(encoding="utf-8"))
    write_durably(path, text(config))


def text(config: Any) -> str:
    """A config as the file holds it."""
    return _HEADER + str(text_format.MessageToString(config))


def serving(path: Path, name: str) -> int | None:
    """The version that a config's labels say answers callers; None where they say nothing."""
    return labels(read(path), name).get(STABLE)


def of_store(store: Path) -> Path:
    """The config to read: the store's own where a rollout has written one, else the shipped one."""
    own = store / FILE
    return own if own.exists() else SHIPPED

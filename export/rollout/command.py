# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m export rollout {status|shadow|canary|promote|rollback|patch}`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from export import paths
from export.errors import ExportError
from export.publishing import publish
from export.rollout import config as configs
from export.rollout import store as stores
from export.rollout.classifier import LOAD_WITHIN_S, SETTLE_S, ClassifierRollout
from export.rollout.servers import AVAILABLE, ModelServers, addresses

CLASSIFIER: Final = "neo_classifier"
FOREST: Final = "neo_anomaly"
CONFIG_MAP: Final = "tf-serving-rollout"
"""What k8s/base mounts over its own models.config; kustomize must not own it."""

_STEPS: Final = {
    "status": "which version answers whom, here and in the servers",
    "shadow": "load the newest challenger beside the champion; fronts ask it without using what it says",
    "canary": "let the challenger answer a share of callers",
    "promote": "let the canary answer everybody",
    "rollback": "call back what is under way, or go back to the version before",
    "config-map": "print models.config as a ConfigMap, for kubectl apply: pods that start later read it",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one step; the exit status is 0 unless it could not be made."""
    options = parser().parse_args(arguments)
    started = time.monotonic()
    try:
        said = _step(options)
    except (ExportError, OSError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(said)
    if options.step not in {"status", "config-map"}:
        print(f"took {time.monotonic() - started:.2f} s")
    return 0


def parser() -> argparse.ArgumentParser:
    """Of this command's arguments."""
    arguments = argparse.ArgumentParser(prog="python -m export rollout", description=__doc__)
    arguments.add_argument(
        "step", choices=tuple(_STEPS), help="; ".join(f"{step}: {words}" for step, words in _STEPS.items())
    )
    arguments.add_argument("--model", choices=(CLASSIFIER, FOREST), default=CLASSIFIER)
    arguments.add_argument("--store", type=Path, default=paths.model_store(), help="folder of published models")
    arguments.add_argument("--config", type=Path, help="the models.config to change; the store's own if not given")
    arguments.add_argument(
        "--server", action="append", help="host:port of the model servers, all behind the name; may be repeated"
    )
    arguments.add_argument("--to", type=int, help="the version to roll back to")
    arguments.add_argument("--within-s", type=float, default=LOAD_WITHIN_S, help="how long loading may take")
    arguments.add_argument(
        "--settle-s", type=float, default=SETTLE_S, help="given to fronts to notice the first labels"
    )
    return arguments


def _step(options: argparse.Namespace) -> str:
    store: Path = options.store
    file: Path = options.config or store / configs.FILE
    if options.step == "config-map":
        content = configs.text(configs.read(file if file.exists() else configs.SHIPPED))
        head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP}}
        return json.dumps(head | {"data": {configs.FILE: content}}, indent=2)
    if options.model == FOREST:
        return _forest_step(options.step, store)
    targets = addresses(options.server or ["127.0.0.1:8500"])
    way_back = options.step == "rollback"
    with closing(ModelServers(targets, CLASSIFIER, some_may_be_away=way_back)) as servers:
        if options.step == "status":
            return _status(store, file, servers)
        with stores.locked(store):
            rollout = ClassifierRollout(
                store, CLASSIFIER, file, servers, within_s=options.within_s, settle_s=options.settle_s
            )
            if way_back:
                said = f"{CLASSIFIER}: {rollout.rollback(options.to)}"
                return said + "".join(f"\n{target} does not answer: it will read {file}" for target in servers.away)
            version = {"shadow": rollout.shadow, "canary": rollout.canary, "promote": rollout.promote}[options.step]()
            return f"{CLASSIFIER}: {options.step} {version}; labels: {_words(rollout.labels)}"


def _forest_step(step: str, store: Path) -> str:
    if step == "status":
        return f"{FOREST}: {_disk(store, FOREST)}"
    with stores.locked(store):
        if step == "promote":
            return f"{FOREST}: {stores.promote_forest(store, FOREST)} answers everybody as soon as a pod has loaded it"
        if step == "rollback":
            return f"{FOREST}: {stores.roll_back_forest(store, FOREST)}"
    raise configs.RolloutError(f"forests have no labels: there is promote and rollback, no {step}")


def _status(store: Path, file: Path, servers: ModelServers) -> str:
    config = configs.read(file if file.exists() else configs.SHIPPED)
    labels = configs.labels(config, CLASSIFIER)
    lines = [f"{CLASSIFIER}: {_disk(store, CLASSIFIER)}", f"labels in {file}: {_words(labels)}"]
    on_disk = publish.versions(store, CLASSIFIER)
    lines += [
        f"label {label} names {version}, which is not in {store}"
        for label, version in labels.items()
        if version not in on_disk
    ]
    for target, said in servers.states().items():
        loaded = [str(version) for version, (state, _) in sorted(said.items()) if state == AVAILABLE]
        lines.append(f"{target}: {', '.join(loaded) or 'nothing'} AVAILABLE")
        lines += [f"{target}: {version} given up: {error}" for version, (_, error) in sorted(said.items()) if error]
    return "\n".join(lines)


def _disk(store: Path, name: str) -> str:
    folders = {"published": store, "challengers": store / stores.CHALLENGERS, "retired": store / stores.RETIRED}
    return "; ".join(
        f"{words} {', '.join(map(str, publish.versions(folder, name))) or 'none'}" for words, folder in folders.items()
    )


def _words(labels: dict[str, int]) -> str:
    return ", ".join(f"{label} {version}" for label, version in sorted(labels.items())) or "none"

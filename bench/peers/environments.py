# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment for each peer under build/peers/, and the two graphs that all of them serve."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

from gateway.serving.settings import PROJECT_ROOT, ModelStoreSettings

FOLDER: Final = PROJECT_ROOT / "build" / "peers"
MODELS: Final = FOLDER / "models"
SERVERS: Final = PROJECT_ROOT / "bench" / "peers" / "servers"
PYTHON: Final = "3.11"
_CONVERTER: Final = ("tensorflow==2.21.0", "tf2onnx==1.17.0", "onnx==1.23.2", "onnxruntime==1.32.0")


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The folder of an environment that holds these packages, made where it is not there yet."""
    folder = FOLDER / "envs" / name
    done = folder / ".installed"
    wanted = "\n".join(packages)
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    uv = _uv()
    subprocess.run([uv, "venv", "--quiet", "--python", PYTHON, str(folder)], check=True)  # noqa: S603  # our own command
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(folder), *packages], check=True)  # noqa: S603  # ditto
    done.write_text(wanted, encoding="utf-8")
    return folder


def versions(name: str) -> dict[str, str]:
    """What an environment holds, by distribution."""
    command = [_uv(), "pip", "list", "--quiet", "--format", "json", "--python", str(FOLDER / "envs" / name)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603  # our own command
    return {item["name"].lower(): item["version"] for item in found}


def graphs() -> Path:
    """The folder of the two graphs: the forest as published, the network converted and compared."""
    store = ModelStoreSettings().model_store
    classifier, forest = _newest(store / "neo_classifier"), _newest(store / "neo_anomaly")
    said = json.dumps({"neo_classifier": classifier.name, "neo_anomaly": forest.name})
    done = MODELS / "made.json"
    if done.exists() and json.loads(done.read_text(encoding="utf-8"))["from"] == said:
        return MODELS
    MODELS.mkdir(parents=True, exist_ok=True)
    shutil.copy(forest / "forest.onnx", MODELS / "neo_anomaly.onnx")
    python = environment("converter", _CONVERTER) / "bin" / "python"
    script = Path(__file__).with_name("convert_network.py")
    command = [str(python), str(script), str(classifier), str(MODELS / "neo_classifier.onnx")]
    difference = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]  # noqa: S603  # our own command
    done.write_text(json.dumps({"from": said, "difference": difference}), encoding="utf-8")
    return MODELS


def network_difference() -> str:
    """How far the converted network is from the published one at most."""
    made: dict[str, str] = json.loads((MODELS / "made.json").read_text(encoding="utf-8"))
    return made["difference"]


def _newest(folder: Path) -> Path:
    versions_there = [path for path in folder.iterdir() if path.name.isdigit()]
    if not versions_there:
        raise FileNotFoundError(f"{folder} holds no version: make models")
    return max(versions_there, key=lambda path: int(path.name))


def _uv() -> str:
    return shutil.which("uv") or str(PROJECT_ROOT / ".tools" / "bin" / "uv")

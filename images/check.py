# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the images that `make images` built with buildah as a cluster would, and ask them: `make image-check`.

Each container is runc's, with the image's own command and user, and the environment and memory limit of
k8s/overlays/kind: a read-only root, no capabilities, no new privileges, and /tmp and its volumes as the only places to
write. All share one network of their own (the Makefile's `unshare --net`), where the cluster's names are loopback.
Needs root.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.tables import markdown
from images.containers import USER, Image, once, run, running, unpacked
from tests.k8s import manifests

ROOT = Path(__file__).resolve().parents[1]
START_S = 180.0
ASKED = {
    "anomaly": "orrery.inference.v1.AnomalyService",
    "simulation": "orrery.inference.v1.SimulationService",
    "feedback": "orrery.inference.v1.FeedbackService",
    "front": "",
}
VOLUMES = {"anomaly": ("/models",), "feedback": ("/var/lib/feedback", "/etc/orrery/feedback")}
# Megabytes of an image as a registry holds it.
LIMITS_MB = {"front": 150, "anomaly": 250, "simulation": 600, "feedback": 150}
REPORT = ROOT / "docs" / "benchmarks" / "images.md"
INTRODUCTION = """
Written by `make image-check`, of images on a base of Debian's own packages (Python and its libraries, no shell).
Packed is what a registry holds and a node downloads (gzip), unpacked what it takes on the node's disk. Components are
those of the bill of materials, `/sbom.cdx.json` in the image (CycloneDX 1.6). `simulation` holds DE440 and the kernel
of 16 asteroids, `models` the published models. Each container ran as Pod Security "restricted" wants it, with a
read-only root; `export` trained small models and held them against the gates.
"""
# The schema of bills of materials is in a library that checkov brings.
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or "") or 0)
"""
TOOLS = ROOT / "build" / "tools" / "k8s" / "venv" / "bin" / "python"


def pods() -> dict[str, dict[str, Any]]:
    """Environment and memory limit of each role, from the manifests."""
    found = {}
    units = {"Mi": 2**20, "Gi": 2**30}
    for workload in manifests.workloads(manifests.render(manifests.K8S / "overlays" / "kind")):
        for container in workload.servers:
            limit = container["resources"]["limits"]["memory"]
            found[workload.app] = {
                "variables": manifests.environment(container),
                "memory_bytes": int(limit[:-2]) * units[limit[-2:]],
            }
    return found


def until(what: str, process: subprocess.Popen[bytes], answers: Callable[[], bool]) -> float:
    """Wait while a container lives; seconds it took."""
    begun = time.monotonic()
    while time.monotonic() < begun + START_S and process.poll() is None:
        with contextlib.suppress(grpc.RpcError, urllib.error.URLError, ConnectionError):
            if answers():
                return time.monotonic() - begun
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come up")


def serves(address: str, service: str) -> bool:
    """Whether a pod's health port says so."""
    with grpc.insecure_channel(address) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=2)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def healthy() -> bool:
    """Whether the edge has a front."""
    with urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=2) as reply:
        return bool(reply.status == HTTPStatus.OK)


def sizes(root: Path) -> tuple[float, float]:
    """Megabytes unpacked, and packed by gzip as a registry holds it."""
    plain = int(run("du", "-sb", str(root)).split()[0])
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:  # noqa: S607  # from the path
        packed = subprocess.run(["gzip", "-6c"], stdin=tar.stdout, check=True, capture_output=True).stdout  # noqa: S607  # ditto
    return plain / 1e6, len(packed) / 1e6


def materials(image: Image) -> int:
    """How many components the bill of materials has; it must be one."""
    text = (image.root / "sbom.cdx.json").read_text()
    subprocess.run([TOOLS, "-c", VALIDATE], check=True, input=text, text=True)
    return len(json.loads(text)["components"])


def writable(folder: Path, place: str) -> Path:
    """A volume: a folder that the images' user may write to."""
    where = folder / "volumes" / place.strip("/").replace("/", "-")
    where.mkdir(parents=True)
    run("chown", "-R", USER, str(where))
    return where


def retrained(folder: Path, image: Image) -> str:
    """The last line of a real retraining, small, from the models and the catalogue of this machine."""
    published = writable(folder, "retraining/published")
    shutil.copytree(ROOT / "var" / "models", published, dirs_exist_ok=True)
    shutil.copytree(ROOT / "var" / "catalogue", published / "catalogue")
    run("chown", "-R", USER, str(published))
    variables = {"ORRERY_MODEL_STORE": "/published", "ORRERY_CATALOGUE_CACHE": "/published/catalogue"}
    pod = {"variables": variables, "memory_bytes": 6 * 2**30}
    said = once(
        "export", folder, image, pod, {"/published": published}, "export", "retrain", "--schedule=quick", "--offline"
    )
    return said.strip().splitlines()[-1]


def main() -> None:
    """Check every image, alone and together."""
    version = sys.argv[1]
    found = pods()
    with tempfile.TemporaryDirectory(prefix="orrery-images-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        images: dict[str, Image] = {}
        found_sizes: dict[str, tuple[float, float, int]] = {}
        took: dict[str, float] = {}
        for role in ("models", "anomaly", "simulation", "feedback", "front", "edge", "model-server", "export"):
            image = images[role] = stack.enter_context(unpacked(f"localhost/orrery/{role}:{version}"))
            plain, packed = sizes(image.root)
            count = materials(image)
            found_sizes[role] = (packed, plain, count)
            print(f"{role:12} {packed:6.0f} MB packed, {plain:6.0f} MB unpacked, {count} components", flush=True)
            if packed > LIMITS_MB.get(role, 1e9):
                raise SystemExit(f"{role} is larger than {LIMITS_MB[role]} MB packed")
            for compiler in ("gcc", "cc", "g++", "ld", "as"):
                if list(image.root.glob(f"usr/*bin/{compiler}")):
                    raise SystemExit(f"{role} has a compiler: {compiler}")
        volumes: dict[str, dict[str, Path]] = {}
        for role, places in VOLUMES.items():
            volumes[role] = {place: writable(folder, f"{role}{place}") for place in places}
        (volumes["feedback"]["/etc/orrery/feedback"] / "secret").write_text("s" * 40)
        delivery = {
            "ORRERY_DELIVERY_SOURCE": "/published",
            "ORRERY_DELIVERY_MODELS": "neo_anomaly,neo_classifier",
            "ORRERY_MODEL_STORE": "/models",
        }
        pod = {"variables": delivery, "memory_bytes": 256 * 2**20}
        once("models", folder, images["models"], pod, {"/models": volumes["anomaly"]["/models"]}, "deliver")
        print("models       were delivered", flush=True)
        for role, service in ASKED.items():
            process = stack.enter_context(running(role, folder, images[role], found[role], volumes.get(role, {})))
            port = found[role]["variables"][f"ORRERY_{role.upper()}_HEALTH_ADDRESS"].rpartition(":")[2]
            took[role] = until(role, process, lambda port=port, service=service: serves(f"127.0.0.1:{port}", service))
            print(f"{role:12} SERVING after {took[role]:.1f} s", flush=True)
        for service in list(ASKED.values())[:3]:
            until(f"{service} at the front", process, lambda service=service: serves("127.0.0.1:50061", service))
        print("front        reaches anomaly, simulation and feedback", flush=True)
        process = stack.enter_context(running("edge", folder, images["edge"], found["edge"], {}))
        took["edge"] = until("edge", process, healthy)
        print(f"edge         answers after {took['edge']:.1f} s", flush=True)
        print(f"export       retrains: {retrained(folder, images['export'])}", flush=True)
    rows = []
    for role, counts in found_sizes.items():
        start = f"{took[role]:.1f}" if role in took else ""
        rows.append([role, *(f"{count:,.0f}" for count in counts), LIMITS_MB.get(role, ""), start])
    header = ["image", "MB packed", "MB unpacked", "components", "MB packed, at most", "SERVING after s"]
    REPORT.write_text(f"# Sizes of the images\n{INTRODUCTION}\n{markdown(header, rows)}", encoding="utf-8")
    print("all images run, answer, and stop when told")


if __name__ == "__main__":
    main()

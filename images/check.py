# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the images that `make images` built with buildah as a cluster would, and ask them: `make image-check`.

Each container is runc's, with the environment and memory limit of k8s/overlays/kind: a read-only root, a numeric
user, no capabilities, no new privileges, and /tmp and its volumes as the only places to write. All share one network
of their own (the Makefile's `unshare --net`), where the cluster's names are loopback. Needs root.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.k8s import manifests

ROOT = Path(__file__).resolve().parents[1]
USER = 10001
START_S = 180.0
NAMES = "127.0.0.1 localhost front anomaly simulation feedback tf-serving\n"
ASKED = {
    "anomaly": "orrery.inference.v1.AnomalyService",
    "simulation": "orrery.inference.v1.SimulationService",
    "feedback": "orrery.inference.v1.FeedbackService",
    "front": "",
}
VOLUMES = {"anomaly": ("/models",), "feedback": ("/var/lib/feedback", "/etc/orrery/feedback")}
# Megabytes of an image, unpacked and packed (gzip), as issue and docs/operations.md have them.
LIMITS_MB = {"front": 150, "anomaly": 250, "simulation": 600, "feedback": 150}


def run(*command: str) -> str:
    """What a command says."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def unpacked(image: str) -> Iterator[Path]:
    """An image's root, and its container's configuration beside it."""
    container = run("buildah", "from", "--pull-never", image)
    try:
        yield Path(run("buildah", "mount", container))
    finally:
        run("buildah", "rm", container)


def bundle(folder: Path, root: Path, pod: dict[str, Any], volumes: dict[str, Path], arguments: list[str]) -> None:
    """An OCI bundle: runc's own specification, made as tight as Pod Security "restricted"."""
    run("runc", "spec", "--bundle", str(folder))
    spec = json.loads((folder / "config.json").read_text())
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": "/app", "PYTHONDONTWRITEBYTECODE": "1"}
    variables |= pod["variables"]
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": USER, "gid": USER},
        "args": ["python3", "-m", "gateway", *arguments],
        "env": [f"{name}={value}" for name, value in variables.items()],
        "cwd": "/app",
        "capabilities": {},
        "noNewPrivileges": True,
        "rlimits": [],
    }
    spec["root"] = {"path": str(root), "readonly": True}
    (folder / "hosts").write_text(NAMES)
    binds = {"/etc/hosts": folder / "hosts", **volumes}
    spec["mounts"] += [
        {
            "destination": where,
            "type": "bind",
            "source": str(what),
            "options": ["bind", "ro" if "etc" in where else "rw"],
        }
        for where, what in binds.items()
    ]
    spec["mounts"].append(
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777", "size=64m"]}  # noqa: S108  # the container's
    )
    # One network for all; it is ours alone already.
    spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "network"]
    spec["linux"]["resources"]["memory"] = {"limit": pod["memory_bytes"]}
    (folder / "config.json").write_text(json.dumps(spec))


@contextlib.contextmanager
def running(role: str, folder: Path, root: Path, pod: dict[str, Any], volumes: dict[str, Path]) -> Iterator[None]:
    """A container while entered; it must stop by itself when it is told to."""
    home = folder / role
    home.mkdir()
    bundle(home, root, pod, volumes, [role])
    name = f"orrery-check-{role}"
    with (home / "log").open("wb") as log:
        command = ["runc", "run", "--bundle", str(home), name]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # runc from the path
    try:
        yield
        run("runc", "kill", name, "TERM")
        code = process.wait(30)
        if code != 0:
            raise SystemExit(f"{role} ended with {code}: {(home / 'log').read_text()[-2000:]}")
    finally:
        if process.poll() is None:
            subprocess.run(["runc", "kill", name, "KILL"], check=False)  # noqa: S607  # from the path
            process.wait(30)
        print((home / "log").read_text()[-800:] if sys.exc_info()[0] else "", end="")


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


def until(what: str, answers: Any) -> float:
    """Wait; seconds it took."""
    begun = time.monotonic()
    while time.monotonic() < begun + START_S:
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


def sizes(root: Path) -> tuple[float, float]:
    """Megabytes unpacked, and packed by gzip as a registry holds it."""
    plain = int(run("du", "-sb", str(root)).split()[0])
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:  # noqa: S607  # from the path
        packed = subprocess.run(["gzip", "-6c"], stdin=tar.stdout, check=True, capture_output=True).stdout  # noqa: S607  # ditto
    return plain / 1e6, len(packed) / 1e6


def deliver(folder: Path, root: Path, store: Path) -> None:
    """What the init container does."""
    home = folder / "models"
    home.mkdir()
    variables = {
        "ORRERY_DELIVERY_SOURCE": "/published",
        "ORRERY_DELIVERY_MODELS": "neo_anomaly,neo_classifier",
        "ORRERY_MODEL_STORE": "/models",
    }
    bundle(home, root, {"variables": variables, "memory_bytes": 256 * 2**20}, {"/models": store}, ["deliver"])
    done = subprocess.run(  # runc from the path
        ["runc", "run", "--bundle", str(home), "orrery-check-deliver"],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise SystemExit(f"models were not delivered: {done.stdout}{done.stderr}")


def main() -> None:
    """Check every image, alone and together."""
    version = sys.argv[1]
    found = pods()
    with tempfile.TemporaryDirectory(prefix="orrery-images-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        roots = {}
        for role in ("models", "anomaly", "simulation", "feedback", "front", "edge"):
            image = f"localhost/orrery/{role}:{version}"
            roots[role] = stack.enter_context(unpacked(image))
            plain, packed = sizes(roots[role])
            over = "  over its limit unpacked" if plain > LIMITS_MB.get(role, 1e9) else ""
            print(f"{role:12} {plain:6.0f} MB unpacked, {packed:6.0f} MB packed{over}", flush=True)
            if packed > LIMITS_MB.get(role, 1e9):
                raise SystemExit(f"{role} is larger than {LIMITS_MB[role]} MB packed")
            for compiler in ("gcc", "cc", "g++", "ld", "as"):
                if list(roots[role].glob(f"usr/*bin/{compiler}")):
                    raise SystemExit(f"{role} has a compiler: {compiler}")
        volumes = {}
        for role, places in VOLUMES.items():
            for place in places:
                where = folder / "volumes" / role / place.strip("/").replace("/", "-")
                where.mkdir(parents=True)
                (where / "secret").write_text("s" * 40) if "etc" in place else None
                run("chown", "-R", f"{USER}:{USER}", str(where))
                volumes.setdefault(role, {})[place] = where
        deliver(folder, roots["models"], volumes["anomaly"]["/models"])
        print("models were delivered", flush=True)
        for role, service in ASKED.items():
            stack.enter_context(running(role, folder, roots[role], found[role], volumes.get(role, {})))
            port = found[role]["variables"][f"ORRERY_{role.upper()}_HEALTH_ADDRESS"].rpartition(":")[2]
            took = until(role, lambda port=port, service=service: serves(f"127.0.0.1:{port}", service))
            print(f"{role:12} SERVING after {took:.1f} s", flush=True)
        for service in list(ASKED.values())[:3]:
            until(f"{service} at the front", lambda service=service: serves("127.0.0.1:50061", service))
        print("front        reaches anomaly, simulation and feedback", flush=True)
        stack.enter_context(running("edge", folder, roots["edge"], found["edge"], {}))
        took = until("edge", lambda: urllib.request.urlopen("http://127.0.0.1:8080/health", timeout=2).status == 200)
        print(f"edge         answers after {took:.1f} s", flush=True)
    print("all images run, answer, and stop when told")


if __name__ == "__main__":
    main()

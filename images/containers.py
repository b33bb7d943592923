# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of images that buildah built, run by runc as tightly as Pod Security "restricted" wants it."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER = "10001:10001"
NAMES = "127.0.0.1 localhost front anomaly simulation feedback tf-serving\n"


@dataclass(frozen=True)
class Image:
    """One image: its root, unpacked, and how it wants to be run."""

    root: Path
    config: dict[str, Any]


def run(*command: str) -> str:
    """What a command says."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def unpacked(name: str) -> Iterator[Image]:
    """An image while entered."""
    container = run("buildah", "from", "--pull-never", name)
    try:
        config = json.loads(run("buildah", "inspect", "--type", "image", name))["OCIv1"]["config"]
        if config["User"] != USER:
            raise SystemExit(f"{name} runs as {config['User']}")
        yield Image(Path(run("buildah", "mount", container)), config)
    finally:
        run("buildah", "rm", container)


def bundle(folder: Path, image: Image, pod: dict[str, Any], volumes: dict[str, Path], arguments: list[str]) -> None:
    """An OCI bundle: runc's own specification, made as tight as Pod Security "restricted"."""
    run("runc", "spec", "--bundle", str(folder))
    spec = json.loads((folder / "config.json").read_text())
    user, group = USER.split(":")
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": int(user), "gid": int(group)},
        "args": [*image.config["Entrypoint"], *arguments],
        "env": [*image.config["Env"], *(f"{name}={value}" for name, value in pod["variables"].items())],
        "cwd": image.config["WorkingDir"],
        "capabilities": {},
        "noNewPrivileges": True,
        "rlimits": [],
    }
    spec["root"] = {"path": str(image.root), "readonly": True}
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
def running(
    role: str, folder: Path, image: Image, pod: dict[str, Any], volumes: dict[str, Path]
) -> Iterator[subprocess.Popen[bytes]]:
    """A container while entered; it must stop by itself when it is told to."""
    home = folder / role
    home.mkdir()
    bundle(home, image, pod, volumes, [role])
    name = f"orrery-check-{role}"
    with (home / "log").open("wb") as log:
        command = ["runc", "run", "--bundle", str(home), name]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # runc from the path
    try:
        yield process
        run("runc", "kill", name, "TERM")
        code = process.wait(30)
        if code != 0:
            raise SystemExit(f"{role} ended with {code}: {(home / 'log').read_text()[-2000:]}")
    finally:
        if process.poll() is None:
            subprocess.run(["runc", "kill", name, "KILL"], check=False)  # noqa: S607  # from the path
            process.wait(30)
        print((home / "log").read_text()[-800:] if sys.exc_info()[0] else "", end="")


def once(role: str, folder: Path, image: Image, pod: dict[str, Any], volumes: dict[str, Path], *asked: str) -> str:
    """Run a container to its end: what it said."""
    home = folder / role
    home.mkdir()
    bundle(home, image, pod, volumes, [*asked])
    done = subprocess.run(  # runc from the path
        ["runc", "run", "--bundle", str(home), f"orrery-check-{role}"],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise SystemExit(f"{role} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout

# SPDX-License-Identifier: GPL-3.0-or-later
"""Overlays as kubectl renders them, and how to find one's way in them."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

PROJECT_ROOT = Path(__file__).resolve().parents[2]
K8S = PROJECT_ROOT / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())
NAME = "app.kubernetes.io/name"


def kubectl():
    """The one that `make k8s-tools` brought, else whichever is on the path."""
    brought = PROJECT_ROOT / "build" / "tools" / "k8s" / "bin" / "kubectl"
    return str(brought) if brought.exists() else shutil.which("kubectl")


def render(folder):
    """The documents of an overlay, as `kubectl apply -k` would send them."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [kubectl(), "kustomize", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if run.returncode != 0:
        raise ValueError(run.stderr)
    return [document for document in yaml.safe_load_all(run.stdout) if document]


def render_component(name, folder):
    """The documents of the base with one component and the images, rendered in a folder that is not there yet."""
    folder.mkdir(parents=True)
    base, *components = (
        os.path.relpath(K8S / where, folder)
        for where in ("base", *(f"components/{part}" for part in dict.fromkeys((name, "images"))))
    )
    content = {"namespace": "orrery", "resources": [base], "components": components}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return render(folder)


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet, Job or CronJob."""

    document: dict

    @property
    def name(self):
        return f"{self.document['kind']}/{self.document['metadata']['name']}"

    @property
    def is_server(self):
        return self.document["kind"] in {"Deployment", "StatefulSet"}

    @property
    def spec(self):
        return self.document["spec"]

    @property
    def template(self):
        outer = self.spec["jobTemplate"]["spec"] if self.document["kind"] == "CronJob" else self.spec
        return outer["template"]

    @property
    def pod(self):
        return self.template["spec"]

    @property
    def labels(self):
        return self.template["metadata"].get("labels", {})

    @property
    def app(self):
        return self.labels.get(NAME, "")

    @property
    def containers(self):
        """All of them, those before the pod's own first."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def servers(self):
        """Containers that serve while the pod lives, without sidecars."""
        return self.pod["containers"] if self.is_server else []


def workloads(documents):
    kinds = {"Deployment", "StatefulSet", "Job", "CronJob", "DaemonSet"}
    return [Workload(document) for document in documents if document["kind"] in kinds]


def of_kind(documents, *kinds):
    return [document for document in documents if document["kind"] in kinds]


def environment(container):
    """What a container's environment is, with stand-ins for what only the cluster knows."""
    found = {}
    for entry in container.get("env", []):
        source = entry.get("valueFrom", {})
        if "value" in entry:
            found[entry["name"]] = entry["value"]
        elif "resourceFieldRef" in source:
            area, name = source["resourceFieldRef"]["resource"].split(".")
            found[entry["name"]] = str(container["resources"][area][name])
        else:
            found[entry["name"]] = "of-the-cluster"
    return found


def selects(selector, labels):
    """Whether a label selector selects labels; an empty one selects all."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise ValueError(f"operator {expression['operator']} is not used here")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True

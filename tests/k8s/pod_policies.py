# SPDX-License-Identifier: GPL-3.0-or-later
"""What every pod must be, whatever it runs. A policy yields a sentence for each violation."""

import itertools

from tests.k8s.manifests import of_kind, selects, workloads

# What "restricted" allows (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
# The label by which a controller tells its revisions apart.
REVISION = {"Deployment": "pod-template-hash", "StatefulSet": "controller-revision-hash"}
# A node of two cores has less than two to give.
NODE_CPU = 2
# On two cores at a load of 15, pods that were given 60 s to start, and 1 s to answer, were killed while they started.
START_S = 300
ANSWER_S = 5
ALIVE_S = 60


def restricted(documents):
    for namespace in of_kind(documents, "Namespace"):
        labels = namespace["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "the namespace does not enforce Pod Security restricted"
    for workload in workloads(documents):
        yield from _pod_is_restricted(workload)
        for container in workload.containers:
            yield from _container_is_restricted(workload.name, container)


def _pod_is_restricted(workload):
    context = workload.pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield f"{workload.name} may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{workload.name} has no seccomp profile"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if workload.pod.get(key):
            yield f"{workload.name} uses {key}"
    for volume in workload.pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"{workload.name} mounts {volume}"


def _container_is_restricted(owner, container):
    name = f"{owner} {container['name']}"
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield f"{name} may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield f"{name} may write to its root"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield f"{name} has capabilities"
    if {"runAsUser", "runAsNonRoot", "seccompProfile", "procMount"} & set(context):
        yield f"{name} overrides its pod"
    for port in container.get("ports", []):
        if "hostPort" in port:
            yield f"{name} takes a port of the host"


def tokenless(documents):
    """Nobody needs the cluster's API."""
    accounts = {document["metadata"]["name"]: document for document in of_kind(documents, "ServiceAccount")}
    for workload in workloads(documents):
        account = accounts.get(workload.pod.get("serviceAccountName"))
        if account is None:
            yield f"{workload.name} has no service account of its own"
        elif account.get("automountServiceAccountToken") is not False:
            yield f"the account of {workload.name} brings its token"
        if workload.pod.get("automountServiceAccountToken") is not False:
            yield f"{workload.name} brings a token"
    for document in of_kind(documents, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        yield f"{document['kind']} {document['metadata']['name']} is not needed"


def bounded(documents):
    for workload in workloads(documents):
        for container in workload.containers:
            for area in ("requests", "limits"):
                if set(container.get("resources", {}).get(area, {})) < {"cpu", "memory"}:
                    yield f"{workload.name} {container['name']} has no {area}"
            if cores(container.get("resources", {}).get("requests", {}).get("cpu", "0")) >= NODE_CPU:
                yield f"{workload.name} {container['name']} fits on no node of {NODE_CPU} cores"
        for volume in workload.pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{workload.name} may fill the node with {volume['name']}"


def pinned(documents):
    for workload in workloads(documents):
        for container in workload.containers:
            registry = container["image"].partition("/")[0]
            if registry != "localhost" and not set(registry) & {".", ":"}:
                yield f"{workload.name} {container['name']} takes {container['image']} from any registry"
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in container["image"] and tag in {"", "latest"}:
                yield f"{workload.name} {container['name']} runs whatever {container['image']} is"


def without_secrets(documents):
    for document in of_kind(documents, "Secret"):
        yield f"Secret {document['metadata']['name']} lies in git"
    for workload in workloads(documents):
        for container in workload.containers:
            for entry in container.get("env", []):
                name = entry["name"]
                if any(word in name for word in ("PASSWORD", "SECRET", "REDIS_URL", "DATABASE_URL", "DSN")):
                    if name.endswith("_FILE"):
                        continue
                    if "secretKeyRef" not in entry.get("valueFrom", {}):
                        yield f"{workload.name} {name} is not by reference"


def selected(documents):
    """Selectors find pods, and names of ports are the pods' own."""
    pods = workloads(documents)
    yield from _selectors_of_pods(pods)
    for document in of_kind(documents, "Service", "PodDisruptionBudget", "PodMonitor"):
        name = f"{document['kind']} {document['metadata']['name']}"
        selector = document["spec"].get("selector", {})
        if document["kind"] == "Service":
            selector = {"matchLabels": selector}
        chosen = [workload for workload in pods if selects(selector, workload.labels)]
        if not chosen or not (selector.get("matchLabels") or selector.get("matchExpressions")):
            yield f"{name} selects nothing of ours"
        for port, workload in itertools.product(_named_ports(document), chosen):
            if port not in {p["name"] for c in workload.containers for p in c.get("ports", [])}:
                yield f"{name} wants a port {port} of {workload.name}"


def _selectors_of_pods(pods):
    for workload in pods:
        if workload.is_server and not selects(workload.spec["selector"], workload.labels):
            yield f"{workload.name} does not select its own pods"
        for constraint in workload.pod.get("topologySpreadConstraints", []):
            if constraint["matchLabelKeys"] != [REVISION[workload.document["kind"]]]:
                yield f"{workload.name} spreads over pods of earlier revisions, too"
            if not selects(constraint["labelSelector"], workload.labels):
                yield f"{workload.name} spreads over other pods"


def _named_ports(document):
    if document["kind"] == "Service":
        return [port["targetPort"] for port in document["spec"]["ports"]]
    return [end["port"] for end in document["spec"].get("podMetricsEndpoints", [])]


def scaled(documents):
    """Whoever is scaled by load says no number of replicas; whoever is not says one."""
    targets = {}
    for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        minimum = scaler["spec"].get("minReplicas") or scaler["spec"].get("minReplicaCount") or 0
        targets[target.get("kind", "Deployment"), target["name"]] = minimum
    budgets = of_kind(documents, "PodDisruptionBudget")
    for workload in workloads(documents):
        if not workload.is_server:
            continue
        key = (workload.document["kind"], workload.document["metadata"]["name"])
        if key in targets and "replicas" in workload.spec:
            yield f"{workload.name} says replicas under an autoscaler"
        replicas = targets.pop(key, workload.spec.get("replicas", 1))
        if replicas > 1 and not any(selects(budget["spec"]["selector"], workload.labels) for budget in budgets):
            yield f"{workload.name} has no disruption budget"
        if replicas > 1 and len(workload.pod.get("topologySpreadConstraints", [])) < 2:
            yield f"{workload.name} may sit on one node"
        if workload.spec.get("minReadySeconds", 0) <= 0:
            yield f"{workload.name} counts a pod as good at once"
    for kind, name in targets:
        yield f"an autoscaler scales {kind} {name}, which is not there"


def patient(documents):
    """A pod on a busy node is not taken for a dead one."""
    for workload in workloads(documents):
        for container in workload.servers:
            name = f"{workload.name} {container['name']}"
            probes = {kind: container.get(kind) or {} for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
            for kind, probe in probes.items():
                if probe.get("timeoutSeconds", 1) < ANSWER_S:
                    yield f"{name}: {kind} takes an answer after {ANSWER_S} s for none"
            if budget_s(probes["startupProbe"]) < START_S:
                yield f"{name} is killed while it starts"
            if budget_s(probes["livenessProbe"]) < ALIVE_S:
                yield f"{name} is killed while it is busy"
            needed_s = budget_s(probes["startupProbe"]) + workload.spec.get("minReadySeconds", 0)
            if (
                workload.document["kind"] == "Deployment"
                and workload.spec.get("progressDeadlineSeconds", 600) < needed_s
            ):
                yield f"{workload.name}: a rollout is called failed while a pod may still start"


def budget_s(probe):
    """The least time in which a container that never answers is killed; Kubernetes' defaults are 3 times 10 s."""
    return probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)


def cores(quantity):
    """Cores of a quantity of processors, "2" or "500m"."""
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Each guard of the manifests removed in turn: the policy that holds it must say so, and no other need."""

import copy

import pytest

from tests.k8s import code_policies, network_policies, pod_policies
from tests.k8s.manifests import of_kind


def find(documents, kind, name):
    return next(d for d in of_kind(documents, kind) if d["metadata"]["name"] == name)


def pod(documents, name="front"):
    return find(documents, "Deployment", name)["spec"]["template"]["spec"]


def server(documents, name="front"):
    return pod(documents, name)["containers"][0]


def set_variable(container, name, value):
    unset_variable(container, name)
    container["env"].append({"name": name, "value": value})


def unset_variable(container, name):
    container["env"] = [entry for entry in container["env"] if entry["name"] != name]


def generated(documents, name):
    """A ConfigMap whose name ends with the hash of what it holds."""
    return next(d for d in of_kind(documents, "ConfigMap") if d["metadata"]["name"].startswith(f"{name}-"))


def drop(documents, kind, name):
    documents.remove(find(documents, kind, name))


def drop_key(holder, key):
    del holder[key]


def policy_of(documents, name):
    return find(documents, "NetworkPolicy", name)["spec"]


def port(container, name):
    return next(entry for entry in container["ports"] if entry["name"] == name)


GUARDS = {
    # (what is done to the manifests, the policy that must notice)
    "root": (lambda d: pod(d)["securityContext"].pop("runAsNonRoot"), pod_policies.restricted),
    "user 0": (lambda d: pod(d)["securityContext"].update(runAsUser=0), pod_policies.restricted),
    "seccomp": (lambda d: pod(d)["securityContext"].pop("seccompProfile"), pod_policies.restricted),
    "capabilities": (lambda d: server(d)["securityContext"].pop("capabilities"), pod_policies.restricted),
    "added capability": (
        lambda d: server(d)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        pod_policies.restricted,
    ),
    "escalation": (lambda d: server(d)["securityContext"].pop("allowPrivilegeEscalation"), pod_policies.restricted),
    "root filesystem": (lambda d: server(d)["securityContext"].pop("readOnlyRootFilesystem"), pod_policies.restricted),
    "an init container's context": (
        lambda d: pod(d, "tf-serving")["initContainers"][0].pop("securityContext"),
        pod_policies.restricted,
    ),
    "a sidecar's context": (
        lambda d: pod(d, "anomaly")["initContainers"][1].pop("securityContext"),
        pod_policies.restricted,
    ),
    "host network": (lambda d: pod(d).update(hostNetwork=True), pod_policies.restricted),
    "host path": (
        lambda d: pod(d)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        pod_policies.restricted,
    ),
    "namespace": (lambda d: find(d, "Namespace", "orrery")["metadata"].pop("labels"), pod_policies.restricted),
    "the pod's token": (lambda d: pod(d).pop("automountServiceAccountToken"), pod_policies.tokenless),
    "the account's token": (
        lambda d: find(d, "ServiceAccount", "front").pop("automountServiceAccountToken"),
        pod_policies.tokenless,
    ),
    "the account": (lambda d: drop(d, "ServiceAccount", "front"), pod_policies.tokenless),
    "limits": (lambda d: server(d)["resources"].pop("limits"), pod_policies.bounded),
    "an init container's memory": (
        lambda d: pod(d, "anomaly")["initContainers"][0]["resources"]["limits"].pop("memory"),
        pod_policies.bounded,
    ),
    "room on a small node": (
        lambda d: server(d)["resources"]["requests"].update(cpu="2000m"),
        pod_policies.bounded,
    ),
    "revisions apart": (
        lambda d: find(d, "StatefulSet", "feedback")["spec"]["template"]["spec"]["topologySpreadConstraints"][0].update(
            matchLabelKeys=["pod-template-hash"]
        ),
        pod_policies.selected,
    ),
    "a volume's size": (lambda d: pod(d)["volumes"][0].update(emptyDir={}), pod_policies.bounded),
    "tag": (lambda d: server(d).update(image="registry.example.org:5000/orrery/front"), pod_policies.pinned),
    "registry": (lambda d: server(d).update(image="orrery/front:0.1.0"), pod_policies.pinned),
    "latest": (lambda d: server(d).update(image="localhost/orrery/front:latest"), pod_policies.pinned),
    "a secret in git": (
        lambda d: d.append({"kind": "Secret", "metadata": {"name": "s"}}),
        pod_policies.without_secrets,
    ),
    "a secret in a value": (
        lambda d: set_variable(server(d), "ORRERY_FRONT_QUOTA_REDIS_URL", "redis://:hunter2@redis"),
        pod_policies.without_secrets,
    ),
    "the pods' label": (
        lambda d: find(d, "Deployment", "front")["spec"]["template"]["metadata"]["labels"].clear(),
        pod_policies.selected,
    ),
    "a service's selector": (
        lambda d: find(d, "Service", "anomaly")["spec"].update(selector={"app": "anomaly"}),
        pod_policies.selected,
    ),
    "a service's port": (
        lambda d: find(d, "Service", "anomaly")["spec"]["ports"][0].update(targetPort="http"),
        pod_policies.selected,
    ),
    "a budget's selector": (
        lambda d: find(d, "PodDisruptionBudget", "front")["spec"].update(selector={"matchLabels": {"app": "x"}}),
        pod_policies.selected,
    ),
    "replicas under an autoscaler": (
        lambda d: find(d, "Deployment", "front")["spec"].update(replicas=3),
        pod_policies.scaled,
    ),
    "replicas under KEDA": (
        lambda d: find(d, "Deployment", "simulation")["spec"].update(replicas=3),
        pod_policies.scaled,
    ),
    "what is scaled": (
        lambda d: find(d, "HorizontalPodAutoscaler", "front")["spec"]["scaleTargetRef"].update(name="frnt"),
        pod_policies.scaled,
    ),
    "a budget": (lambda d: drop(d, "PodDisruptionBudget", "tf-serving"), pod_policies.scaled),
    "spread": (lambda d: pod(d, "simulation").pop("topologySpreadConstraints"), pod_policies.scaled),
    "readiness that lasts": (
        lambda d: find(d, "Deployment", "front")["spec"].pop("minReadySeconds"),
        pod_policies.scaled,
    ),
    "time to start": (lambda d: server(d)["startupProbe"].update(failureThreshold=60), pod_policies.patient),
    "time to answer": (lambda d: server(d, "edge")["readinessProbe"].pop("timeoutSeconds"), pod_policies.patient),
    "time to be busy": (lambda d: server(d)["livenessProbe"].update(failureThreshold=3), pod_policies.patient),
    "time for a rollout": (
        lambda d: find(d, "Deployment", "front")["spec"].update(progressDeadlineSeconds=300),
        pod_policies.patient,
    ),
    "a backup that waits": (
        lambda d: find(d, "CronJob", "feedback-backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"][
            "containers"
        ][0]["env"].pop(4),
        code_policies.jobs_wait,
    ),
    "an end to loading": (
        lambda d: server(d, "tf-serving")["args"].remove("--load_retry_interval_micros=10000000"),
        code_policies.broken_versions_are_given_up,
    ),
    "time to give up": (
        lambda d: server(d, "tf-serving")["startupProbe"].update(failureThreshold=30),
        code_policies.broken_versions_are_given_up,
    ),
    "a setting's name": (
        lambda d: set_variable(server(d), "ORRERY_FRONT_GRACE_SECONDS", "300"),
        code_policies.settings_exist,
    ),
    "another pod's setting": (
        lambda d: set_variable(server(d), "ORRERY_ANOMALY_THREADS", "2"),
        code_policies.settings_exist,
    ),
    "a setting's value": (lambda d: set_variable(server(d), "ORRERY_FRONT_GRACE_S", "long"), code_policies.starts),
    "protection": (
        lambda d: unset_variable(server(d, "anomaly"), "ORRERY_ANOMALY_CLIENT_CA_FILE"),
        code_policies.starts,
    ),
    "protection of channels": (
        lambda d: unset_variable(server(d), "ORRERY_BACKEND_CA_FILE"),
        code_policies.starts,
    ),
    "the address of all": (
        lambda d: set_variable(server(d), "ORRERY_FRONT_ADDRESS", "127.0.0.1:50051"),
        code_policies.starts,
    ),
    "what is delivered": (
        lambda d: set_variable(pod(d, "anomaly")["initContainers"][0], "ORRERY_DELIVERY_MODELS", ""),
        code_policies.starts,
    ),
    "a port": (lambda d: port(server(d), "grpc").update(containerPort=50059), code_policies.ports_agree),
    "the health port": (lambda d: port(server(d), "health").update(containerPort=50059), code_policies.ports_agree),
    "another port than the code's": (
        lambda d: set_variable(server(d, "anomaly"), "ORRERY_ANOMALY_ADDRESS", "0.0.0.0:50059"),
        code_policies.ports_agree,
    ),
    "the edge's port": (
        lambda d: port(server(d, "edge"), "http").update(containerPort=80),
        code_policies.the_edge_agrees,
    ),
    "the edge's fronts": (
        lambda d: set_variable(server(d, "edge"), "ORRERY_EDGE_FRONT_ADDRESSES", "fronts:50051"),
        code_policies.the_edge_agrees,
    ),
    "the edge's time to drain": (
        lambda d: set_variable(server(d, "edge"), "ORRERY_EDGE_GRACE_S", "8"),
        code_policies.drains,
    ),
    "the edge's protection": (
        lambda d: unset_variable(server(d, "edge"), "ORRERY_EDGE_PLAINTEXT_ALLOWED"),
        code_policies.starts,
    ),
    "a service's own port": (
        lambda d: find(d, "Service", "simulation")["spec"]["ports"][0].update(port=80),
        code_policies.ports_agree,
    ),
    "headless": (lambda d: find(d, "Service", "anomaly")["spec"].pop("clusterIP"), code_policies.ports_agree),
    "a backend's name": (
        lambda d: set_variable(server(d), "ORRERY_FRONT_ANOMALY_ADDRESS", "dns:///anomalies:50052"),
        code_policies.ports_agree,
    ),
    "all of a backend's pods": (
        lambda d: set_variable(server(d), "ORRERY_FRONT_ANOMALY_ADDRESS", "anomaly:50052"),
        code_policies.ports_agree,
    ),
    "a probe": (lambda d: server(d).pop("livenessProbe"), code_policies.probed),
    "a probe's service": (
        lambda d: server(d, "anomaly")["readinessProbe"]["grpc"].update(service="orrery.inference.v1.Anomaly"),
        code_policies.probed,
    ),
    "another pod's service": (
        lambda d: find(d, "StatefulSet", "feedback")["spec"]["template"]["spec"]["containers"][0]["readinessProbe"][
            "grpc"
        ].update(service="orrery.inference.v1.SimulationService"),
        code_policies.probed,
    ),
    "a probe's port": (
        lambda d: server(d, "anomaly")["livenessProbe"]["grpc"].update(port=50052),
        code_policies.probed,
    ),
    "liveness that follows the models": (
        lambda d: server(d, "anomaly")["livenessProbe"]["grpc"].update(service="orrery.inference.v1.AnomalyService"),
        code_policies.probed,
    ),
    "TensorFlow Serving's own names": (
        lambda d: server(d, "tf-serving")["readinessProbe"]["grpc"].update(service="tensorflow.serving.ModelService"),
        code_policies.probed,
    ),
    "looking away": (lambda d: server(d).pop("lifecycle"), code_policies.drains),
    "TensorFlow Serving's sleep": (
        lambda d: server(d, "tf-serving")["lifecycle"]["preStop"]["sleep"].update(seconds=5),
        code_policies.drains,
    ),
    "time to drain": (lambda d: pod(d).update(terminationGracePeriodSeconds=60), code_policies.drains),
    "time for long calls": (
        lambda d: set_variable(server(d, "simulation"), "ORRERY_SIMULATION_GRACE_S", "8"),
        code_policies.drains,
    ),
    "the age of connections": (
        lambda d: set_variable(server(d), "ORRERY_FRONT_MAX_CONNECTION_AGE_S", "600"),
        code_policies.drains,
    ),
    "time to know a new pod": (
        lambda d: find(d, "Deployment", "anomaly")["spec"].update(minReadySeconds=5),
        code_policies.names_are_known,
    ),
    "time to know a new model server": (
        lambda d: find(d, "Deployment", "tf-serving")["spec"].update(minReadySeconds=5),
        code_policies.names_are_known,
    ),
    "time to forget a front": (
        lambda d: server(d)["lifecycle"]["preStop"]["sleep"].update(seconds=5),
        code_policies.names_are_known,
    ),
    "models.config": (
        lambda d: generated(d, "tf-serving-models")["data"].update({"models.config": ""}),
        code_policies.serves_its_configuration,
    ),
    "a rollout's own map": (
        lambda d: generated(d, "tf-serving-models")["metadata"].update(name="tf-serving-rollout"),
        code_policies.a_rollout_stays,
    ),
    "a rollout that pods read": (
        lambda d: next(v for v in pod(d, "tf-serving")["volumes"] if "projected" in v)["projected"][
            "sources"
        ].reverse(),
        code_policies.a_rollout_stays,
    ),
    "a flag": (
        lambda d: server(d, "tf-serving")["args"].remove("--num_load_threads=1"),
        code_policies.serves_its_configuration,
    ),
    "read-only models": (
        lambda d: next(m for m in server(d, "tf-serving")["volumeMounts"] if m["name"] == "models").pop("readOnly"),
        code_policies.models_are_delivered,
    ),
    "models before the start": (
        lambda d: pod(d, "anomaly")["initContainers"].pop(0),
        code_policies.models_are_delivered,
    ),
    "later models": (lambda d: pod(d, "anomaly")["initContainers"].pop(1), code_policies.models_are_delivered),
    "deny all": (lambda d: drop(d, "NetworkPolicy", "deny-all"), network_policies.along_the_call_graph),
    "names": (lambda d: drop(d, "NetworkPolicy", "dns"), network_policies.along_the_call_graph),
    "a call out": (lambda d: policy_of(d, "front")["egress"].pop(1), network_policies.along_the_call_graph),
    "a call in": (lambda d: drop(d, "NetworkPolicy", "simulation"), network_policies.along_the_call_graph),
    "a policy's port": (
        lambda d: policy_of(d, "anomaly")["ingress"][0]["ports"][0].update(port=50053),
        network_policies.along_the_call_graph,
    ),
    "any port": (
        lambda d: drop_key(policy_of(d, "anomaly")["ingress"][0], "ports"),
        network_policies.along_the_call_graph,
    ),
    "anybody": (
        lambda d: drop_key(policy_of(d, "anomaly")["ingress"][0], "from"),
        network_policies.along_the_call_graph,
    ),
    "a way that nobody goes": (
        lambda d: policy_of(d, "anomaly").update(
            egress=[{"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "redis"}}}]}]
        ),
        network_policies.along_the_call_graph,
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_policy_notices_that_this_is_gone(production, guard):
    remove, policy = GUARDS[guard]
    assert list(policy(production)) == []
    remove(production)
    assert list(policy(production)) != []


def test_the_stand_in_must_read_the_models_config_that_is_mounted(rendered):
    documents = copy.deepcopy(rendered["offline"])
    assert list(code_policies.serves_its_configuration(documents)) == []
    set_variable(server(documents, "tf-serving"), "ORRERY_MODEL_SERVER_MODEL_CONFIG_FILE", "/etc/models.config")
    assert list(code_policies.serves_its_configuration(documents)) != []

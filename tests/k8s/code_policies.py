# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifests say of our code must be what the code says. A policy yields a sentence for each violation."""

import contextlib
import os
import re
import tempfile
from pathlib import Path
from unittest import mock

from export.rollout.classifier import LOAD_WITHIN_S
from export.rollout.command import CONFIG_MAP
from gateway.anomaly.settings import AnomalySettings
from gateway.configuration.registry import MODULES, settings_of
from gateway.delivery.settings import DeliverySettings
from gateway.edge.render import render
from gateway.edge.settings import EdgeSettings
from gateway.feedback.settings import FeedbackSettings
from gateway.front.settings import FrontSettings
from gateway.serving.environment import split_address
from gateway.serving.settings import (
    BackendSettings,
)
from gateway.serving.starting import CannotStart
from gateway.serving.tls import is_loopback, require_safe
from gateway.simulation.settings import SimulationSettings
from orrery.inference.v1 import (
    anomaly_service_pb2,
    feedback_service_pb2,
    simulation_service_pb2,
)
from tests.k8s.manifests import PROJECT_ROOT, environment, of_kind, selects, workloads
from tests.k8s.pod_policies import budget_s

# By the container's first argument: what its environment may set.
PODS = {
    "front": FrontSettings,
    "anomaly": AnomalySettings,
    "simulation": SimulationSettings,
    "feedback": FeedbackSettings,
}
DRAINING = {**PODS, "edge": EdgeSettings}
READ = {command: settings_of(command) for command in MODULES} | {
    # The image of the export, by its module.
    "gateway": (FeedbackSettings,),
    "export": (FeedbackSettings,),
}
# What export/paths.py reads.
EXPORT = {"ORRERY_MODEL_STORE", "ORRERY_CATALOGUE_CACHE"}
# What a pod's readiness is the health of. A front is ready without its backends.
SERVICES = {
    role: next(iter(module.DESCRIPTOR.services_by_name.values())).full_name
    for role, module in (
        ("anomaly", anomaly_service_pb2),
        ("simulation", simulation_service_pb2),
        ("feedback", feedback_service_pb2),
    )
}
# The two names that server.cc of TensorFlow Serving sets.
TF_SERVING_SERVICES = {"ModelService", "PredictionService"}
# Whom a job's container asks when it begins, and for how long it waits, by the names of its variables.
WAITING = {
    "PGHOST": "WAIT_FOR_DATABASE_S",
    "ORRERY_FEEDBACK_DATABASE_URL": "ORRERY_FEEDBACK_DATABASE_WAIT_S",
    "ORRERY_FEEDBACK_DATABASE_URL_FILE": "ORRERY_FEEDBACK_DATABASE_WAIT_S",
}
# Within this a network policy knows a new pod, and a database that is restarted is back.
REACHED_S = 60
# What one attempt to load a version may take on a busy node.
LOAD_S = 10
# What balancers need to look away, and a process to end after its grace.
LOOK_AWAY_S = 4
ENDING_S = 5
# Cluster DNS, and resolvers of callers, keep a name's addresses for so long (measured on a cluster: 30 s).
NAMES_KEPT_S = 30
# A new pod gets its share of connections within this.
SHARE_WITHIN_S = 30


def names_of(settings):
    return {settings.variable(field) for field in settings.model_fields}


def role_of(container):
    return (container.get("args") or [""])[0]


def our_pods(documents):
    """(workload, container, role) of the pods that speak our contract."""
    for workload in workloads(documents):
        for container in workload.servers:
            if role_of(container) in PODS:
                yield workload, container, role_of(container)


@contextlib.contextmanager
def only(variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORRERY_")}
    with mock.patch.dict(os.environ, kept | variables, clear=True):
        yield


def settings_exist(documents):
    for workload in workloads(documents):
        for container in workload.containers:
            ours = {name for name in environment(container) if name.startswith("ORRERY_")}
            known = set().union(*(names_of(settings) for settings in READ.get(role_of(container), ())))
            if container["image"].partition(":")[0].endswith("/export"):
                known |= EXPORT
            for name in sorted(ours - known):
                yield f"{workload.name} {container['name']}: nothing reads {name}"


def starts(documents):
    """The pod would start with its environment: settings are valid, and safe enough to be opened to a network."""
    for workload, container, role in our_pods(documents):
        with only(environment(container)):
            try:
                settings = PODS[role]()
                require_safe(settings)
            except CannotStart as error:
                yield f"{workload.name}: {error}"
                continue
            if is_loopback(settings.address):
                yield f"{workload.name} listens on loopback"
            protected = BackendSettings()
            for name, target in backends(settings):
                allowed = target.startswith("plaintext:") or protected.ca_file or protected.plaintext_allowed
                if not allowed:
                    yield f"{workload.name}: {name} is across a network, and nothing protects it"
    for workload in workloads(documents):
        for container in workload.containers:
            begin = {"deliver": DeliverySettings, "edge": _render_edge}.get(role_of(container))
            if begin is None:
                continue
            with only(environment(container)):
                try:
                    begin()
                except (CannotStart, ValueError) as error:
                    yield f"{workload.name} {container['name']}: {error}"


def _render_edge():
    with tempfile.TemporaryDirectory() as folder:
        render(EdgeSettings(), Path(folder))


def backends(settings):
    """(name of the setting, target) of the pods that a pod asks."""
    own = {"address", "metrics_address", "health_address", "admin_address"}
    return [
        (name, getattr(settings, name))
        for name in type(settings).model_fields
        if name.endswith("_address") and name not in own
    ]


def ports_agree(documents):
    services = {document["metadata"]["name"]: document for document in of_kind(documents, "Service")}
    for workload, container, role in our_pods(documents):
        defaults = PODS[role].model_fields
        with only(environment(container)):
            settings = PODS[role]()
        declared = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for name, address in (
            ("grpc", settings.address),
            ("metrics", settings.metrics_address),
            ("health", settings.health_address or ":0"),
        ):
            if declared.get(name) != split_address(f"0{address}" if address[0] == ":" else address)[1]:
                yield f"{workload.name}: port {name} is not where the pod listens ({address})"
        if split_address(settings.address)[1] != split_address(defaults["address"].default)[1]:
            yield f"{workload.name}: gRPC is not on the code's own port"
        if split_address(settings.metrics_address)[1] != split_address(defaults["metrics_address"].default)[1]:
            yield f"{workload.name}: metrics are not on the code's own port"
        yield from _service_agrees(services.get(role), role, declared.get("grpc"))
        for name, target in backends(settings):
            yield from _backend_agrees(services, f"{workload.name}: {name}", target)


def the_edge_agrees(documents):
    services = {document["metadata"]["name"]: document for document in of_kind(documents, "Service")}
    for workload, container in edges(documents):
        with only(environment(container)):
            settings = EdgeSettings()
        declared = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for name, address in (("http", settings.address), ("metrics", settings.metrics_address)):
            field = "address" if name == "http" else "metrics_address"
            port = split_address(address)[1]
            if declared.get(name) != port or port != split_address(EdgeSettings.model_fields[field].default)[1]:
                yield f"{workload.name}: port {name} is not where the edge listens ({address})"
        for host, port in settings.fronts:
            if host not in services or port not in {entry["port"] for entry in services[host]["spec"]["ports"]}:
                yield f"{workload.name} asks {host}:{port}, where nothing listens"


def edges(documents):
    """(workload, container) of Envoy."""
    return [(w, c) for w in workloads(documents) for c in w.servers if role_of(c) == "edge"]


def _service_agrees(service, role, port):
    if service is None or [entry["port"] for entry in service["spec"]["ports"]] != [port]:
        yield f"Service {role} is not on its pods' port"
    elif service["spec"].get("clusterIP") != "None":
        yield f"Service {role} hides its pods from clients that balance"


def _backend_agrees(services, who, target):
    plain = target.removeprefix("plaintext:")
    host, port = split_address(plain.removeprefix("dns:///"))
    asked = services.get(host)
    if not plain.startswith("dns:///") or asked is None:
        yield f"{who} asks {target}, which is no name of all its pods"
    elif port not in {entry["port"] for entry in asked["spec"]["ports"]}:
        yield f"{who} asks {target}, where nothing listens"


def probed(documents):
    for workload in workloads(documents):
        for container in workload.servers:
            name = f"{workload.name} {container['name']}"
            ports = {port["containerPort"] for port in container.get("ports", [])}
            ports |= {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(kind)
                if probe is None:
                    yield f"{name} has no {kind}"
                    continue
                asked = probe.get("grpc") or probe.get("tcpSocket") or probe.get("httpGet") or {"port": "exec"}
                if asked["port"] not in ports and "exec" not in probe:
                    yield f"{name}: {kind} asks port {asked['port']}, where nothing listens"
                if role_of(container) in PODS:
                    yield from _our_probe(name, container, kind, probe)
                elif "grpc" in probe and probe["grpc"].get("service", "") not in TF_SERVING_SERVICES:
                    yield f"{name}: {kind} asks for a service that TensorFlow Serving does not know"


def _our_probe(name, container, kind, probe):
    health = next(p["containerPort"] for p in container["ports"] if p["name"] == "health")
    if probe.get("grpc", {}).get("port") != health:
        yield f"{name}: {kind} does not ask the port that answers when all others are taken"
    service = probe.get("grpc", {}).get("service", "")
    if service != (SERVICES.get(role_of(container), "") if kind == "readinessProbe" else ""):
        yield f"{name}: {kind} asks for {service or 'the process alone'}"


def drains(documents):
    """Balancers look away, calls end, the process ends: in this order, each with the time it needs."""
    front = FrontSettings()
    longest = {name: getattr(front, f"{name}_deadline_s") for name in ("anomaly", "simulation", "feedback")}
    longest["front"] = longest["edge"] = max(longest.values())
    for workload in workloads(documents):
        for container in workload.servers:
            name = f"{workload.name} {container['name']}"
            slept = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            granted = workload.pod.get("terminationGracePeriodSeconds", 30)
            if slept < LOOK_AWAY_S:
                yield f"{name} stops before balancers have looked away"
            if role_of(container) not in DRAINING:
                if workload.app == "tf-serving" and slept < FrontSettings().prediction_deadline_s:
                    yield f"{name} does not drain, and is stopped while it answers"
                if granted < slept + ENDING_S:
                    yield f"{name} is killed while it stops"
                continue
            with only(environment(container)):
                settings = DRAINING[role_of(container)]()
            if granted < slept + settings.drain_delay_s + settings.grace_s + ENDING_S:
                yield f"{name} is killed while it drains"
            if settings.grace_s < longest[role_of(container)]:
                yield f"{name} cuts off calls of {longest[role_of(container)]:.0f} s"
            if role_of(container) in PODS and settings.max_connection_age_s > SHARE_WITHIN_S:
                yield f"{name}: new pods wait for their share of connections"


def names_are_known(documents):
    """No pod leaves before callers can know the one that came; callers of fronts need time to look again, too.

    gRPC asks for a name at most once in 30 s, so a caller may use addresses that are twice as old as its resolver's.
    Our own channels, which ask the other pods, look again at once.
    """
    services = [one for one in of_kind(documents, "Service") if one["spec"].get("clusterIP") == "None"]
    for workload, container, role in [*our_pods(documents), *tf_servers(documents)]:
        if not any(selects({"matchLabels": one["spec"]["selector"]}, workload.labels) for one in services):
            continue
        if workload.spec.get("minReadySeconds", 0) <= NAMES_KEPT_S:
            yield f"{workload.name}: the next pod leaves before callers can know the new one"
        slept = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if role == "front" and slept <= NAMES_KEPT_S:
            yield f"{workload.name} stops while callers still find its address"


def tf_servers(documents):
    """(workload, container, role) of TensorFlow Serving."""
    return [(w, c, "tf-serving") for w in workloads(documents) if w.app == "tf-serving" for c in w.servers]


def serves_its_configuration(documents):
    """TensorFlow Serving runs with the files of serving_config, and with the flags that its README explains."""
    folder = PROJECT_ROOT / "serving_config"
    maps = {
        document["metadata"]["name"].partition("-flags")[0]: document["data"]
        for document in of_kind(documents, "ConfigMap")
        if document["metadata"]["name"].startswith("tf-serving-")
    }
    shown = {name: text for data in maps.values() for name, text in data.items()}
    for name in ("models.config", "batching.config", "monitoring.config"):
        if shown.get(name) != (folder / name).read_text():
            yield f"{name} is not the one of serving_config"
    written = re.search(r"tensorflow_model_server \\\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[1]
    wanted = set(written.replace("\\\n", " ").split())
    models = set(re.findall(r'name: "(\w+)"', (folder / "models.config").read_text()))
    for workload in workloads(documents):
        if workload.app != "tf-serving":
            continue
        server = workload.servers[0]
        if role_of(server) == "model-server":
            # The stand-in: its flags are fixed.
            read = environment(server).get("ORRERY_MODEL_SERVER_MODEL_CONFIG_FILE", "")
            mounts = {mount["name"]: mount["mountPath"] for mount in server["volumeMounts"]}
            if "command" in server or read != f"{mounts['serving-config']}/models.config":
                yield f"{workload.name} does not serve what models.config says"
        elif set(server.get("args", [])) != wanted:
            yield f"{workload.name} has other flags than serving_config/README.md"
        delivered = set()
        for container in workload.pod.get("initContainers", []):
            delivered |= set(environment(container).get("ORRERY_DELIVERY_MODELS", "").split(","))
        if delivered != models:
            yield f"{workload.name} is given {delivered}, not what models.config serves"


def jobs_wait(documents):
    """What begins by asking a database waits for its answer; a server's pod is started again by the kubelet."""
    for workload in workloads(documents):
        for container in [] if workload.is_server else workload.containers:
            found = environment(container)
            for asks, waits in WAITING.items():
                if asks in found and float(found.get(waits, 0)) < REACHED_S:
                    yield f"{workload.name} {container['name']} gives up before the network lets it ask"


def broken_versions_are_given_up(documents):
    """TensorFlow Serving says why it cannot load a version before its pod is killed, and while a rollout waits."""
    for workload, container, _ in tf_servers(documents):
        if role_of(container) == "model-server":
            # The stand-in says so at once.
            continue
        flags = dict(argument.removeprefix("--").partition("=")[::2] for argument in container.get("args", []))
        retries = int(flags.get("max_num_load_retries", 5))
        interval_s = int(flags.get("load_retry_interval_micros", 60_000_000)) / 1e6
        given_up_s = retries * interval_s + (retries + 1) * LOAD_S
        if budget_s(container.get("startupProbe", {})) < given_up_s:
            yield f"{workload.name} is killed before it says why a version cannot be loaded ({given_up_s:g} s)"
        seen_s = DeliverySettings.model_fields["every_s"].default + int(flags["file_system_poll_wait_seconds"])
        if seen_s + given_up_s > LOAD_WITHIN_S:
            yield f"{workload.name} says why a version cannot be loaded when a rollout waits no more"


def a_rollout_stays(documents):
    """What a rollout has decided is not undone by applying the manifests again, and pods that start read it."""
    if any(document["metadata"]["name"] == CONFIG_MAP for document in of_kind(documents, "ConfigMap")):
        yield f"{CONFIG_MAP} belongs to rollouts: applying the manifests would undo one"
    for workload in workloads(documents):
        if workload.app != "tf-serving":
            continue
        volume = next(one for one in workload.pod["volumes"] if one["name"] == "serving-config")
        # Of two sources with a file of the same name the last one wins.
        if volume["projected"]["sources"][-1] != {"configMap": {"name": CONFIG_MAP, "optional": True}}:
            yield f"{workload.name} does not read what a rollout has decided"


def models_are_delivered(documents):
    """Where models are served, they were checked before the pod starts, and the server cannot change them."""
    for workload in workloads(documents):
        for container in workload.servers:
            mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
            if "/models" not in mounts:
                continue
            if not mounts["/models"].get("readOnly"):
                yield f"{workload.name} may change its models"
            first, *later = [c for c in workload.pod.get("initContainers", []) if role_of(c) == "deliver"] or [{}]
            if first.get("restartPolicy") == "Always" or first.get("args") != ["deliver"]:
                yield f"{workload.name} starts without models"
            if not any(c.get("restartPolicy") == "Always" and "--follow" in c["args"] for c in later):
                yield f"{workload.name} never gets another version"

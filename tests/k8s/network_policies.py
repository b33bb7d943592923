# SPDX-License-Identifier: GPL-3.0-or-later
"""Network policies are the call graph: every call that the manifests set up is let through, and no other."""

import itertools
from dataclasses import dataclass

from gateway.edge.settings import EdgeSettings
from gateway.serving.environment import split_address
from tests.k8s.code_policies import PODS, backends, edges, only, our_pods
from tests.k8s.manifests import NAME, environment, of_kind, selects, workloads

# By a setting's name: whom a pod asks when it is set, and where.
ASKED = {
    "ORRERY_FRONT_QUOTA_REDIS_URL": ("redis", 6379),
    "ORRERY_FRONT_CACHE_REDIS_URL": ("redis", 6379),
    "ORRERY_FEEDBACK_DATABASE_URL": ("postgres", 5432),
    "ORRERY_FEEDBACK_DATABASE_URL_FILE": ("postgres", 5432),
    "PGHOST": ("postgres", 5432),
    "ORRERY_TRACING_ENDPOINT": ("monitoring", 4317),
    "ORRERY_CATALOGUE_CACHE": ("internet", 443),
}


@dataclass(frozen=True, order=True)
class Edge:
    source: str
    target: str
    port: int


def call_graph(documents):
    """Who talks to whom, from the environment that each pod is given."""
    for workload, container, role in our_pods(documents):
        with only(environment(container)):
            settings = PODS[role]()
        for _, target in backends(settings):
            host, _, port = target.removeprefix("plaintext:").removeprefix("dns:///").rpartition(":")
            yield Edge(workload.app, host, int(port))
    for workload in workloads(documents):
        for container in workload.containers:
            found = environment(container)
            for name in ASKED.keys() & found.keys():
                yield Edge(workload.app, *ASKED[name])
            if "://" in found.get("ORRERY_DELIVERY_SOURCE", ""):
                yield Edge(workload.app, "internet", 443)
    yield from _scrapes(documents)
    for workload, container in edges(documents):
        with only(environment(container)):
            settings = EdgeSettings()
        yield Edge("everybody", workload.app, split_address(settings.address)[1])
        for host, port in settings.fronts:
            yield Edge(workload.app, host, port)


def _scrapes(documents):
    """Prometheus, which lives in the namespace "monitoring", asks each port that a monitor names."""
    for document, workload in itertools.product(of_kind(documents, "PodMonitor"), workloads(documents)):
        if selects(document["spec"]["selector"], workload.labels):
            wanted = {end["port"] for end in document["spec"]["podMetricsEndpoints"]}
            for port in (port for container in workload.containers for port in container.get("ports", [])):
                if port["name"] in wanted:
                    yield Edge("monitoring", workload.app, port["containerPort"])


def let_through(documents):
    """Edges as the policies allow them: (those that may leave, those that may enter)."""
    apps = [(workload.app, workload.labels) for workload in workloads(documents)]
    leave, enter = set(), set()
    for policy in of_kind(documents, "NetworkPolicy"):
        chosen = [app for app, labels in apps if selects(policy["spec"]["podSelector"], labels)]
        for app in chosen:
            for rule in policy["spec"].get("egress", []):
                leave |= {Edge(app, peer, port) for peer in _peers(rule.get("to"), apps) for port in _ports(rule)}
            for rule in policy["spec"].get("ingress", []):
                enter |= {Edge(peer, app, port) for peer in _peers(rule.get("from"), apps) for port in _ports(rule)}
    return leave, enter


def _ports(rule):
    return [port["port"] for port in rule.get("ports", [])] or ["any"]


def _peers(peers, apps):
    if not peers:
        yield "everybody"
        return
    for peer in peers:
        if "ipBlock" in peer:
            yield "internet"
        elif "namespaceSelector" in peer:
            yield peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        else:
            known = [app for app, labels in apps if selects(peer["podSelector"], labels)]
            yield from known or [peer["podSelector"].get("matchLabels", {}).get(NAME, "everybody")]


def along_the_call_graph(documents):
    policies = of_kind(documents, "NetworkPolicy")
    if not any(
        policy["spec"]["podSelector"] == {}
        and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not {"ingress", "egress"} & set(policy["spec"])
        for policy in policies
    ):
        yield "nothing is denied"
    ours = {workload.app for workload in workloads(documents)}
    leave, enter = let_through(documents)
    names = {Edge(app, "kube-system", 53) for app in ours}
    for edge in sorted(names - leave):
        yield f"{edge.source} cannot look up names"
    graph = set(call_graph(documents))
    for edge in sorted(graph - leave):
        if edge.source in ours:
            yield f"{edge.source} -> {edge.target}:{edge.port} may not leave"
    for edge in sorted(graph - enter):
        if edge.target in ours:
            yield f"{edge.source} -> {edge.target}:{edge.port} may not enter"
    for edge in sorted((leave | enter) - graph - names, key=str):
        yield f"{edge.source} -> {edge.target}:{edge.port} is let through, and nobody calls it"

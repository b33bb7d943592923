# SPDX-License-Identifier: GPL-3.0-or-later
"""Every overlay keeps every policy, and no policy is kept once its guard is gone."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.k8s import code_policies, manifests, network_policies, pod_policies

POLICIES = [
    pod_policies.restricted,
    pod_policies.tokenless,
    pod_policies.bounded,
    pod_policies.pinned,
    pod_policies.without_secrets,
    pod_policies.selected,
    pod_policies.scaled,
    pod_policies.patient,
    code_policies.settings_exist,
    code_policies.starts,
    code_policies.ports_agree,
    code_policies.the_edge_agrees,
    code_policies.probed,
    code_policies.drains,
    code_policies.names_are_known,
    code_policies.serves_its_configuration,
    code_policies.jobs_wait,
    code_policies.broken_versions_are_given_up,
    code_policies.a_rollout_stays,
    code_policies.models_are_delivered,
    network_policies.along_the_call_graph,
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_an_overlay_keeps(documents, policy):
    assert list(policy(documents)) == []


@pytest.mark.parametrize(
    ("folder", "jobs"), [("jobs", ["Job/nightly"]), ("jobs/move-votes", ["StatefulSet/postgres", "Job/move-votes"])]
)
def test_jobs_keep(rendered, folder, jobs):
    documents = manifests.render(manifests.K8S / folder)
    # What they run is the pods' own; whom they ask is nobody.
    kept = [policy for policy in POLICIES if policy.__module__ == pod_policies.__name__]
    kept += [code_policies.settings_exist, code_policies.jobs_wait]
    assert {policy.__name__: list(policy(documents)) for policy in kept} == {policy.__name__: [] for policy in kept}
    assert sorted(workload.name for workload in manifests.workloads(documents)) == sorted(jobs)


def test_every_image_is_named_once():
    """In components/images, which every overlay and the jobs have last among their components."""
    places = sorted(manifests.K8S.glob("**/kustomization.yaml"))
    contents = {path.parent.relative_to(manifests.K8S): yaml.safe_load(path.read_text()) for path in places}
    assert [str(folder) for folder, content in contents.items() if "images" in content] == ["components/images"]
    for folder, content in contents.items():
        if content["kind"] == "Kustomization" and str(folder) not in {"base", "postgres"}:
            assert content["components"][-1].endswith("components/images"), folder
    names = [image["name"] for image in contents[Path("components/images")]["images"]]
    files = manifests.K8S.glob("**/*.yaml")
    used = {name for path in files for name in re.findall(r"^ +image: (\S+)$", path.read_text(), re.MULTILINE)}
    assert sorted(names) == sorted(used)


@pytest.mark.parametrize("component", manifests.COMPONENTS)
def test_each_component_works_alone(rendered, component, tmp_path):
    documents = manifests.render_component(component, tmp_path / "overlay")
    # Components bring the policies of what they add; who may call whom is whole with components/network-policy only.
    kept = [policy for policy in POLICIES if policy is not network_policies.along_the_call_graph]
    assert {policy.__name__: list(policy(documents)) for policy in kept} == {policy.__name__: [] for policy in kept}


def test_every_secret_that_must_be_made_is_in_the_guide(rendered):
    guide = (manifests.PROJECT_ROOT / "docs" / "operations.md").read_text()
    listed = set(re.findall(r"^   \| `([\w-]+)` \|", guide, re.MULTILINE))
    text = json.dumps(rendered["production"])
    named = set(re.findall(r'"secretName": "([\w-]+)"', text))
    named |= set(re.findall(r'"(?:secretKeyRef|secretRef)": \{[^}]*"name": "([\w-]+)"', text))
    gateway = next(d for d in rendered["production"] if d["kind"] == "Gateway")
    named |= {c["name"] for listener in gateway["spec"]["listeners"] for c in listener["tls"]["certificateRefs"]}
    issued = {d["spec"]["secretName"] for d in rendered["production"] if d["kind"] == "Certificate"}
    assert named - issued == listed


def test_what_the_guide_applies_is_there():
    guide = (manifests.PROJECT_ROOT / "docs" / "operations.md").read_text()
    applied = re.findall(r"kubectl apply -k (\S+)", guide)
    assert applied
    for folder in applied:
        assert (manifests.PROJECT_ROOT / folder / "kustomization.yaml").exists()
    assert set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE)) == set(manifests.OVERLAYS)


def test_what_a_server_reads_once_brings_new_pods_when_it_changes(documents):
    """Names of generated ConfigMaps end with a hash of what they hold, and pods name them so."""
    pod = next(workload.pod for workload in manifests.workloads(documents) if workload.app == "tf-serving")
    volume = next(one for one in pod["volumes"] if one["name"] == "serving-config")
    *generated, _ = [source["configMap"]["name"] for source in volume["projected"]["sources"]]
    assert [name.rpartition("-")[0] for name in generated] == ["tf-serving-models", "tf-serving-flags"]
    assert set(generated) <= {document["metadata"]["name"] for document in manifests.of_kind(documents, "ConfigMap")}

# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules and dashboard: what they name exists, alerts come and go, each has a runbook."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from bench.seeing import dashboard, observe
from tests.k8s.manifests import PROJECT_ROOT

# Where metrics are declared; importing them registers them.
for module in (
    "gateway.anomaly.forests",
    "gateway.delivery.carrier",
    "gateway.feedback.metrics",
    "gateway.front.metrics",
    "gateway.serving.metrics",
    "gateway.simulation.metrics",
):
    importlib.import_module(module)
QUEUE = PROJECT_ROOT / "k8s" / "components" / "keda" / "simulation.yaml"
# Of the embedded model server, whose module needs TensorFlow; Prometheus' own.
PLAYED = ("alerts.yaml", "alerts_of_days.yaml")
ELSEWHERE = {"orrery_model_server_loads_total", "up"}
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "le"}


@pytest.fixture(scope="module")
def groups():
    return yaml.safe_load(observe.RULES.read_text())["spec"]["groups"]


def rules_of(groups):
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(expression):
    """Names of series in PromQL: what is left without labels, windows, strings, functions and words."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(by|without|on|ignoring)\s*\([^)]*\)", " ", expression)
    names = re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*(?!\w)(?!\s*\()", bare)
    return {name for name in names if name not in _WORDS}


def exported():
    names = set()
    for family in REGISTRY.collect():
        names |= {family.name, *(sample.name for sample in family.samples)}
        if family.type == "counter":
            names.add(f"{family.name}_total")
        if family.type == "histogram":
            names |= {f"{family.name}_{end}" for end in ("bucket", "count", "sum")}
    return names


def labels_of(expression):
    for name, matchers in re.findall(r"([a-z_:0-9]+)\{([^}]*)\}", expression):
        yield name, re.findall(r"(\w+)\s*[=!]~?\s*\"([^\"]*)\"", matchers)


def expressions(groups):
    yield from (rule["expr"] for rule in rules_of(groups))
    for panels in dashboard.PANELS.values():
        for panel in panels:
            yield from (query for _, query in panel.queries)


def test_every_metric_named_is_one_that_the_code_exports(groups):
    known = exported() | ELSEWHERE | {rule["record"] for rule in rules_of(groups) if "record" in rule}
    (scaled,) = (
        trigger["metadata"]["query"]
        for trigger in yaml.safe_load(QUEUE.read_text())["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    )
    named = {name for expression in (*expressions(groups), scaled) for name in metrics_in(expression)}
    assert len(named) > 20
    assert named - known == set()


def test_a_metric_that_nobody_exports_would_be_noticed():
    assert metrics_in('sum by (app) (rate(orrery_gone_total{app="x"}[5m])) > 0 and up == 1') == {
        "orrery_gone_total",
        "up",
    }
    assert "orrery_gone_total" not in exported()


def test_labels_and_their_values_are_ones_that_the_code_sets(groups):
    from grpc import StatusCode

    from orrery.inference import v1

    allowed = {
        "grpc_code": {code.name for code in StatusCode},
        "reason": {name.removeprefix("ERROR_REASON_") for name in v1.ErrorReason.keys()},  # noqa: SIM118  # no mapping
        "app": {app for app, _, _ in observe.targets()},
        "network": {"harmless", "hazardous"},
        "rule": {"harmless", "hazardous"},
        "outcome": {"hit", "miss", "loaded"},
        "grpc_method": {"Predict"},
        "le": {"0.1"},
    }
    for expression in expressions(groups):
        for _, matchers in labels_of(expression):
            for label, values in matchers:
                assert set(values.split("|")) <= allowed[label], expression


def test_every_alert_says_how_bad_it_is_and_has_a_runbook(groups):
    headings = re.findall(r"^## (\w+)$", (PROJECT_ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    alerts = [rule for rule in rules_of(groups) if "alert" in rule]
    assert {alert["alert"] for alert in alerts} == set(headings)
    for alert in alerts:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{alert['alert'].lower()}"


def test_the_dashboard_is_what_its_code_writes():
    assert dashboard.FILE.read_text() == dashboard.text(), "make dashboard"


PROMTOOL = pytest.mark.long("Prometheus: apt-get install prometheus")


@pytest.fixture
def played(tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("no Prometheus: apt-get install prometheus")
    observe.configure(tmp_path, observe.targets())
    for name in PLAYED:
        shutil.copy(Path(__file__).with_name(name), tmp_path)

    def promtool(*arguments):
        return subprocess.run(["promtool", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S607  # from the path

    promtool.folder = tmp_path
    return promtool


@PROMTOOL
def test_prometheus_accepts_rules_and_configuration(played):
    for arguments in (("check", "rules", "rules.yaml"), ("check", "config", "prometheus.yaml")):
        run = played(*arguments)
        assert run.returncode == 0, run.stdout + run.stderr


@PROMTOOL
def test_alerts_come_when_they_should_and_go(played, groups):
    run = played("test", "rules", *PLAYED)
    assert run.returncode == 0, run.stdout + run.stderr
    tested = {name for file in PLAYED for name in re.findall(r"alertname: (\w+)", (played.folder / file).read_text())}
    # Reasons and versions are plain comparisons of one series.
    assert {rule["alert"] for rule in rules_of(groups) if "alert" in rule} - tested == {
        "OrreryFeedbackStoreFull",
        "OrreryModelVersionsDiffer",
    }


@PROMTOOL
@pytest.mark.parametrize("broken", ["vector(0) > 1", "vector(1)"])
def test_alerts_that_never_come_or_never_go_are_noticed_each(played, broken):
    rules = played.folder / "rules.yaml"
    content = yaml.safe_load(rules.read_text())
    tested = {name for file in PLAYED for name in re.findall(r"alertname: (\w+)", (played.folder / file).read_text())}
    for rule in rules_of(content["groups"]):
        if rule.get("alert") in tested:
            rule["expr"] = broken
    rules.write_text(yaml.safe_dump(content))
    run = played("test", "rules", *PLAYED)
    assert run.returncode != 0
    assert set(re.findall(r"alertname: (\w+)", run.stdout + run.stderr)) == tested

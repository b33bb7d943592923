# SPDX-License-Identifier: GPL-3.0-or-later
"""The Grafana dashboard as code: `python -m bench.seeing.dashboard` writes k8s/components/monitoring/dashboard.json.

The same panels are what `make observe` prints.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).resolve().parents[2] / "k8s" / "components" / "monitoring" / "dashboard.json"
_COLUMNS: Final = 3
_WIDTH: Final = 24 // _COLUMNS
_HEIGHT: Final = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph: its question, and what Prometheus is asked. `$window` stands for the averaging time."""

    title: str
    unit: str  # of Grafana: "s", "reqps", "percentunit", "short", "bytes"
    queries: tuple[tuple[str, str], ...]  # (legend, PromQL)
    description: str = ""


def _quantiles(histogram: str, by: str, legend: str, *, matching: str = "") -> tuple[tuple[str, str], ...]:
    chosen = f"{histogram}_bucket{{{matching}}}" if matching else f"{histogram}_bucket"
    labels = f"le, {by}" if by else "le"
    return tuple(
        (
            f"{legend} p{percent}".strip(),
            f"histogram_quantile(0.{percent}, sum by ({labels}) (rate({chosen}[$window])))",
        )
        for percent in (50, 99)
    )


FRONT: Final = 'app="front"'
PANELS: Final[dict[str, tuple[Panel, ...]]] = {
    "Promises": (
        Panel(
            "Calls that fail for a reason of ours",
            "percentunit",
            (
                ("of the last hour", "orrery:front_errors:ratio_rate1h"),
                ("of three days", "orrery:front_errors:ratio_rate3d"),
            ),
            "The promise is at most 0.1 % (docs/runbooks.md).",
        ),
        Panel(
            "Predict slower than 100 ms",
            "percentunit",
            (
                ("of the last hour", "orrery:predict_slow:ratio_rate1h"),
                ("of three days", "orrery:predict_slow:ratio_rate3d"),
            ),
            "The promise is at most 1 %.",
        ),
        Panel("Pods that answer", "short", (("{{app}}", "count by (app) (up == 1)"),)),
    ),
    "Calls": (
        Panel(
            "Throughput by RPC",
            "reqps",
            (("{{grpc_method}}", f"sum by (grpc_method) (rate(grpc_server_handled_total{{{FRONT}}}[$window]))"),),
        ),
        Panel(
            "Latency by RPC",
            "s",
            _quantiles("grpc_server_handling_seconds", "grpc_method", "{{grpc_method}}", matching=FRONT),
        ),
        Panel("In flight", "short", (("{{app}}", "sum by (app) (grpc_server_in_flight)"),)),
        Panel(
            "Errors by code",
            "reqps",
            (
                (
                    "{{grpc_method}} {{grpc_code}}",
                    (
                        "sum by (grpc_method, grpc_code) "
                        f'(rate(grpc_server_handled_total{{{FRONT}, grpc_code!="OK"}}[$window]))'
                    ),
                ),
            ),
        ),
        Panel(
            "Refusals by reason",
            "reqps",
            (("{{app}} {{reason}}", "sum by (app, reason) (rate(orrery_refused_total[$window]))"),),
            "Published reasons: error_reason.proto.",
        ),
        Panel(
            "Quotas",
            "reqps",
            (
                ("refused", "sum(rate(orrery_quota_refused_total[$window]))"),
                ("unchecked (Redis away)", "sum(rate(orrery_quota_unchecked_total[$window]))"),
            ),
        ),
    ),
    "Prediction": (
        Panel("Objects in a batch", "short", _quantiles("orrery_front_batch_rows", "", "objects")),
        Panel("Wait for a batch", "s", _quantiles("orrery_front_queue_seconds", "", "")),
        Panel(
            "Cache hits",
            "percentunit",
            (
                (
                    "share of look-ups",
                    (
                        'sum(rate(orrery_front_cache_requests_total{outcome="hit"}[$window]))'
                        " / sum(rate(orrery_front_cache_requests_total[$window]))"
                    ),
                ),
            ),
        ),
        Panel(
            "Drift: the network against the exact rule",
            "percentunit",
            (
                (
                    "hazardous objects it finds (recall)",
                    (
                        'sum(rate(orrery_front_judged_total{network="hazardous", rule="hazardous"}[$window]))'
                        ' / sum(rate(orrery_front_judged_total{rule="hazardous"}[$window]))'
                    ),
                ),
                (
                    "its finds that are hazardous (precision)",
                    (
                        'sum(rate(orrery_front_judged_total{network="hazardous", rule="hazardous"}[$window]))'
                        ' / sum(rate(orrery_front_judged_total{network="hazardous"}[$window]))'
                    ),
                ),
            ),
            "The rule is exact: where they part, the network has aged or the sky is another.",
        ),
        Panel(
            "Model versions",
            "none",
            (
                ("forest at {{instance}}", "orrery_anomaly_model_version"),
                ("{{model}} delivered at {{instance}}", "orrery_delivery_version"),
            ),
            "UTC, yyyymmddHHMMSS.",
        ),
        Panel(
            "Models refused",
            "short",
            (
                ("forests", "sum(increase(orrery_anomaly_model_refused_total[1h]))"),
                ("{{model}} at delivery", "sum by (model) (increase(orrery_delivery_refused_total[1h]))"),
            ),
        ),
    ),
    "Simulation and feedback": (
        Panel(
            "Simulation queue",
            "short",
            (
                ("waiting", "sum(orrery_simulation_queue_length)"),
                ("busy workers", "sum(orrery_simulation_busy_workers)"),
                ("workers", "sum(orrery_simulation_workers)"),
            ),
        ),
        Panel("Simulation: wait for a worker", "s", _quantiles("orrery_simulation_queue_seconds", "", "")),
        Panel("Simulation: processor time of a turn", "s", _quantiles("orrery_simulation_slice_seconds", "", "")),
        Panel("Votes", "reqps", (("{{kind}}", "sum by (kind) (rate(orrery_feedback_votes_total[$window]))"),)),
        Panel("Votes: time to disk", "s", _quantiles("orrery_feedback_commit_seconds", "", "")),
        Panel("Size of the feedback store", "bytes", (("{{instance}}", "orrery_feedback_store_bytes"),)),
    ),
    "Resources": (
        Panel(
            "Processors",
            "short",
            (("{{app}} {{instance}}", "rate(process_cpu_seconds_total[$window])"),),
            "Cores used.",
        ),
        Panel("Resident memory", "bytes", (("{{app}} {{instance}}", "process_resident_memory_bytes"),)),
        Panel("Open files", "short", (("{{app}} {{instance}}", "process_open_fds"),)),
    ),
}


def dashboard() -> dict[str, Any]:
    """The whole of it, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, graphs in PANELS.items():
        panels.append({"type": "row", "title": row, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}, "collapsed": False})
        top += 1
        for place, panel in enumerate(graphs):
            where = {"x": place % _COLUMNS * _WIDTH, "y": top + place // _COLUMNS * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append(_graph(panel, where))
        top += -(-len(graphs) // _COLUMNS) * _HEIGHT
    for number, drawn in enumerate(panels, start=1):
        drawn["id"] = number
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": "orrery",
        "title": "Orrery Inference",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }


def _graph(panel: Panel, where: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "gridPos": where,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0 if panel.unit != "none" else None}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": source,
                "legendFormat": legend,
                "expr": query.replace("$window", "$__rate_interval"),
            }
            for number, (legend, query) in enumerate(panel.queries)
        ],
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

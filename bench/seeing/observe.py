# SPDX-License-Identifier: GPL-3.0-or-later
"""A Prometheus on this machine, over the stack that `make serve` started: `python -m bench.seeing.observe`.

It scrapes the pods where their settings say they show their metrics, with the cluster's own recording and alert rules
(k8s/components/monitoring/rules.yaml), keeps its data in var/prometheus, listens on loopback, and ends with this
process.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from bench.seeing.dashboard import PANELS
from gateway.anomaly.settings import AnomalySettings
from gateway.edge.settings import EdgeSettings
from gateway.feedback.settings import FeedbackSettings
from gateway.front.settings import FrontSettings
from gateway.model_server.settings import ModelServerSettings
from gateway.serving.settings import PROJECT_ROOT
from gateway.simulation.settings import SimulationSettings

RULES: Final = PROJECT_ROOT / "k8s" / "components" / "monitoring" / "rules.yaml"
_WINDOW: Final = "1m"
_START_S: Final = 30.0


def targets() -> list[tuple[str, str, str]]:
    """(app, address, path) of what is scraped, as the pods' settings say."""
    return [
        ("front", FrontSettings().metrics_address, "/metrics"),
        ("anomaly", AnomalySettings().metrics_address, "/metrics"),
        ("simulation", SimulationSettings().metrics_address, "/metrics"),
        ("feedback", FeedbackSettings().metrics_address, "/metrics"),
        ("edge", EdgeSettings().metrics_address, "/metrics"),
        ("tf-serving", ModelServerSettings().status_address, "/monitoring/prometheus/metrics"),
    ]


def configure(folder: Path, scraped: Iterable[tuple[str, str, str]], interval: str = "2s") -> Path:
    """Write Prometheus' configuration and rules.

    Args:
        folder: to write into.
        scraped: (app, address, path).
        interval: between two scrapes.

    Returns:
        The configuration's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"]
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    jobs = [
        {"job_name": app, "metrics_path": path, "static_configs": [{"targets": [address], "labels": {"app": app}}]}
        for app, address, path in scraped
    ]
    content = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yaml"],
        "scrape_configs": jobs,
    }
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    return config


class Prometheus:
    """A running one, asked by HTTP."""

    def __init__(self, folder: Path, address: str) -> None:
        """Start it on a folder that `configure` filled.

        Raises:
            FileNotFoundError: it is not installed.
            RuntimeError: it did not start.
        """
        program = shutil.which("prometheus")
        if program is None:
            raise FileNotFoundError("no Prometheus: install it (Debian: apt-get install prometheus)")
        self._url = f"http://{address}"
        log = (folder / "prometheus.log").open("ab")
        with log:
            self._process = subprocess.Popen(  # noqa: S603  # the program found on the path
                [
                    program,
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    "--storage.tsdb.retention.time=7d",
                    f"--web.listen-address={address}",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"Prometheus did not start: {folder / 'prometheus.log'}")
            time.sleep(0.2)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each series now."""
        found = self._get("/api/v1/query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def alerts(self) -> list[tuple[str, str]]:
        """(name, state) of alerts that are pending or firing."""
        return [(alert["labels"]["alertname"], alert["state"]) for alert in self._get("/api/v1/alerts")["alerts"]]

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)

    def _answers(self) -> bool:
        try:
            self._get("/api/v1/status/buildinfo")
        except OSError:
            return False
        return True

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310  # loopback
            return json.load(reply)["data"]


def table(query: Callable[[str], list[tuple[dict[str, str], float]]], window: str = _WINDOW) -> list[str]:
    """What the dashboard's panels show now, a line a series; panels without any say so.

    Args:
        query: asks Prometheus.
        window: of the averages.
    """
    lines: list[str] = []
    for row, panels in PANELS.items():
        lines.append(row)
        for panel in panels:
            shown: list[str] = []
            for legend, expression in panel.queries:
                for labels, value in sorted(query(expression.replace("$window", window)), key=lambda s: str(s[0])):
                    name = legend
                    for key, label in labels.items():
                        name = name.replace(f"{{{{{key}}}}}", label)
                    # Not a number: nothing was asked in the window.
                    said = "-" if math.isnan(value) else _readable(value, panel.unit)
                    shown.append(f"    {name or panel.title:<52} {said:>16}")
            lines += [f"  {panel.title}", *(shown or ["    nothing yet"])]
    return lines


def _readable(value: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{value * 1e3:,.2f} ms"
        case "percentunit":
            return f"{value * 100:,.2f} %"
        case "bytes":
            return f"{value / 2**20:,.1f} MiB"
        case "reqps":
            return f"{value:,.2f} /s"
        case "none":
            return f"{value:.0f}"
        case _:
            return f"{value:,.2f}".rstrip("0").rstrip(".")


def main() -> None:
    """Print the numbers every few seconds until Ctrl-C; with "--once SECONDS", once after so long."""
    once_after_s = float(sys.argv[2]) if sys.argv[1:2] == ["--once"] else None
    folder = PROJECT_ROOT / "var" / "prometheus"
    address = os.environ.get("ORRERY_OBSERVE_ADDRESS", "127.0.0.1:9090")
    configure(folder, targets())
    try:
        prometheus = Prometheus(folder, address)
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(str(error))
    print(f"Prometheus at http://{address}; for Grafana: add it as a data source, import {RULES.parent}/dashboard.json")
    try:
        while True:
            time.sleep(once_after_s or 10.0)
            alerts = [f"  {name} is {state}" for name, state in prometheus.alerts()] or ["  none"]
            print("\n".join([time.strftime("%H:%M:%S"), *table(prometheus.query), "Alerts", *alerts]), flush=True)
            if once_after_s is not None:
                return
    except KeyboardInterrupt:
        return
    finally:
        prometheus.stop()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test may ask for."""

import os
from pathlib import Path

import pytest
import structlog

from tests import postgres

PROJECT_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _own_logging():
    """A command that a test calls configures logging for its process: here the next test would inherit it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real catalogues and acceptance cases, or a skip that says how to have one."""
    path = (PROJECT_ROOT / os.environ.get("ORRERY_SHARED", "../shared")).resolve()
    if not (path / "data").is_dir():
        pytest.skip(f"no real NEO data at {path}: set ORRERY_SHARED to a folder with data/ and cases/")
    return path


def pytest_terminal_summary(terminalreporter):
    """Figures that tests recorded (`record_property("figures", ...)`), after everything else."""
    reports = terminalreporter.getreports("passed")
    figures = [text for report in reports for name, text in report.user_properties if name == "figures"]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL server that tests share, each in a database of its own."""
    if postgres.binary("initdb") is None:
        pytest.skip("no PostgreSQL: install it (Debian: apt-get install postgresql)")
    with postgres.running_cluster() as running:
        yield running

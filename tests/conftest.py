# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test may ask for."""

import logging
import signal

import pytest
import structlog
from hypothesis import settings

from tests import postgres
from tests.real_data import SAMPLE, RealData, full_folder

pytest_plugins = ("tests.left_out", "tests.one_process", "tests.trained")

# Property tests take the same examples in every run; `make test-random` (--hypothesis-profile=random) takes new ones,
# twenty times as many, and prints what reproduces a failure. A test that is slow takes a share: `tests.example_counts`.
settings.register_profile("repeatable", deadline=None, max_examples=100, derandomize=True, database=None)
settings.register_profile("random", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile("repeatable")

FULL = pytest.mark.long("the full catalogues: ORRERY_SHARED=a folder with data/")


@pytest.fixture(autouse=True)
def _own_process():
    """Undoes what commands that a test calls set for the whole process: logging, and handlers of signals."""
    kinds = (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(kind) for kind in kinds]
    root = logging.getLogger()
    logging_before = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = logging_before
    for kind, handler in zip(kinds, before, strict=True):
        signal.signal(kind, handler)


@pytest.fixture(scope="session", params=["sample", pytest.param("full", marks=FULL)])
def real_data(request) -> RealData:
    """Real catalogues: the sample of the clone, then the full ones."""
    is_full = request.param == "full"
    return RealData(full_folder() if is_full else SAMPLE, is_full)


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
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    with postgres.running_cluster() as running:
        yield running

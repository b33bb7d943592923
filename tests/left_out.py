# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run's output: how many tests did not run, why, and what makes them run; one line a reason."""

import collections

import pytest

LONG = "long"
_COUNTS = pytest.StashKey[collections.Counter]()


def pytest_configure(config):
    config.stash[_COUNTS] = collections.Counter()


def pytest_deselected(items):
    """Counts what `-m "not long"` leaves out, by what it needs beside time."""
    for item in items:
        if item.config.option.markexpr == f"not {LONG}" and (mark := item.get_closest_marker(LONG)):
            item.config.stash[_COUNTS][mark.args] += 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Sends a worker's counts to the process that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[LONG] = list(session.config.stash[_COUNTS].items())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Every worker has collected, and left out, the same tests."""
    counts = getattr(node, "workeroutput", {}).get(LONG, [])
    node.config.stash[_COUNTS] = collections.Counter({tuple(needs): count for needs, count in counts})


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    lines = []
    skipped = collections.Counter(report.longrepr[2] for report in terminalreporter.getreports("skipped"))
    for reason, count in skipped.most_common():
        lines.append(f"{count:5} skipped: {reason.removeprefix('Skipped: ')}")
    for needs, count in config.stash[_COUNTS].most_common():
        lines.append(f"{count:5} " + (f"need {needs[0]}, then make test-all" if needs else "take long: make test-all"))
    if lines:
        terminalreporter.section("did not run")
        for line in lines:
            terminalreporter.write_line(line)

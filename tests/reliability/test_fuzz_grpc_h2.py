# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutated exchanges against our gRPC server and client, each in a process of its own: see `tests.fuzzing`."""

import os
import subprocess
import sys
import time

import pytest

from tests.pods import PROJECT_ROOT
from tests.transports import OWN

pytestmark = OWN

# For both sides together.
FUZZ_S = float(os.environ.get("ORRERY_TEST_FUZZ_S", "600"))
SHORT_S = 6.0
SIDES = ("server", "client")


def fuzz(side, seconds, first_seed):
    """Fuzz one side, and expect that nothing is found."""
    command = [sys.executable, "-m", "tests.fuzzing", side, str(seconds), str(first_seed)]
    # A failure takes minutes to be made small.
    ended = subprocess.run(
        command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=seconds + 600
    )
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
    assert "rounds without a failure" in ended.stdout


@pytest.mark.timeout(700)
@pytest.mark.parametrize("side", SIDES)
def test_the_same_examples_every_time(side):
    fuzz(side, SHORT_S / 2, 0)


@pytest.mark.long
@pytest.mark.timeout(FUZZ_S / 2 + 700)
@pytest.mark.parametrize("side", SIDES)
def test_new_examples(side):
    fuzz(side, FUZZ_S / 2, int(time.time()))

# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile connections beside a bystander who asks real questions: none of the bystander's calls may fail.

`ORRERY_TEST_ATTACK_S` is how long each attack lasts (default 2 s); `make attacks` prints the figures.
"""

import os
from pathlib import Path

import pytest

from tests.attacks import ATTACKS
from tests.bystander import KEPT_MB, measure, running_pods
from tests.transports import OWN

# The attacks that `make test` tries, on a front.
SHORT = ("call_resets", "bombs", "unread_streams", "half_messages")
ATTACK_S = float(os.environ.get("ORRERY_TEST_ATTACK_S", "2"))
MOST_GROWTH_MB = 100


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """A front and an anomaly pod behind it, as processes."""
    with running_pods(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@OWN
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read memory from: Linux alone has it")
@pytest.mark.parametrize("pod", ["front", pytest.param("anomaly", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in ATTACKS]
)
def test_a_bystander_is_served(pods, name, pod):
    # Peers that say nothing are cut off after 3 s.
    outcome = measure(name, pods, pod, max(ATTACK_S, 4.0) if name == "silent" else ATTACK_S)
    assert set(outcome.ended) == {"OK"}, outcome
    assert max(outcome.grown_mb.values()) < MOST_GROWTH_MB, outcome
    assert outcome.kept_mb < KEPT_MB, outcome
    if ATTACKS[name].breaks_rules:
        assert outcome.cut_off, outcome

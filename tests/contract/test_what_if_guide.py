# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of docs/what-if.md and docs/impact.md run as they stand, and say what the guides say they do."""

import asyncio
import re
import sys
from functools import partial

import pytest

from gateway.serving import server
from gateway.simulation import app
from gateway.simulation.settings import SimulationSettings
from tests.pods import ANYWHERE, PROJECT_ROOT

GUIDES = [(PROJECT_ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("what-if.md", "impact.md")]
EXAMPLES = [
    pair for guide in GUIDES for pair in re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", guide, re.DOTALL)
]
FRONT = "127.0.0.1:50051"


def test_there_are_three_examples():
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(("code", "output"), EXAMPLES, ids=["apophis", "2024-bx1", "2024-yr4"])
async def test_an_example_does_what_the_guide_says(code, output):
    """Without the asteroid kernel, as a fresh installation is."""
    settings = SimulationSettings(address=ANYWHERE, metrics_address=ANYWHERE, workers=1, asteroid_kernel=None)
    async with server.running(settings, partial(app.mount, settings)) as pod:
        assert FRONT in code
        code = code.replace(FRONT, pod.address)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, cwd=PROJECT_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    assert said.decode() == output

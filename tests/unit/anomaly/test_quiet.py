# SPDX-License-Identifier: GPL-3.0-or-later
"""onnxruntime keeps an identifier of the machine in the user's folder, and reports, unless it is stopped."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["gateway.anomaly.scorer", "export.forest.fused_forest"])
def test_onnxruntime_leaves_no_identifier_behind(module, tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    command = [sys.executable, "-c", f"import {module}, sys; assert 'onnxruntime' in sys.modules"]
    subprocess.run(command, check=True, env=environment | {"HOME": str(tmp_path), "MPLCONFIGDIR": "/nonexistent"})
    assert [path.name for path in tmp_path.rglob("*deviceid*")] == []

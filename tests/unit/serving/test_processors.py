# SPDX-License-Identifier: GPL-3.0-or-later
"""Processors are those that the cgroup grants."""

import pytest

from gateway.serving.processors import cpu_quota


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000", None), ("50000 100000", 1), ("100001 100000", 2), ("99999999 100000", None)]
)
def test_the_cpu_quota_is_the_cgroups_rounded_up(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)))
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert cpu_quota(tmp_path / "cpu.max") == (expected or 8)
    assert cpu_quota(tmp_path / "no") == 8

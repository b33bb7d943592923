# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of callers, the table of roles, and files that change."""

import hashlib
import os

import pytest
from structlog.testing import capture_logs

from gateway.serving.identity import read_known_callers
from gateway.serving.reloading import Reloading
from gateway.serving.roles import METHOD_ROLES, OPEN_TO_ALL, Role
from orrery.inference.v1 import (
    anomaly_service_pb2,
    feedback_service_pb2,
    prediction_service_pb2,
    simulation_service_pb2,
)

SECRET = "planted-6f1d"  # noqa: S105  # of these tests alone
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


def test_every_method_of_the_contract_has_a_role_and_no_other_has():
    files = (prediction_service_pb2, anomaly_service_pb2, simulation_service_pb2, feedback_service_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    methods = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert {name for name in METHOD_ROLES if name.startswith("/orrery.")} == methods
    assert not OPEN_TO_ALL & METHOD_ROLES.keys()


def test_callers_are_known_by_token_and_by_certificate():
    lines = (
        "# the list",
        "",
        f"nightly reader sha256:{DIGEST}",
        "planner reader,simulator certificate:planner.test # pods",
    )
    known = read_known_callers("\n".join(lines).encode())
    assert known.by_token(SECRET).subject == "nightly"
    assert known.by_token(SECRET).roles == {Role.READER}
    assert known.by_token(SECRET + "x") is None
    assert known.by_token("") is None
    assert known.certificates["planner.test"].roles == {Role.READER, Role.SIMULATOR}


def test_semicolons_stand_for_lines():
    assert len(read_known_callers(f"a reader sha256:{DIGEST}; b reader sha256:{DIGEST[::-1]}".encode()).tokens) == 2


@pytest.mark.parametrize(
    "line",
    [
        f"nightly sha256:{DIGEST}",
        f"nightly king sha256:{DIGEST}",
        f"nightly reader {SECRET}",
        f"nightly reader sha256:{SECRET}",
        "nightly reader certificate:",
    ],
)
def test_a_wrong_line_is_named_and_never_quoted(line):
    with pytest.raises(ValueError, match="line 2") as refusal:
        read_known_callers(f"# first\n{line}".encode())
    assert SECRET not in str(refusal.value)
    assert DIGEST not in str(refusal.value)


def number(content):
    return int(content)


def test_a_file_that_changes_is_read_anew_and_nonsense_changes_nothing(tmp_path):
    path = tmp_path / "number"
    path.write_text("1")
    file = Reloading((path,), number, look_period_s=0)
    assert file.current() == 1
    path.write_text("22")
    assert file.current() == 22
    path.write_text("nonsense")
    with capture_logs() as logs:
        assert [file.current() for _ in range(3)] == [22] * 3
        path.unlink()
        assert [file.current() for _ in range(3)] == [22] * 3
    assert [line["log_level"] for line in logs].count("error") == len(logs) >= 2
    path.write_text("333")
    assert file.current() == 333


def test_a_swapped_link_is_a_change(tmp_path):
    """As Kubernetes renews the files of a Secret."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(name)
        os.utime(tmp_path / name / "number", ns=(0, 0))
    (tmp_path / "now").symlink_to("1")
    file = Reloading((tmp_path / "now" / "number",), number, look_period_s=0)
    assert file.current() == 1
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "now")
    assert file.current() == 2


def test_a_file_must_be_there_at_the_start(tmp_path):
    with pytest.raises(FileNotFoundError):
        Reloading((tmp_path / "nothing",), number)

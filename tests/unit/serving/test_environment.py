# SPDX-License-Identifier: GPL-3.0-or-later
"""An error about a setting has the variable's name, and its value only if it is no secret."""

import pytest

from gateway.delivery.settings import DeliverySettings
from gateway.edge.settings import EdgeSettings
from gateway.front.settings import FrontSettings
from gateway.serving.environment import InvalidSettings
from gateway.serving.settings import BackendSettings


@pytest.mark.parametrize(
    ("field", "value", "cause"),
    [
        ("GRACE_S", "soon", "is 'soon'; it must be a number, at least 0"),
        ("GRACE_S", "-1", "is '-1'; it must be a number, at least 0"),
        ("MAX_CONNECTION_AGE_S", "0", "is '0'; it must be a number, more than 0"),
        ("CANARY_SHARE", "5", "is '5'; it must be a number, at least 0, at most 1"),
        ("CALLS_UNDER_WAY", "1.5", "is '1.5'; it must be a whole number, at least 1"),
        ("PLAINTEXT_ALLOWED", "perhaps", "is 'perhaps'; it must be true or false"),
        ("JWT_ALGORITHM", "HS256", "is 'HS256'; it must be RS256 or ES256"),
        ("LOG_LEVEL", "LOUD", "is 'LOUD'; it must be DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("HEALTH_ADDRESS", "9000", ": '9000' is not host:port"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(field, value, cause):
    with pytest.raises(InvalidSettings) as error:
        FrontSettings.read({f"ORRERY_FRONT_{field}": value})
    assert error.value.causes in ((f"ORRERY_FRONT_{field} {cause}",), (f"ORRERY_FRONT_{field}{cause}",))


def test_all_wrong_values_are_named_at_once(monkeypatch):
    monkeypatch.setenv("ORRERY_EDGE_WORKERS", "0")
    monkeypatch.setenv("orrery_edge_log_level", "loud")
    with pytest.raises(InvalidSettings) as error:
        EdgeSettings()
    assert [cause.split()[0] for cause in error.value.causes] == ["ORRERY_EDGE_LOG_LEVEL", "ORRERY_EDGE_WORKERS"]


def test_what_is_required_is_named():
    with pytest.raises(InvalidSettings, match=r"^ORRERY_DELIVERY_SOURCE is not set"):
        DeliverySettings.read({"ORRERY_DELIVERY_MODELS": "neo_anomaly"})


def test_a_secret_is_not_shown():
    with pytest.raises(InvalidSettings, match=r"^ORRERY_FRONT_CALLERS is wrong") as error:
        FrontSettings(callers=123456)
    assert "123456" not in str(error.value)


def test_settings_of_an_environment_are_those_of_a_process_with_it(monkeypatch):
    given = {"ORRERY_FRONT_GRACE_S": "3", "orrery_front_cache_rows": "7", "ORRERY_ANOMALY_GRACE_S": "4"}
    read = FrontSettings.read(given)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert read == FrontSettings()
    assert (read.grace_s, read.cache_rows) == (3.0, 7)


def test_a_pod_listens_on_its_own_addresses_only():
    settings = FrontSettings(health_address="127.0.0.1:0", admin_address="[::1]:9", metrics_address="127.0.0.1:7")
    assert dict(settings.listen_addresses()) == {
        "ORRERY_FRONT_ADDRESS": "127.0.0.1:50051",
        "ORRERY_FRONT_METRICS_ADDRESS": "127.0.0.1:7",
        "ORRERY_FRONT_ADMIN_ADDRESS": "[::1]:9",
    }


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "here").touch()
    settings = BackendSettings(ca_file=tmp_path / "here", certificate_file=tmp_path / "gone", key_file=tmp_path)
    with pytest.raises(InvalidSettings) as error:
        settings.require_files()
    assert error.value.causes == (
        f"ORRERY_BACKEND_CERTIFICATE_FILE names {tmp_path / 'gone'}: No such file or directory",
        f"ORRERY_BACKEND_KEY_FILE names {tmp_path}: Is a directory",
    )


def test_what_comes_of_a_value_is_named_by_those_that_are_set(tmp_path):
    settings = BackendSettings(ca_file=tmp_path)
    with (
        pytest.raises(InvalidSettings, match=r"^ORRERY_BACKEND_CA_FILE: no certificate$"),
        settings.naming("ca_file", "key_file"),
    ):
        raise ValueError("no certificate")

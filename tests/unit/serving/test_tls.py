# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is opened to a network unprotected by accident."""

import pytest

from gateway.anomaly.settings import AnomalySettings
from gateway.front.settings import FrontSettings
from gateway.serving.settings import BackendSettings
from gateway.serving.tls import UnsafeSettings, client_tls, require_safe, server_tls
from orrery.inference.channel import is_loopback
from tests.certificates import Authority


@pytest.mark.parametrize(
    ("target", "here"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.1:1", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/pod.sock", True),
        ("dns:///localhost:50052", True),
        ("dns://10.0.0.2/localhost:50052", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv4:127.0.0.1:1,192.0.2.1:2", False),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("192.0.2.1:50051", False),
        ("dns:///anomaly:50052", False),
        ("anomaly.orrery.svc:50052", False),
        ("127.0.0.1.example.org:1", False),
        ("localhost.example.org:1", False),
    ],
)
def test_what_stays_on_this_machine(target, here):
    assert is_loopback(target) is here


def test_the_defaults_are_safe():
    require_safe(FrontSettings())
    require_safe(AnomalySettings())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "ORRERY_FRONT_TLS_CERTIFICATE_FILE"),
        ({"plaintext_allowed": True}, "ORRERY_FRONT_ANONYMOUS_ALLOWED"),
        ({"anonymous_allowed": True}, "ORRERY_FRONT_PLAINTEXT_ALLOWED"),
        ({"tls_certificate_file": "a", "tls_key_file": "b"}, "ORRERY_FRONT_CALLERS_FILE"),
        ({"tls_certificate_file": "a"}, "ORRERY_FRONT_TLS_KEY_FILE"),
        ({"client_ca_file": "a"}, "ORRERY_FRONT_TLS_CERTIFICATE_FILE"),
        ({"callers_file": "a", "anonymous_allowed": True, "plaintext_allowed": True}, "contradicts"),
    ],
)
def test_a_network_address_without_protection_is_refused(settings, named):
    with pytest.raises(UnsafeSettings, match=named):
        require_safe(FrontSettings(address="0.0.0.0:50051", **settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"plaintext_allowed": True, "anonymous_allowed": True},
        {"plaintext_allowed": True, "callers_file": "a"},
        {"tls_certificate_file": "a", "tls_key_file": "b", "client_ca_file": "c"},
        {"tls_certificate_file": "a", "tls_key_file": "b", "jwt_key_file": "c"},
    ],
)
def test_a_network_address_opens_as_settings_say(settings):
    require_safe(FrontSettings(address="0.0.0.0:50051", **settings))


def test_the_admin_port_stays_on_loopback():
    with pytest.raises(UnsafeSettings, match="ORRERY_FRONT_ADMIN_ADDRESS"):
        require_safe(FrontSettings(admin_address="0.0.0.0:1"))


def test_a_key_of_another_certificate_is_refused(tmp_path):
    authority = Authority()
    certificate, _, _ = authority.write(tmp_path, "one")
    _, key, _ = authority.write(tmp_path, "other")
    with pytest.raises(OSError, match="KEY_VALUES_MISMATCH"):
        server_tls(FrontSettings(tls_certificate_file=certificate, tls_key_file=key))


def test_channels_across_a_network_need_tls_or_leave(tmp_path):
    _, _, ca = Authority().write(tmp_path, "one")
    with pytest.raises(UnsafeSettings, match="ORRERY_BACKEND_CA_FILE"):
        client_tls("dns:///anomaly:50052", BackendSettings())
    assert client_tls("dns:///anomaly:50052", BackendSettings(plaintext_allowed=True)) is None
    assert client_tls("127.0.0.1:50052", BackendSettings()) is None
    assert client_tls("127.0.0.1:50052", BackendSettings(ca_file=ca)) is not None

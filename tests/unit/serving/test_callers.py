# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from gateway.serving.callers import CALLER, CALLER_KEY, caller_behind, caller_here


class Call:
    """As much of a call as says who is asking."""

    def __init__(self, *metadata, peer="ipv4:192.0.2.1:4711"):
        self._metadata = metadata
        self._peer = peer

    def invocation_metadata(self):
        return self._metadata

    def peer(self):
        return self._peer


@pytest.fixture
def guarded():
    token = CALLER.set("subject:Jos\u00e9 & co")
    yield
    CALLER.reset(token)


def test_a_front_believes_nobody():
    """What a caller says of itself goes no further: the front names it by what it knows."""
    assert caller_here(Call((CALLER_KEY, "subject:somebody else"))) == "network:192.0.2.1"


def test_who_signed_in_is_named_in_plain_ascii(guarded):
    assert caller_here(Call()) == "subject:Jos%C3%A9%20%26%20co"


def test_a_pod_believes_the_front():
    assert caller_behind(Call((CALLER_KEY, "subject:nightly"), ("x-request-id", "1"))) == "subject:nightly"
    assert len(caller_behind(Call((CALLER_KEY, "x" * 10_000)))) == 256


@pytest.mark.parametrize("metadata", [(), ((CALLER_KEY, ""),), ((CALLER_KEY, b"bytes"),)])
def test_asked_directly_it_goes_by_the_network(metadata):
    assert caller_behind(Call(*metadata, peer="ipv6:%5B2001:db8::1%5D:4711")) == "network:2001:db8::/64"

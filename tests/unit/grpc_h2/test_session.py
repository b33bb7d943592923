# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sessions that exchange bytes in memory: credit, limits, and the ends of streams."""

import pytest
from ngh2.enums import ErrorCode

from gateway.grpc_h2.session import Limits, ProtocolError, Session
from tests import raw_http2 as wire

KIB = 1024
REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/B"), (b":authority", b"here")]
RESPONSE = [(b":status", b"200")]
TRAILERS = [(b"grpc-status", b"0")]


class Recorder(Session):
    """Keeps what its session reports."""

    def __init__(self, *, is_client, max_streams=100, stream_window=64 * KIB, connection_window=256 * KIB):
        limits = Limits(
            max_streams=max_streams,
            stream_window=stream_window,
            connection_window=connection_window,
            max_frame_bytes=16 * KIB,
            max_header_bytes=16 * KIB,
        )
        super().__init__(limits, is_client=is_client)
        self.headers, self.bodies, self.queued, self.closed = {}, {}, {}, {}
        self.ended, self.pings_acknowledged, self.goaways = [], 0, 0

    def receive(self, data):
        super().receive(data)
        self.report_all()

    def data_to_send(self):
        data = super().data_to_send()
        self.report_all()
        return data

    def report_all(self):
        while self.report_events(3):
            pass

    def headers_received(self, stream_id, headers):
        self.headers.setdefault(stream_id, []).append(headers)

    def body_received(self, stream_id, data):
        self.bodies[stream_id] = self.bodies.get(stream_id, b"") + data

    def peer_ended(self, stream_id):
        self.ended.append(stream_id)

    def body_sent(self, stream_id, queued):
        self.queued[stream_id] = queued

    def stream_closed(self, stream_id, code):
        self.closed[stream_id] = code

    def ping_acknowledged(self):
        self.pings_acknowledged += 1

    def goaway_received(self):
        self.goaways += 1


def exchange(*sessions):
    """Hand bytes over until neither has any."""
    one, other = sessions
    while (there := one.data_to_send()) or (back := other.data_to_send()):
        if there:
            other.receive(there)
        else:
            one.receive(back)


def pair(*, client_window=2**31 - 1, **server_settings):
    client = Recorder(is_client=True, connection_window=client_window)
    server = Recorder(is_client=False, **server_settings)
    exchange(client, server)
    return client, server


def opened(client, server, body=b""):
    """A stream whose request has arrived, and not ended."""
    stream_id = client.request(REQUEST)
    if body:
        client.send(stream_id, body, b"")
    exchange(client, server)
    return stream_id


def test_a_whole_exchange():
    client, server = pair()
    stream_id = opened(client, server, b"question")
    client.finish(stream_id, [])
    exchange(client, server)
    server.respond(stream_id, RESPONSE)
    assert server.send(stream_id, b"head", b"x" * 20_000) == 20_004
    server.finish(stream_id, TRAILERS)
    exchange(client, server)
    assert server.bodies == {stream_id: b"question"}
    assert client.headers == {stream_id: [RESPONSE, TRAILERS]}
    assert client.bodies == {stream_id: b"head" + b"x" * 20_000}
    assert server.queued == {stream_id: 0}
    assert client.closed == server.closed == {stream_id: 0}
    assert not client.is_over
    assert not server.is_over


def test_answers_that_nobody_reads_do_not_hold_up_others():
    """Thirty unread streams hold more than a server's connection window; the next answer still arrives."""
    client, server = pair()
    for _ in range(30):
        stream_id = opened(client, server)
        server.respond(stream_id, RESPONSE)
        server.send(stream_id, b"", b"x" * 100 * KIB)
        exchange(client, server)
        assert len(client.bodies[stream_id]) == 64 * KIB
    last = opened(client, server)
    server.respond(last, RESPONSE)
    server.send(last, b"", b"fine")
    exchange(client, server)
    assert client.bodies[last] == b"fine"


def test_credit_lets_the_peer_go_on():
    client, server = pair()
    stream_id = opened(client, server, b"x" * 100 * KIB)
    assert len(server.bodies[stream_id]) == 64 * KIB
    server.release_credit(stream_id, 64 * KIB)
    exchange(client, server)
    assert len(server.bodies[stream_id]) == 100 * KIB


def test_a_closed_stream_gives_its_credit_back():
    """Streams that end unread would use up the connection's 256 KiB after four."""
    client, server = pair()
    for _ in range(20):
        stream_id = opened(client, server, b"x" * 64 * KIB)
        assert len(server.bodies[stream_id]) == 64 * KIB
        client.reset(stream_id, ErrorCode.CANCEL)
        exchange(client, server)
        assert server.closed[stream_id] == ErrorCode.CANCEL


def test_more_credit_than_was_received_is_not_given():
    client, server = pair()
    stream_id = opened(client, server, b"x" * 100 * KIB)
    server.release_credit(stream_id, 10_000 * KIB)
    server.release_credit(stream_id, 10_000 * KIB)
    server.release_credit(99, 1)
    exchange(client, server)
    assert len(server.bodies[stream_id]) == 100 * KIB


def test_an_early_answer_ends_the_request():
    client, server = pair()
    stream_id = opened(client, server, b"part")
    server.respond(stream_id, RESPONSE)
    server.finish(stream_id, TRAILERS)
    exchange(client, server)
    assert client.headers == {stream_id: [RESPONSE, TRAILERS]}
    assert client.ended == [stream_id]
    assert stream_id in server.closed


def test_an_early_answer_arrives_whole_when_its_peer_reads_slowly():
    """The reset that ends the request must not overtake trailers that wait for credit."""
    client, server = pair()
    stream_id = opened(client, server, b"part")
    server.respond(stream_id, RESPONSE)
    server.send(stream_id, b"", b"x" * 64 * KIB)
    exchange(client, server)
    server.finish(stream_id, TRAILERS)
    exchange(client, server)
    assert client.headers == {stream_id: [RESPONSE]}
    client.release_credit(stream_id, 64 * KIB)
    exchange(client, server)
    assert client.headers == {stream_id: [RESPONSE, TRAILERS]}
    assert stream_id in server.closed


@pytest.mark.parametrize("from_client", [True, False])
def test_headers_above_the_limit_reset_their_stream_alone(from_client):
    client, server = pair()
    much = [(b"x-%d" % number, b"x" * 500) for number in range(50)]
    stream_id = client.request(REQUEST + (much if from_client else []))
    exchange(client, server)
    if not from_client:
        server.respond(stream_id, RESPONSE + much)
        exchange(client, server)
        assert client.headers == {}
    assert client.closed == {stream_id: ErrorCode.INTERNAL_ERROR}
    next_id = opened(client, server, b"fine")
    assert server.bodies[next_id] == b"fine"


def test_headers_far_above_the_limit_end_the_connection():
    """A field that is put into HPACK's table once and named 2,000 times decodes to 200 KB."""
    server = Recorder(is_client=False)
    first = wire.block(*REQUEST) + b"\x40\x01x\x64" + b"v" * 100
    flood = wire.frame(wire.HEADERS, wire.END_HEADERS, 1, first + b"\xbe" * 2_000)
    with pytest.raises(ProtocolError):
        server.receive(wire.PREFACE + wire.frame(wire.SETTINGS) + flood)
    assert server.headers == {}
    assert server.data_to_send() == b""
    assert server.is_over


def test_more_headers_than_may_be_sent():
    client, server = pair()
    much = [(b"x-%d" % number, b"x") for number in range(200)]
    with pytest.raises(ValueError, match="too much metadata"):
        client.request(REQUEST + much)
    with pytest.raises(ValueError, match="too much metadata"):
        server.respond(opened(client, server), RESPONSE + much)


def test_a_request_that_waits_for_its_turn_can_be_withdrawn():
    client, server = pair(max_streams=1)
    first, second = client.request(REQUEST), client.request(REQUEST)
    exchange(client, server)
    assert set(server.headers) == {first}
    client.reset(second, ErrorCode.CANCEL)
    assert client.closed == {second: ErrorCode.CANCEL}
    server.respond(first, RESPONSE, only=True)
    exchange(client, server)
    assert set(server.headers) == {first}


def test_requests_that_wait_are_refused_when_the_server_goes():
    client, server = pair(max_streams=1)
    first, second = client.request(REQUEST), client.request(REQUEST)
    exchange(client, server)
    server.send_goaway()
    exchange(client, server)
    assert client.goaways == 1
    assert client.closed == {second: ErrorCode.REFUSED_STREAM}
    server.respond(first, RESPONSE, only=True)
    exchange(client, server)
    assert client.headers == {first: [RESPONSE]}
    assert client.request(REQUEST) == 0


def test_an_answer_in_the_same_read_as_a_goaway_is_kept():
    client, server = pair()
    stream_id = opened(client, server)
    server.send_goaway()
    server.respond(stream_id, RESPONSE, only=True)
    exchange(client, server)
    assert client.headers == {stream_id: [RESPONSE]}
    assert client.closed[stream_id] != ErrorCode.REFUSED_STREAM


def test_a_shutdown_notice_is_acknowledged_after_it_was_read():
    client, server = pair()
    opened(client, server)
    server.send_shutdown_notice()
    notice = server.data_to_send()
    assert list(frame_kinds(notice)) == [wire.GOAWAY, wire.PING]
    client.receive(notice)
    exchange(client, server)
    assert (client.goaways, server.pings_acknowledged) == (1, 1)


def frame_kinds(data):
    """Types of the frames in some bytes."""
    while data:
        yield data[3]
        data = data[9 + int.from_bytes(data[:3]) :]


def test_a_terminated_connection_says_why_and_is_over():
    client, server = pair()
    stream_id = opened(client, server)
    server.terminate(ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")
    assert b"too_many_pings" in server.data_to_send()
    assert server.is_over
    # Nothing of this raises.
    server.respond(stream_id, RESPONSE)
    server.finish(stream_id, TRAILERS)
    server.reset(stream_id, ErrorCode.CANCEL)
    server.release_credit(stream_id, 1)
    server.ping()
    server.send_goaway()
    # Whoever writes waits until the connection is closed.
    assert server.send(stream_id, b"a", b"b") > 0
    assert client.request(REQUEST) > 0


def test_what_is_no_http2_ends_the_connection():
    server = Recorder(is_client=False)
    with pytest.raises(ProtocolError):
        server.receive(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert server.is_over


def test_the_end_of_an_answered_stream_does_not_wait_behind_other_requests():
    client, server = pair()
    stream_id = opened(client, server)
    client.finish(stream_id, [])
    exchange(client, server)
    server.report_all = lambda: None
    client.finish(client.request(REQUEST), [])
    server.receive(client.data_to_send())
    assert server.pending_events
    server.respond(stream_id, RESPONSE, only=True)
    server.data_to_send()
    assert server.closed == {stream_id: ErrorCode.NO_ERROR}
    assert server.pending_events

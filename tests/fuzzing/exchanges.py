# SPDX-License-Identifier: GPL-3.0-or-later
"""Real exchanges of gRPC as lists of frames: what a client sends, and what a server answers."""

import gzip

from gateway.grpc_h2.session import Limits, Session
from tests.raw_http2 import PREFACE, Frame, message, split

ECHO, CHAT, GATHER, COUNT, WAIT = (f"/fuzz.Fuzz/{name}" for name in ("Echo", "Chat", "Gather", "Count", "Wait"))
PLAIN, ZIPPED = message(b"question"), message(gzip.compress(b"question" * 200), compressed=1)
LARGE = message(bytes(range(256)) * 150)
METADATA = [(b"x-text", b"words"), (b"x-bytes-bin", b"AP8"), (b"grpc-timeout", b"900m")]
RESPONSE = [(b":status", b"200"), (b"content-type", b"application/grpc")]
CANCEL = 8


def _session(*, is_client):
    limits = Limits(
        max_streams=100, stream_window=2**20, connection_window=2**24, max_frame_bytes=2**17, max_header_bytes=2**14
    )
    return Session(limits, is_client=is_client)


def _ask(client, path, *bodies, more=(), end=True):
    first = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"here")]
    stream = client.request([*first, (b"te", b"trailers"), (b"content-type", b"application/grpc"), *more])
    for body in bodies:
        client.send(stream, body, b"")
    if end:
        client.finish(stream, [])
    return stream


def _sent(session):
    data = b""
    while part := session.data_to_send():
        data += part
    return data


def _clients():
    """What a client sends after its preface, call by call."""
    gzipped = [(b"grpc-encoding", b"gzip")]
    yield lambda client: _ask(client, ECHO, PLAIN)
    yield lambda client: _ask(client, ECHO, LARGE, more=METADATA)
    yield lambda client: _ask(client, ECHO, ZIPPED, more=gzipped)
    yield lambda client: _ask(client, CHAT, PLAIN, PLAIN + ZIPPED, ZIPPED, more=gzipped)
    yield lambda client: _ask(client, CHAT, PLAIN, end=False)
    yield lambda client: _ask(client, GATHER, *[PLAIN] * 5)
    yield lambda client: _ask(client, COUNT, PLAIN)
    yield lambda client: client.reset(_ask(client, WAIT, PLAIN), CANCEL)
    yield lambda client: [_ask(client, path, PLAIN) for path in (ECHO, WAIT, COUNT, CHAT, "/no/method")]
    yield lambda client: (_ask(client, ECHO, PLAIN), client.ping(), _ask(client, ECHO, PLAIN))


def _servers():
    """What a server sends in its only call, stream 1."""

    def whole(server, *bodies, trailers=((b"grpc-status", b"0"),), headers=RESPONSE):
        server.respond(1, list(headers))
        for body in bodies:
            server.send(1, body, b"")
        server.finish(1, list(trailers))

    gzipped = [*RESPONSE, (b"grpc-encoding", b"gzip"), *METADATA[:2]]
    failed = [(b"grpc-status", b"5"), (b"grpc-message", b"not%20here"), *METADATA[:2]]
    yield lambda server: whole(server, PLAIN)
    yield lambda server: whole(server, ZIPPED, headers=gzipped)
    yield lambda server: whole(server, PLAIN, PLAIN + LARGE, PLAIN)
    yield lambda server: whole(server, PLAIN, trailers=failed)
    yield lambda server: server.respond(1, [*RESPONSE, *failed], only=True)
    yield lambda server: server.respond(1, [(b":status", b"503"), (b"content-type", b"text/html")], only=True)
    yield lambda server: server.reset(1, CANCEL)
    yield lambda server: (server.ping(), whole(server, PLAIN), server.send_goaway())
    yield lambda server: (server.send_shutdown_notice(), server.respond(1, list(RESPONSE)), server.send(1, PLAIN, b""))


def _client_frames(act):
    client = _session(is_client=True)
    act(client)
    return tuple(split(_sent(client).removeprefix(PREFACE)))


def _server_frames(act):
    client, server = _session(is_client=True), _session(is_client=False)
    _ask(client, ECHO, PLAIN)
    server.receive(_sent(client))
    while server.report_events(100):
        pass
    act(server)
    return tuple(split(_sent(server)))


FROM_CLIENTS: tuple[tuple[Frame, ...], ...] = tuple(map(_client_frames, _clients()))
FROM_SERVERS: tuple[tuple[Frame, ...], ...] = tuple(map(_server_frames, _servers()))

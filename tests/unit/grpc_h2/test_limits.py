# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits raise errors with names, which code written for grpc.aio catches too; compression is what was asked for."""

import asyncio
import contextlib
import gzip
import ssl
import zlib

import grpc
import pytest

from gateway.grpc_h2 import Channel, MessageTooLarge, ReplyTooLarge, TooMuchMetadata
from gateway.grpc_h2.compression import framed
from gateway.grpc_h2.server.identity import auth_context_of
from tests import raw_http2 as wire
from tests.certificates import Authority
from tests.echo_server import CHAT, ECHO, TALK, Handlers, serving, status_of

ODD = "/test.Test/Odd"
LIMIT = 1_000_000


class Odd(Handlers):
    """One more method, which a test gives."""

    def __init__(self, odd, kind="unary_unary"):
        super().__init__()
        self.raised = []
        self._methods[ODD] = getattr(grpc, f"{kind}_rpc_method_handler")(odd)


@contextlib.asynccontextmanager
async def calling(handlers=None, *, most=LIMIT):
    """Our channel to our server."""
    async with (
        serving(handlers, max_message_bytes=LIMIT) as (port, _, _server),
        Channel(f"127.0.0.1:{port}", max_message_bytes=most) as channel,
    ):
        yield channel


async def test_a_request_that_is_too_large():
    async with calling(most=1_000) as channel:
        with pytest.raises(MessageTooLarge) as raised:
            await channel.unary_unary(ECHO)(b"x" * 1_001)
        assert isinstance(raised.value, grpc.aio.AioRpcError)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert raised.value.details() == "a request of 1001 bytes: at most 1000 may be sent"
        call = channel.stream_stream(CHAT)()
        await call.write(b"x")
        with pytest.raises(MessageTooLarge):
            await call.write(b"x" * 1_001)
        with pytest.raises(MessageTooLarge):
            _ = [reply async for reply in call]
        assert channel.tally.under_way == 0


async def test_a_reply_that_is_larger_than_the_channel_takes():
    async with calling(most=1_000) as channel:
        with pytest.raises(MessageTooLarge, match="1200 bytes: at most 1000"):
            _ = [reply async for reply in channel.stream_stream(CHAT)([b"x" * 600])]
        assert len([reply async for reply in channel.unary_stream(TALK)(b"300")]) == 300


async def test_a_reply_that_is_larger_than_the_server_sends():
    raised = []

    async def odd(_request, context):
        try:
            await context.write(b"x" * (LIMIT + 1))
        except ReplyTooLarge as error:
            raised.append(error)
            raise

    async with calling(Odd(odd, "unary_stream")) as channel:
        error = await status_of(channel.unary_stream(ODD)(b"").read())
        assert (error.code(), error.details()) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"a reply of {LIMIT + 1} bytes: at most {LIMIT} may be sent",
        )
    assert isinstance(raised[0], grpc.aio.InternalError)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (tuple((f"x-{number}", "") for number in range(101)), "101 fields, at most 100"),
        ((("x-much", "x" * 40_000),), "more than 12288 bytes, 'x-much' included"),
    ],
)
async def test_too_much_metadata(metadata, sentence):
    raised = []

    async def odd(_request, context):
        for attempt in (context.send_initial_metadata, context.set_trailing_metadata):
            try:
                done = attempt(metadata)
                if done is not None:
                    await done
            except TooMuchMetadata as error:
                raised.append(str(error))
        # The caller gets the status all the same, without the metadata.
        await context.abort(grpc.StatusCode.NOT_FOUND, "not here", metadata)

    async with calling(Odd(odd)) as channel:
        with pytest.raises(TooMuchMetadata, match=sentence) as error:
            await channel.unary_unary(ECHO)(b"", metadata=metadata)
        assert isinstance(error.value, grpc.aio.InternalError)
        assert isinstance(error.value, ValueError)
        error = await status_of(channel.unary_unary(ODD)(b""))
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "not here")
        assert len(raised) == 2
        assert all(sentence in text for text in raised)


async def reply_frames(*headers, odd):
    """The DATA of a call, from our server."""
    async with serving(Odd(odd)) as (port, _, _server), wire.raw(port) as (reader, writer):
        writer.write(wire.request(1, ODD.encode(), *headers, body=wire.message(b"x")))
        came = await wire.frames(reader, until=wire.DATA)
        return came[-1][3], came[-2][3]


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_replies_are_compressed_for_who_takes_that(algorithm):
    async def odd(_request, context):
        context.set_compression(algorithm)
        return b"x" * 1_000

    data, _ = await reply_frames((b"grpc-accept-encoding", b"identity, deflate,gzip"), odd=odd)
    assert data[0] == 1
    assert len(data) < 100
    plain = gzip.decompress(data[5:]) if algorithm is grpc.Compression.Gzip else zlib.decompress(data[5:])
    assert plain == b"x" * 1_000
    for accepted in ((), ((b"grpc-accept-encoding", b"identity"),)):
        data, _ = await reply_frames(*accepted, odd=odd)
        assert data == wire.message(b"x" * 1_000)


async def test_a_message_that_is_not_to_be_compressed():
    async def odd(_request, context):
        context.set_compression(grpc.Compression.Gzip)
        context.disable_next_message_compression()
        return b"x" * 1_000

    data, _ = await reply_frames((b"grpc-accept-encoding", b"gzip"), odd=odd)
    assert data == wire.message(b"x" * 1_000)


async def test_requests_are_compressed():
    bodies = []

    async def script(reader, writer):
        came = await wire.frames(reader, until=wire.DATA)
        bodies.append(came[-1][3])
        writer.write(wire.answer(came[-1][2], b"fine"))

    for size in (1_000, 100_000):
        async with wire.raw_server(script) as port, Channel(f"127.0.0.1:{port}", max_message_bytes=LIMIT) as channel:
            await channel.unary_unary(ECHO)(b"x" * size, compression=grpc.Compression.Gzip, timeout=10)
        assert bodies[-1][0] == 1
        assert gzip.decompress(bodies[-1][5:]) == b"x" * size


async def test_what_compression_would_make_larger_is_sent_as_it_is():
    assert await framed(b"x", b"gzip") == (wire.message(b"x")[:5], b"x")


async def test_compressing_much_does_not_hold_up_the_loop():
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(turn())
    await asyncio.sleep(0)
    await framed(bytes(8_000_000), b"gzip")
    task.cancel()
    assert turns > 3


async def test_who_is_at_the_other_end(tmp_path):
    """The same properties as grpc.aio gives, of the same certificate."""
    authority = Authority()
    certificate, key, ca = authority.write(tmp_path, "pod")
    theirs, their_key, _ = authority.write(tmp_path, "front")
    seen = {}

    def handler(name):
        async def odd(_request, context):
            seen[name] = (context.auth_context(), context.peer_identities(), context.peer_identity_key())
            return b""

        return Odd(odd)

    def context():
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
        tls.load_cert_chain(certificate, key)
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.set_alpn_protocols(["h2"])
        return tls

    tls = context()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([handler("grpc")])
    pairs = [(key.read_bytes(), certificate.read_bytes())]
    credentials = grpc.ssl_server_credentials(pairs, ca.read_bytes(), require_client_auth=True)
    grpc_port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    calls = grpc.ssl_channel_credentials(ca.read_bytes(), their_key.read_bytes(), theirs.read_bytes())
    async with serving(handler("ours"), tls=lambda: tls) as (port, _, _server):
        for target in (port, grpc_port):
            async with grpc.aio.secure_channel(f"localhost:{target}", calls) as channel:
                await channel.unary_unary(ODD)(b"", timeout=20)
    await server.stop(None)
    assert seen["ours"][1:] == seen["grpc"][1:]
    ours, grpcs = seen["ours"][0], seen["grpc"][0]
    assert ours
    assert {name: grpcs.get(name) for name in ours} == ours
    assert auth_context_of(None) == {
        "transport_security_type": [b"insecure"],
        "security_level": [b"TSI_SECURITY_NONE"],
    }

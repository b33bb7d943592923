# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of ours calls a server of ours and gRPC's own."""

import asyncio
import contextlib

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway.grpc_h2 import Channel, TooMuchMetadata
from gateway.grpc_h2.client.target import Address, parse_target
from tests.echo_server import (
    BY_HAND,
    CHAT,
    COUNT,
    ECHO,
    FAIL,
    TALK,
    WAIT,
    Handlers,
    serving,
    serving_by_grpc,
    status_of,
    until,
)

MOST = 16 * 1024 * 1024
REFUSE, DEAF = "/test.Test/Refuse", "/test.Test/Deaf"


@pytest.fixture(params=[serving, serving_by_grpc], ids=["ours", "grpc"])
def serve(request):
    return request.param


@contextlib.asynccontextmanager
async def calling(serve, handlers=None, *, most=MOST, **settings):
    """(our channel, handlers)."""
    async with (
        serve(handlers, **settings) as (port, served, _),
        Channel(f"127.0.0.1:{port}", max_message_bytes=most) as channel,
    ):
        yield channel, served


async def each(items):
    for item in items:
        yield item


async def first_of(call):
    return await anext(aiter(call))


@pytest.mark.parametrize("size", [0, 1, 16_384, 12_000_000])
async def test_a_message_comes_back_whole(serve, size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with calling(serve) as (channel, _):
        assert await channel.unary_unary(ECHO)(body, timeout=20) == body


async def test_messages_are_written_and_read_by_the_stub(serve):
    async with calling(serve) as (channel, _):
        ask = channel.unary_unary(ECHO, request_serializer=str.encode, response_deserializer=bytes.decode)
        assert await ask("Å", timeout=20) == "Å"


async def test_replies_come_in_order(serve):
    async with calling(serve) as (channel, _):
        assert [part async for part in channel.unary_stream(TALK)(b"500", timeout=20)] == [
            b"%d" % n for n in range(500)
        ]
        assert [part async for part in channel.unary_stream(TALK)(b"0", timeout=20)] == []


async def test_question_and_answer_in_turns(serve):
    async with calling(serve) as (channel, _):
        said, answered = asyncio.Event(), []

        async def questions():
            for number in range(50):
                yield b"%d" % number
                await said.wait()
                said.clear()

        async for reply in channel.stream_stream(CHAT)(questions(), timeout=20):
            answered.append(reply)
            said.set()
        assert answered == [b"%d" % number * 2 for number in range(50)]


async def test_more_than_the_windows_hold_both_ways(serve):
    async with calling(serve) as (channel, _):
        bodies = [bytes([number]) * 700_000 for number in range(40)]
        replies = channel.stream_stream(CHAT)(each(bodies), timeout=60)
        number = -1
        async for reply in replies:
            number += 1
            assert reply == bodies[number] * 2
        assert number == 39


async def test_errors_in_words(serve):
    async with calling(serve) as (channel, _):
        error = await status_of(channel.unary_unary(FAIL)("50 % of 1 Å\n".encode(), timeout=20))
        assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "50 % of 1 Å\n")
        assert dict(error.trailing_metadata())["x-why-bin"] == b"\x00\xff"
        assert (await status_of(channel.unary_unary("/test.Test/None")(b"", timeout=20))).code() is (
            grpc.StatusCode.UNIMPLEMENTED
        )
        error = await status_of(first_of(channel.stream_stream(BY_HAND)(each([]), timeout=20)))
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no more")


class Odd(Handlers):
    """What only clients are told."""

    def __init__(self):
        super().__init__()
        self._methods[REFUSE] = grpc.unary_unary_rpc_method_handler(self.refuse)
        self._methods[DEAF] = grpc.stream_stream_rpc_method_handler(self.deaf)

    async def refuse(self, _request, context):
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason="BECAUSE"))
        status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="not here", details=[detail])
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(grpc.StatusCode.NOT_FOUND, "not here", details)

    async def deaf(self, requests, context):
        await context.send_initial_metadata(())
        await self.go.wait()
        count = 0
        async for request in requests:
            count += len(request)
        yield b"%d" % count


async def test_statuses_with_details(serve):
    async with calling(serve, Odd()) as (channel, _):
        error = await status_of(channel.unary_unary(REFUSE)(b"", timeout=20))
        status = rpc_status.from_call(error)
        assert (status.code, status.message) == (code_pb2.NOT_FOUND, "not here")
        assert status.details[0].Is(error_details_pb2.ErrorInfo.DESCRIPTOR)


async def test_our_metadata_arrives(serve):
    seen = {}

    class Seeing(Handlers):
        async def echo(self, request, context):
            seen.update(context.invocation_metadata())
            return await super().echo(request, context)

    async with calling(serve, Seeing()) as (channel, _):
        await channel.unary_unary(ECHO)(
            b"", metadata=(("x-text", "a b"), ("x-bytes-bin", bytes(range(256)))), timeout=20
        )
    assert seen["x-text"] == "a b"
    assert seen["x-bytes-bin"] == bytes(range(256))
    assert seen["user-agent"].startswith("orrery-inference")


async def test_a_deadline_is_told_and_kept(serve):
    async with calling(serve) as (channel, handlers):
        error = await status_of(channel.unary_unary(WAIT)(b"", timeout=0.3))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        # gRPC rounds up.
        assert 0 < handlers.time_left_s < 0.35
        await until(lambda: handlers.happened["cancelled"])
        assert (await status_of(first_of(channel.unary_stream(TALK)(b"1", timeout=-1)))).code() is (
            grpc.StatusCode.DEADLINE_EXCEEDED
        )


async def test_who_cancels_ends_the_handler(serve):
    async with calling(serve) as (channel, handlers):
        waiting = asyncio.ensure_future(channel.unary_unary(WAIT)(b""))
        await handlers.began.wait()
        waiting.cancel()
        await until(lambda: handlers.happened["cancelled"])
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await channel.unary_unary(ECHO)(b"on", timeout=20) == b"on"
        (connection,) = channel.connections
        await until(lambda: not connection._attempts)
        assert channel.tally.under_way == 0


async def test_a_call_that_nobody_comes_to_await_ends(serve):
    async with calling(serve) as (channel, handlers):
        await channel.unary_unary(ECHO)(b"", timeout=20)
        task = asyncio.ensure_future(channel.unary_unary(WAIT)(b""))
        task.cancel()
        await asyncio.wait([task])
        del task
        (connection,) = channel.connections
        await until(lambda: not connection._attempts)
        assert channel.tally.under_way == 0
        await until(lambda: handlers.happened["waiting"] == handlers.happened["cancelled"])


@pytest.mark.parametrize("way", ["cancel", "read"])
async def test_a_stream_that_is_cancelled_ends_the_handler(serve, way):
    ended = asyncio.Event()

    class Endless(Handlers):
        async def by_hand(self, _requests, context):
            context.add_done_callback(lambda _: ended.set())
            await context.write(b"first")
            await self.go.wait()

    never = asyncio.Event()

    async def questions():
        yield b"one"
        await never.wait()

    async with calling(serve, Endless()) as (channel, _):
        call = channel.stream_stream(BY_HAND)(questions())
        assert await anext(aiter(call)) == b"first"
        reading = asyncio.ensure_future(anext(aiter(call)))
        await asyncio.sleep(0)
        if way == "cancel":
            call.cancel()
        else:
            reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(10):
            await ended.wait()
        assert await call.code() is grpc.StatusCode.CANCELLED
        (connection,) = channel.connections
        await until(lambda: not connection._attempts)
        assert channel.tally.under_way == 0


async def test_cancelling_before_there_is_a_server_ends_the_wait():
    never = Channel("127.0.0.1:1", max_message_bytes=MOST)
    never.connected = lambda **_: asyncio.sleep(60)
    call = never.unary_stream(TALK)(b"1")
    reading = asyncio.ensure_future(anext(aiter(call)))
    await asyncio.sleep(0)
    call.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await reading
    await never.close()


async def test_too_large_is_refused_both_ways(serve):
    async with calling(serve, most=1_000_000) as (channel, _):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(ECHO)(b"x" * 1_000_001, timeout=20)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        call = channel.stream_stream(CHAT)(each([b"x" * 600_000]), timeout=20)
        assert (await status_of(anext(aiter(call)))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        call = channel.stream_stream(CHAT)(each([b"x", b"x" * 1_000_001]), timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            _ = [reply async for reply in call]
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await channel.unary_unary(ECHO)(b"still here", timeout=20) == b"still here"
        assert channel.tally.under_way == 0


async def test_more_than_the_server_takes_is_refused(serve):
    async with calling(serve, max_message_bytes=1_000_000) as (channel, _):
        error = await status_of(channel.unary_unary(ECHO)(b"x" * 1_000_001, timeout=20))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await channel.unary_unary(ECHO)(b"still here", timeout=20) == b"still here"


@pytest.mark.parametrize("at", [0, 1])
async def test_trouble_in_the_requests_is_told_to_who_reads(serve, at):
    async def questions():
        for number in range(at):
            yield b"%d" % number
        raise LookupError("no more questions")

    async with calling(serve) as (channel, _):
        with pytest.raises(LookupError, match="no more questions"):
            _ = [reply async for reply in channel.stream_stream(CHAT)(questions(), timeout=20)]
        assert channel.tally.under_way == 0


async def test_a_reply_that_cannot_be_read_ends_its_call(serve):
    def parse(content):
        raise ValueError("unreadable")

    async with calling(serve) as (channel, _):
        with pytest.raises(ValueError, match="unreadable"):
            await channel.unary_unary(ECHO, None, parse)(b"", timeout=20)
        with pytest.raises(ValueError, match="unreadable"):
            await first_of(channel.unary_stream(COUNT, None, parse)(b"1000000"))
        (connection,) = channel.connections
        await until(lambda: not connection._attempts)
        assert channel.tally.under_way == 0


async def test_a_server_that_does_not_read_makes_the_writer_wait(serve):
    written = 0

    async def questions():
        nonlocal written
        for _ in range(1_000):
            yield b"x" * 10_000
            written += 1

    settings = {"bdp_probe": False} if serve is serving_by_grpc else {}
    async with calling(serve, Odd(), **settings) as (channel, handlers):
        reading = asyncio.ensure_future(first_of(channel.stream_stream(DEAF)(questions(), timeout=60)))
        # Connecting may take longer than a look.
        await until(lambda: written > 0)
        seen = -1
        while seen != written:
            seen = written
            await asyncio.sleep(0.5)
        assert 0 < written < 600
        handlers.go.set()
        assert await reading == b"10000000"


async def test_a_reader_that_does_not_read_makes_the_server_wait(serve):
    async with calling(serve) as (channel, handlers):
        call = channel.unary_stream(COUNT)(b"100000")
        await anext(aiter(call))
        seen = -1
        while seen != handlers.happened["sent"]:
            seen = handlers.happened["sent"]
            await asyncio.sleep(0.5)
        assert seen < 500
        call.cancel()


async def test_readers_that_do_not_read_hold_up_nobody_else(serve):
    async with calling(serve) as (channel, handlers):
        calls = [channel.unary_stream(COUNT)(b"100000") for _ in range(40)]
        await asyncio.gather(*map(first_of, calls))
        seen = -1
        while seen != handlers.happened["sent"]:
            seen = handlers.happened["sent"]
            await asyncio.sleep(0.5)
        body = b"x" * 4_000_000
        assert await channel.unary_unary(ECHO)(body, timeout=20) == body
        for call in calls:
            call.cancel()
        assert await channel.unary_unary(ECHO)(body, timeout=20) == body


async def test_what_nobody_read_comes_back_to_the_connection(serve):
    async with calling(serve) as (channel, _):
        for _ in range(60):
            call = channel.unary_stream(COUNT)(b"5000")
            await anext(aiter(call))
            call.cancel()
        body = b"x" * 4_000_000
        assert await channel.unary_unary(ECHO)(body, timeout=20) == body
        assert len(channel.connections) == 1


async def test_more_calls_than_streams_are_all_answered(serve):
    async with calling(serve, max_streams=10) as (channel, _):
        echo = channel.unary_unary(ECHO)
        replies = await asyncio.gather(*(echo(b"%d" % number, timeout=60) for number in range(1_000)))
        assert replies == [b"%d" % number for number in range(1_000)]
        assert len(channel.connections) == 1


async def test_an_early_answer_ends_the_writing(serve):
    stopped = asyncio.Event()

    class Hasty(Handlers):
        async def by_hand(self, _requests, context):
            await context.read()
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "enough")

    async def questions():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            stopped.set()

    async with calling(serve, Hasty()) as (channel, _):
        for _ in range(30):
            stopped.clear()
            error = await status_of(first_of(channel.stream_stream(BY_HAND)(questions(), timeout=20)))
            assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "enough")
        (connection,) = channel.connections
        await until(lambda: not connection._attempts)
        assert await channel.unary_unary(ECHO)(b"x" * 4_000_000, timeout=20) == b"x" * 4_000_000
        assert connection in channel.connections


async def test_metadata_that_cannot_be_sent(serve):
    async with calling(serve) as (channel, _):
        much = tuple((f"x-{number}", "x") for number in range(200))
        # Before there is a connection, and after.
        for _ in range(2):
            with pytest.raises(TooMuchMetadata, match="200 fields"):
                await channel.unary_unary(ECHO)(b"", metadata=much, timeout=20)
            await channel.unary_unary(ECHO)(b"", timeout=20)
        with pytest.raises(TooMuchMetadata, match="x-text"):
            await channel.unary_unary(ECHO)(b"", metadata=(("x-text", "x" * 100_000),), timeout=20)
        assert await channel.unary_unary(ECHO)(b"still here", timeout=20) == b"still here"
        assert channel.tally.under_way == 0


@pytest.mark.parametrize(
    ("text", "authority", "places"),
    [
        ("anomaly:50052", "anomaly:50052", (("anomaly", 50052),)),
        ("dns:///anomaly.orrery.svc:50052", "anomaly.orrery.svc:50052", (("anomaly.orrery.svc", 50052),)),
        ("dns:anomaly:50052", "anomaly:50052", (("anomaly", 50052),)),
        ("passthrough:///127.0.0.1:1", "127.0.0.1:1", (("127.0.0.1", 1),)),
        ("[::1]:65535", "[::1]:65535", (("::1", 65535),)),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", "10.0.0.1:1", (("10.0.0.1", 1), ("10.0.0.2", 2))),
        ("ipv6:[::1]:1,[::2]:2", "[::1]:1", (("::1", 1), ("::2", 2))),
        ("unix:/run/pod", "localhost", (("/run/pod", -1),)),
        ("unix:pod", "localhost", (("pod", -1),)),
        ("unix:///run/pod", "localhost", (("/run/pod", -1),)),
    ],
)
def test_targets(text, authority, places):
    target = parse_target(text)
    assert (target.authority, target.places) == (authority, places)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anomaly",
        "anomaly:",
        ":50052",
        "anomaly:0",
        "anomaly:65536",
        "anomaly:http",
        "::1:50052",
        "https://anomaly:50052",
        "dns://8.8.8.8/anomaly:50052",
        "dns:///",
        "ipv4:10.0.0.1:1,",
        "ipv4:10.0.0.1",
        "a..b:50052",
        f"{'a' * 64}:50052",
        "unix:",
        "unix://host/run/pod",
        "xds:///anomaly",
    ],
)
def test_what_is_no_target(text):
    with pytest.raises(ValueError, match=r"target|DNS"):
        Channel(text, max_message_bytes=1)


async def test_addresses_are_looked_up_once_each():
    assert await parse_target("ipv4:127.0.0.1:1,127.0.0.1:1,127.0.0.1:2").addresses() == [
        Address("127.0.0.1", 1),
        Address("127.0.0.1", 2),
    ]
    with pytest.raises(OSError, match=r"."):
        await parse_target("nowhere.invalid:1").addresses()

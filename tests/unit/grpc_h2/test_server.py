# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of ours as gRPC's own client meets it, and as whoever means no good does."""

import asyncio
import contextlib
import gzip
import socket
import struct
from pathlib import Path

import grpc
import pytest

from gateway.grpc_h2 import Server, link
from tests import raw_http2 as wire
from tests.echo_server import BY_HAND, CHAT, COUNT, ECHO, FAIL, GATHER, TALK, WAIT, serving, status_of, until


@contextlib.asynccontextmanager
async def calling(**settings):
    """(gRPC's channel, handlers)."""
    async with (
        serving(**settings) as (port, handlers, _),
        grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        ) as channel,
    ):
        yield channel, handlers


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_384, 131_072, 12_000_000])
async def test_a_message_comes_back_whole(size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with calling() as (channel, _):
        assert await channel.unary_unary(ECHO)(body, timeout=20) == body


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests(compression):
    async with calling() as (channel, _):
        body = b"abc" * 10_000
        assert await channel.unary_unary(ECHO)(body, compression=compression, timeout=20) == body
        replies = [reply async for reply in channel.stream_stream(CHAT)(iter([body] * 3), compression=compression)]
        assert replies == [body * 2] * 3


async def test_metadata_both_ways():
    async with calling() as (channel, _):
        call = channel.unary_unary(ECHO)(
            b"", metadata=(("x-text", "a b"), ("x-bytes-bin", bytes(range(256)))), timeout=20
        )
        await call
        assert dict(await call.trailing_metadata()) == {"x-text": "a b", "x-bytes-bin": bytes(range(256))}


async def test_errors_in_words():
    async with calling() as (channel, _):
        error = await status_of(channel.unary_unary(FAIL)("50 % of 1 Å\n".encode(), timeout=20))
        assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "50 % of 1 Å\n")
        assert dict(error.trailing_metadata())["x-why-bin"] == b"\x00\xff"
        error = await status_of(channel.unary_unary(FAIL)(b"", timeout=20))
        assert error.code() is grpc.StatusCode.UNKNOWN
        assert "secret" not in error.details()
        error = await status_of(channel.unary_unary("/test.Test/None")(b"", timeout=20))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("words", [" ", " a  b ", "a %20 "])
async def test_blanks_at_the_ends_of_words_are_kept(words):
    async with calling() as (channel, _):
        error = await status_of(channel.unary_unary(FAIL)(words.encode(), timeout=20))
        assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, words)


async def test_more_words_than_fit_are_cut():
    async with calling() as (channel, _):
        error = await status_of(channel.unary_unary(FAIL)(b"x" * 200_000, timeout=20))
        assert error.code() is grpc.StatusCode.OUT_OF_RANGE
        assert set(error.details()) == {"x"}
        assert len(error.details()) < 8_000


async def test_what_cannot_be_sent_is_an_error_and_nothing_hangs():
    async with serving() as (port, _, server), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        error = await status_of(channel.unary_unary(FAIL)(b"metadata", timeout=20))
        assert error.code() is grpc.StatusCode.UNKNOWN
        assert server.tally.under_way == 0


async def test_streams():
    async with calling() as (channel, handlers):
        handlers.go.set()
        parts = [b"%d" % number for number in range(500)]
        assert await channel.stream_unary(GATHER)(iter(parts), timeout=20) == b",".join(parts)
        assert [part async for part in channel.stream_stream(CHAT)(iter(parts))] == [part * 2 for part in parts]
        assert [part async for part in channel.unary_stream(TALK)(b"500")] == parts
        assert len([part async for part in channel.unary_stream(COUNT)(b"500")]) == 500


async def test_a_handler_that_does_all_by_hand():
    async with calling() as (channel, handlers):
        call = channel.stream_stream(BY_HAND)(iter([b"a", b"b"]))
        assert dict(await call.initial_metadata())["x-first"] == "1"
        assert [await call.read(), await call.read()] == [b"a", b"b"]
        assert (await call.code(), await call.details()) == (grpc.StatusCode.NOT_FOUND, "no more")
        assert handlers.happened["done"] == 1


async def test_who_does_not_read_is_not_written_to():
    async with calling() as (channel, handlers):
        call = channel.unary_stream(COUNT)(b"100000")
        await call.read()
        seen = -1
        while seen != handlers.happened["sent"]:
            seen = handlers.happened["sent"]
            await asyncio.sleep(0.5)
        # gRPC's client takes some megabytes ahead; the rest waits.
        assert seen < 5_000
        call.cancel()


async def test_who_is_not_read_cannot_write():
    async with calling() as (channel, handlers):
        call = channel.stream_unary(GATHER)()
        written = 0

        async def write():
            nonlocal written
            for _ in range(1_000):
                await call.write(b"x" * 10_000)
                written += 1

        writing = asyncio.create_task(write())
        seen = -1
        while seen != written:
            seen = written
            await asyncio.sleep(0.5)
        assert written < 500
        handlers.go.set()
        await writing
        await call.done_writing()
        assert len(await call) == 1_000 * 10_001 - 1


async def test_what_nobody_reads_holds_up_nobody_else():
    async with serving() as (port, handlers, _), wire.raw(port) as (reader, writer):
        # A connection's window would be used up by 20 MB that no handler reads.
        for stream in range(1, 401, 2):
            writer.write(wire.request(stream, GATHER.encode(), end=False))
            writer.write(wire.frame(wire.DATA, stream=stream, payload=wire.message(b"x" * 16_000)) * 4)
            await writer.drain()
        writer.write(wire.frame(wire.SETTINGS, 1))
        await until(lambda: handlers.happened["gathering"] == 200)
        for stream in range(1, 401, 2):
            writer.write(wire.frame(wire.DATA, stream=stream, payload=wire.message(b"x" * 16_000)) * 4)
            await writer.drain()
        writer.write(wire.request(401, ECHO.encode(), body=wire.message(b"x" * 10_000)))
        async with asyncio.timeout(20):
            while not any(frame[2] == 401 for frame in await wire.frames(reader, until=wire.DATA)):
                pass


async def test_bombs_are_opened_one_by_one():
    bomb = gzip.compress(bytes(16_000_000))
    body = wire.message(bomb, compressed=1) * 8
    async with serving() as (port, handlers, server), wire.raw(port) as (reader, writer):
        # What the server allows counts from here on.
        await wire.frames(reader, until=wire.SETTINGS)
        writer.write(wire.frame(wire.SETTINGS, 1))
        before = _resident_mb()
        writer.write(wire.request(1, GATHER.encode(), (b"grpc-encoding", b"gzip"), end=False))
        for start in range(0, len(body), 16_000):
            writer.write(wire.frame(wire.DATA, stream=1, payload=body[start : start + 16_000]))
        await asyncio.sleep(0.5)
        assert server.tally.under_way == 1
        assert _resident_mb() - before < 100
        handlers.go.set()
        writer.write(wire.frame(wire.DATA, wire.END_STREAM, 1))
        # 128 MB in one reply are too much to send.
        assert (await wire.frames(reader, until=wire.HEADERS))[-1][2] == 1


def _resident_mb():
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


async def test_an_answer_that_nobody_reads_ends_with_its_deadline():
    closed = struct.pack(">HI", 4, 0)
    async with serving() as (port, _, server), wire.raw(port, greet=False) as (reader, writer):
        writer.write(wire.PREFACE + wire.frame(wire.SETTINGS, payload=closed))
        writer.write(wire.request(1, ECHO.encode(), (b"grpc-timeout", b"300m"), body=wire.message(b"abc")))
        came = await wire.frames(reader, until=wire.RST_STREAM)
        assert came[-1][:3:2] == (wire.RST_STREAM, 1)
        assert server.tally.under_way == 0


async def test_who_never_reads_is_left_in_the_end(monkeypatch):
    monkeypatch.setattr(link, "CLOSED_WITHIN_S", 0.2)
    settings = {"max_connection_age_s": 0.2, "max_connection_age_grace_s": 0.2}
    wide = struct.pack(">HI", 4, 2**31 - 1)
    async with serving(**settings) as (port, _, server):
        with socket.create_connection(("127.0.0.1", port)) as deaf:
            window = wire.frame(8, payload=struct.pack(">I", 2**30))
            ask = wire.request(1, COUNT.encode(), body=wire.message(b"100000"))
            deaf.sendall(wire.PREFACE + wire.frame(wire.SETTINGS, payload=wide) + window + ask)
            async with asyncio.timeout(10):
                while not server.accepted or server.connections:
                    await asyncio.sleep(0.05)
        assert server.tally.under_way == 0


async def test_a_deadline_ends_the_handler():
    async with calling() as (channel, handlers):
        error = await status_of(channel.unary_unary(WAIT)(b"", timeout=0.2))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(5):
            while not handlers.happened["cancelled"]:
                await asyncio.sleep(0.01)
        assert 0 < handlers.time_left_s <= 0.2


async def test_a_caller_who_goes_ends_the_handler():
    async with serving() as (port, handlers, _):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(WAIT)(b"")
            waiting = asyncio.ensure_future(call)
            await handlers.began.wait()
            call.cancel()
            await asyncio.wait([waiting])
            handlers.began.clear()
            left = channel.unary_unary(WAIT)(b"")
            await asyncio.sleep(0)
            waiting = asyncio.ensure_future(left)
            await handlers.began.wait()
        await asyncio.wait([waiting])
        async with asyncio.timeout(5):
            while handlers.happened["cancelled"] < 2:
                await asyncio.sleep(0.01)


async def test_too_large_is_refused_both_ways():
    async with calling(max_message_bytes=1_000_000) as (channel, _):
        error = await status_of(channel.unary_unary(ECHO)(b"x" * 1_000_001, timeout=20))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = await status_of(channel.stream_stream(CHAT)(iter([b"x" * 600_000])).read())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        # A bomb: small on the way, large when it is opened.
        bomb = b"\0" * 100_000_000
        error = await status_of(channel.unary_unary(ECHO)(bomb, compression=grpc.Compression.Gzip, timeout=20))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await channel.unary_unary(ECHO)(b"still here", timeout=20) == b"still here"


async def test_thousands_at_once_on_one_connection_are_answered():
    async with calling(max_streams=100) as (channel, _):
        echo = channel.unary_unary(ECHO)
        replies = await asyncio.gather(*(echo(b"%d" % number, timeout=60) for number in range(5_000)))
        assert replies == [b"%d" % number for number in range(5_000)]


async def test_more_calls_than_may_be_are_refused():
    async with calling(max_calls=10) as (channel, handlers):
        waiting = [asyncio.ensure_future(channel.unary_unary(WAIT)(b"", timeout=20)) for _ in range(10)]
        async with asyncio.timeout(10):
            while handlers.happened["waiting"] < 10:
                await asyncio.sleep(0.01)
        error = await status_of(channel.unary_unary(ECHO)(b"", timeout=20))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        handlers.go.set()
        assert await asyncio.gather(*waiting) == [b""] * 10


async def test_old_connections_are_left_and_no_call_is_lost():
    async with serving(max_connection_age_s=0.2) as (port, _, server):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            echo = channel.unary_unary(ECHO)
            end = asyncio.get_running_loop().time() + 3.0

            async def caller():
                count = 0
                while asyncio.get_running_loop().time() < end:
                    assert await echo(b"x", timeout=10) == b"x"
                    count += 1
                return count

            counts = await asyncio.gather(*(caller() for _ in range(8)))
        assert sum(counts) > 100
        assert server.accepted > 5


async def test_an_old_connection_ends_its_calls_after_the_grace():
    async with calling(max_connection_age_s=0.2, max_connection_age_grace_s=0.3) as (channel, _):
        error = await status_of(channel.unary_unary(WAIT)(b"", timeout=20))
        assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_stopping_waits_for_what_is_under_way():
    async with serving() as (port, handlers, server), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        waiting = asyncio.ensure_future(channel.unary_unary(WAIT)(b"done", timeout=20))
        await handlers.began.wait()
        stopping = asyncio.create_task(server.stop(10.0))
        await asyncio.sleep(0.3)
        assert not stopping.done()
        error = await status_of(channel.unary_unary(ECHO)(b"", timeout=1))
        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        handlers.go.set()
        assert await waiting == b"done"
        async with asyncio.timeout(5):
            await stopping


async def test_stopping_does_not_wait_for_ever():
    async with serving() as (port, handlers, server), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        waiting = asyncio.ensure_future(channel.unary_unary(WAIT)(b"", timeout=20))
        await handlers.began.wait()
        async with asyncio.timeout(5):
            await server.stop(0.2)
        assert (await status_of(waiting)).code() is grpc.StatusCode.UNAVAILABLE
        assert handlers.happened["cancelled"] == 1


async def test_an_address_that_is_taken():
    async with serving() as (port, _, _server):
        other = Server(max_message_bytes=1, max_streams=1)
        with pytest.raises(OSError, match="in use"):
            other.bind("127.0.0.1", port)


# Whoever means no good.


async def ended(reader):
    """Whether the server closes the connection."""
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(65_536):
                pass
    return True


@pytest.mark.parametrize("said", [b"", wire.PREFACE[:10], wire.PREFACE])
async def test_who_says_too_little_is_left(said):
    async with serving(handshake_timeout_s=0.2) as (port, _, server), wire.raw(port, greet=False) as (reader, writer):
        writer.write(said)
        assert await ended(reader)
        assert not server.connections


async def test_who_speaks_another_language_is_left():
    async with serving() as (port, _, _server), wire.raw(port, greet=False) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        assert await ended(reader)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (wire.request(1, ECHO.encode(), verb=b"GET"), b"405"),
        (wire.request(1, ECHO.encode(), content_type=b"text/html"), b"415"),
        (wire.request(1, ECHO.encode(), content_type=b"application/grpc-web"), b"415"),
        (wire.request(1, ECHO.encode()), b"13"),
        (wire.request(1, ECHO.encode(), body=wire.message(b"a") * 2), b"13"),
        (wire.request(1, ECHO.encode(), body=wire.message(b"abc")[:-1]), b"13"),
        (wire.request(1, ECHO.encode(), body=wire.message(b"abc", compressed=1)), b"13"),
        (wire.request(1, ECHO.encode(), (b"grpc-encoding", b"gzip"), body=wire.message(b"abc", compressed=1)), b"13"),
        (
            wire.request(
                1,
                ECHO.encode(),
                (b"grpc-encoding", b"gzip"),
                body=wire.message(gzip.compress(b"abc", mtime=0)[:-9], compressed=1),
            ),
            b"13",
        ),
        (wire.request(1, ECHO.encode(), (b"grpc-encoding", b"lz4"), body=wire.message(b"abc")), b"12"),
        *(
            (wire.request(1, ECHO.encode(), (b"grpc-timeout", timeout), body=wire.message(b"abc")), b"3")
            for timeout in (b"soon", b"5s", b"10", b"", b"S", b"1.5S", b"-1S", b"999999999S")
        ),
        (wire.request(1, ECHO.encode(), (b"x-odd-bin", b"!!"), body=wire.message(b"abc")), b"3"),
        (wire.request(1, ECHO.encode(), (b"x-odd", b"\xff"), body=wire.message(b"abc")), b"3"),
        (wire.request(1, b"/\xff\xfe", body=wire.message(b"abc")), b"12"),
        (wire.request(1, ECHO.encode(), body=struct.pack(">BI", 0, 2**32 - 1) + b"abc"), b"8"),
    ],
)
async def test_what_is_no_call_is_refused(request_bytes, status):
    async with serving() as (port, _, _server), wire.raw(port) as (reader, writer):
        writer.write(request_bytes)
        came = await wire.frames(reader, until=wire.HEADERS)
        kind, flags, stream, payload = came[-1]
        assert (kind, stream) == (wire.HEADERS, 1)
        assert flags & wire.END_STREAM
        # HPACK writes short digits as they are, or in Huffman's code: 4 and 1 are "100" and "01" with a 0 before.
        assert status in payload or _huffman(status) in payload
        # The connection is still good.
        writer.write(wire.request(3, ECHO.encode(), body=wire.message(b"fine")))
        assert (await wire.frames(reader, until=wire.DATA))[-1][3] == wire.message(b"fine")


async def test_a_wrong_method_is_told_the_right_one():
    async with serving() as (port, _, _server), wire.raw(port) as (reader, writer):
        writer.write(wire.request(1, ECHO.encode(), verb=b"GET"))
        *_, (_, _, _, payload) = await wire.frames(reader, until=wire.HEADERS)
        # RFC 7541: "allow" is entry 22 of the static table, its value follows as it is.
        assert bytes((0x40 | 22, 4)) + b"POST" in payload


def _huffman(digits):
    """RFC 7541, appendix B: 0, 1 and 2 are five bits, 3 to 9 six."""
    bits = "".join(f"{digit:05b}" if digit < 3 else f"{digit - 3 + 0x19:06b}" for digit in map(int, digits.decode()))
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


async def test_more_metadata_than_anybody_needs():
    async with serving() as (port, _, _server), wire.raw(port) as (reader, writer):
        much = ((b"x-%d" % number, b"x" * 20) for number in range(300))
        writer.write(wire.request(1, ECHO.encode(), *much, body=wire.message(b"abc")))
        came = await wire.frames(reader, until=wire.RST_STREAM)
        assert came[-1][:3:2] == (wire.RST_STREAM, 1)
        writer.write(wire.request(3, ECHO.encode(), body=wire.message(b"fine")))
        assert (await wire.frames(reader, until=wire.DATA))[-1][3] == wire.message(b"fine")


async def test_too_many_pings():
    async with serving() as (port, _, _server), wire.raw(port) as (reader, writer):
        writer.write(wire.frame(wire.PING, payload=bytes(8)) * 5)
        came = await wire.frames(reader, until=wire.GOAWAY)
        assert came[-1][3].endswith(b"too_many_pings")
        assert await ended(reader)


async def test_streams_begun_and_broken_off_without_end():
    async with (
        serving() as (port, handlers, _server),
        wire.raw(port) as (reader, writer),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        broken = wire.frame(wire.RST_STREAM, payload=struct.pack(">I", 8))
        for stream in range(1, 40_001, 2):
            writer.write(wire.request(stream, WAIT.encode(), body=wire.message(b"")))
            writer.write(broken[:5] + struct.pack(">I", stream) + broken[9:])
        # nghttp2's limit on resets ends it (CVE-2023-44487); others are served meanwhile and after.
        assert await channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"
        assert await ended(reader)
        assert await channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"
        assert handlers.happened["cancelled"] < 20_000


async def test_one_connection_cannot_take_the_others_share():
    async with serving(max_calls=64) as (port, handlers, _server):
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as greedy,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as modest,
        ):
            waiting = [asyncio.ensure_future(greedy.unary_unary(WAIT)(b"", timeout=20)) for _ in range(80)]
            await until(lambda: handlers.happened["waiting"] == 64)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
            assert await modest.unary_unary(ECHO)(b"fine", timeout=20) == b"fine"
            handlers.go.set()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        refused = [error.code() for error in ended if isinstance(error, grpc.aio.AioRpcError)]
        assert refused == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 16


async def test_one_connection_cannot_begin_more_requests_than_its_share():
    async with serving(max_calls=4) as (port, _, server), wire.raw(port) as (_reader, writer):
        writer.write(b"".join(wire.request(stream, ECHO.encode(), end=False) for stream in range(1, 401, 2)))
        await until(lambda: server.tally.started == 200)
        assert server.tally.under_way == 16
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary(ECHO)(b"fine", timeout=20) == b"fine"


async def test_requests_that_are_never_finished_take_no_place():
    async with serving(max_calls=4) as (port, _, _server), wire.raw(port) as (_reader, writer):
        writer.write(b"".join(wire.request(stream, ECHO.encode(), end=False) for stream in range(1, 201, 2)))
        await writer.drain()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary(ECHO)(b"fine", timeout=20) == b"fine"


async def test_a_server_that_stops_answers_requests_that_come_with_the_last_sign_of_life():
    async with serving() as (port, _, server), wire.raw(port) as (reader, writer):
        await wire.frames(reader, until=wire.SETTINGS)
        stopping = asyncio.create_task(server.stop(10))
        notice = (await wire.frames(reader, until=wire.PING))[-1]
        # The first hundred are of no method, and refused at once: they leave no call under way.
        requests = [
            wire.request(stream, ECHO.encode() if stream > 200 else b"/none", body=wire.message(b"last"))
            for stream in range(1, 301, 2)
        ]
        writer.write(wire.frame(wire.PING, wire.ACK, payload=notice[3]) + b"".join(requests))
        came = await wire.frames(reader, until=None)
        await stopping
    last = next(int.from_bytes(payload[:4]) for kind, _, _, payload in reversed(came) if kind == wire.GOAWAY)
    answered = {stream for kind, flags, stream, _ in came if kind == wire.HEADERS and flags & wire.END_STREAM}
    # Requests beyond GOAWAY's last stream are sent again, on another connection.
    assert last > 200
    assert answered == set(range(1, last + 1, 2))

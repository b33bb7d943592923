# SPDX-License-Identifier: GPL-3.0-or-later
"""What one connection can take of a server: bytes kept, large requests, turns. Each test fails without its guard."""

import asyncio
import contextlib
import gzip
import struct
import tracemalloc

import grpc

from gateway.grpc_h2 import link
from gateway.grpc_h2.server import budget, connection, large_messages
from tests import raw_http2 as wire
from tests.echo_server import CHAT, COUNT, ECHO, TALK, WAIT, serving, until

MIB = 1024 * 1024
CANCEL = struct.pack(">I", 8)
NO_WINDOW = struct.pack(">HI", 4, 0)


@contextlib.asynccontextmanager
async def connected(port, *, settings=b""):
    """A raw connection whose windows are open: (reader, writer)."""
    async with wire.raw(port, settings=settings) as (reader, writer):
        await wire.frames(reader, until=wire.SETTINGS)
        writer.write(wire.frame(wire.SETTINGS, 1))
        yield reader, writer


async def write_unfinished(writer, stream, *, announced, sent=150_000, method=ECHO):
    """Begin a message of so many bytes, and send some of it."""
    body = struct.pack(">BI", 0, announced) + bytes(sent)
    writer.write(wire.request(stream, method.encode(), end=False))
    for start in range(0, len(body), 16_000):
        writer.write(wire.frame(wire.DATA, 0, stream, body[start : start + 16_000]))
    await writer.drain()


async def statuses(reader, count):
    """gRPC's statuses of so many responses of headers alone."""
    seen = []
    while len(seen) < count:
        frames = await wire.frames(reader, until=wire.HEADERS)
        if not frames or frames[-1][0] != wire.HEADERS:
            break
        seen.append(frames[-1][2])
    return seen


async def test_unfinished_requests_of_one_connection_are_ended_beyond_its_share(monkeypatch):
    monkeypatch.setattr(budget, "MOST_OF_CONNECTION", 4 * MIB)
    async with serving() as (port, _, server), connected(port) as (reader, writer):
        for stream in range(1, 101, 2):
            await write_unfinished(writer, stream, announced=200_000, sent=100_000)
        assert len(await statuses(reader, 5)) == 5
        assert max(connection.kept_bytes for connection in server.connections) <= 4 * MIB


async def test_whoever_keeps_most_loses_first(monkeypatch):
    monkeypatch.setattr(budget, "MOST_BYTES", 4 * MIB)
    async with serving() as (port, _, server), connected(port) as (_, modest), contextlib.AsyncExitStack() as stack:
        await write_unfinished(modest, 1, announced=200_000, sent=100_000)
        for _ in range(10):
            _, greedy = await stack.enter_async_context(connected(port))
            for stream in range(1, 21, 2):
                await write_unfinished(greedy, stream, announced=200_000, sent=100_000)
        await until(lambda: server.tally.started == 101)
        await until(lambda: sum(connection.kept_bytes for connection in server.connections) <= 4 * MIB)
        kept = sorted(connection.tally.under_way for connection in server.connections)
        # The modest one has its call; the others have lost most of theirs.
        assert kept[0] == 1
        assert max(kept) < 10


async def test_answers_that_nobody_reads_are_given_up_beyond_the_share(monkeypatch):
    monkeypatch.setattr(budget, "MOST_OF_CONNECTION", 2 * MIB)
    async with serving() as (port, _, server), connected(port, settings=NO_WINDOW) as (_, writer):
        for stream in range(1, 101, 2):
            writer.write(wire.request(stream, ECHO.encode(), body=wire.message(bytes(100_000))[:16_000], end=False))
        for stream in range(1, 101, 2):
            rest = wire.message(bytes(100_000))[16_000:]
            for start in range(0, len(rest), 16_000):
                last = wire.END_STREAM if start + 16_000 >= len(rest) else 0
                writer.write(wire.frame(wire.DATA, last, stream, rest[start : start + 16_000]))
            await writer.drain()
        await until(lambda: server.tally.succeeded == 50)
        await until(lambda: max(connection.kept_bytes for connection in server.connections) <= 2 * MIB)


async def test_a_used_up_share_is_freed_a_part_at_a_time(monkeypatch):
    monkeypatch.setattr(budget, "MOST_OF_CONNECTION", 4 * MIB)
    freed = []
    free = connection.Connection.shrink_to

    def shrink_to(self, level):
        free(self, level)
        # What is written to end calls counts too, until the peer has it.
        freed.append(self.kept_bytes <= level + MIB / 4)

    monkeypatch.setattr(connection.Connection, "shrink_to", shrink_to)
    async with serving() as (port, _, server), connected(port, settings=NO_WINDOW) as (_, writer):
        for stream in range(1, 2001, 2):
            writer.write(wire.request(stream, ECHO.encode(), body=wire.message(b"unread")))
        await until(lambda: server.tally.succeeded + server.tally.failed == 1000)
        # 341 streams have room; an eighth of them is ended at a time, about 16 times. One at a time would be 660 times.
        assert 0 < len(freed) < 100
        assert all(freed)


async def test_a_call_whose_answer_is_unread_keeps_no_request():
    # A number with much white space before it.
    body = wire.message(b"%150000d" % 1)
    async with serving() as (port, _, server), connected(port, settings=NO_WINDOW) as (_, writer):
        tracemalloc.start()
        try:
            for stream in range(1, 201, 2):
                writer.write(wire.request(stream, TALK.encode(), end=False))
                for start in range(0, len(body), 16_000):
                    last = wire.END_STREAM if start + 16_000 >= len(body) else 0
                    writer.write(wire.frame(wire.DATA, last, stream, body[start : start + 16_000]))
                await writer.drain()
            await until(lambda: server.tally.succeeded == 100)
            kept_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept_bytes < 5_000_000


async def test_open_streams_of_one_connection_are_limited(monkeypatch):
    monkeypatch.setattr(budget, "MOST_OF_CONNECTION", 4 * MIB)
    async with serving() as (port, _, server), connected(port) as (_, writer):
        for stream in range(1, 801, 2):
            writer.write(wire.request(stream, ECHO.encode(), end=False))
        await until(lambda: server.tally.started == 400)
        (connection,) = server.connections
        # Seven eighths of its share; those that came later were refused, and none that was open was ended.
        assert connection.tally.under_way == server.tally.under_way == 7 * 4 * MIB // 8 // budget.STREAM_BYTES
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary(ECHO)(b"modest", timeout=10) == b"modest"


def test_connections_share_the_open_streams():
    has_room = budget.Budget.has_room_for_stream
    most = 42 * MIB // budget.STREAM_BYTES
    assert has_room(most // 2, most - 1, sharing=2)
    assert not has_room(most // 2, most, sharing=2)
    assert has_room(most // 2 - 1, most, sharing=2)
    assert not has_room(most // 2 - 1, most, sharing=3)


async def test_callers_behind_a_connection_that_keeps_much_are_not_refused(monkeypatch):
    monkeypatch.setattr(budget, "MOST_OF_CONNECTION", 4 * MIB)
    async with serving() as (port, _, server), connected(port) as (_, writer):
        for stream in range(1, 81, 2):
            await write_unfinished(writer, stream, announced=200_000, sent=100_000)
        await until(lambda: server.tally.started == 40)
        assert max(other.kept_bytes for other in server.connections) > 3 * MIB
        writer.write(wire.request(101, ECHO.encode(), body=wire.message(b"modest")))
        await until(lambda: server.tally.succeeded == 1)


async def test_a_peer_that_reads_no_more_bytes_is_cut_off_beyond_the_share(monkeypatch):
    monkeypatch.setattr(budget, "MOST_OF_CONNECTION", 1 * MIB)
    async with serving() as (port, _, server), wire.raw(port) as (_, writer):
        # Its windows are wide and its socket is full.
        writer.write(wire.frame(wire.SETTINGS, payload=wire.WIDE) + wire.OPEN)
        for stream in range(1, 61, 2):
            writer.write(wire.request(stream, COUNT.encode(), body=wire.message(b"100")))
        await until(lambda: server.tally.started > 0)
        await until(lambda: not server.connections)


async def test_large_requests_wait_for_their_turn(monkeypatch):
    monkeypatch.setattr(large_messages, "MOST_OF_CONNECTION", 2 * MIB)
    async with serving() as (port, _, server), connected(port) as (_reader, writer):
        for stream in range(1, 21, 2):
            await write_unfinished(writer, stream, announced=1_000_000, sent=200_000)
        await until(lambda: server.tally.started == 10)
        await until(lambda: len(server.large.waiting) == 8)


async def test_a_large_request_without_a_turn_gets_no_credit(monkeypatch):
    monkeypatch.setattr(large_messages, "MOST_OF_CONNECTION", 2 * MIB)
    async with serving() as (port, _, server), connected(port) as (reader, writer):
        for stream in (1, 3):
            await write_unfinished(writer, stream, announced=1_500_000, sent=200_000)
        await until(lambda: len(server.large.waiting) == 1)
        writer.write(wire.frame(wire.PING, payload=bytes(8)))
        came = await wire.frames(reader, until=wire.PING)
        assert {stream for kind, _, stream, _ in came if kind == wire.WINDOW_UPDATE and stream} == {1}


async def test_no_call_begins_while_answers_of_its_connection_are_not_read(monkeypatch):
    monkeypatch.setattr(connection, "_MOST_UNREAD_BYTES", 100_000)
    async with serving() as (port, _, server), connected(port, settings=NO_WINDOW) as (reader, writer):
        await write_unfinished(writer, 1, announced=150_000, sent=150_000)
        writer.write(wire.frame(wire.DATA, wire.END_STREAM, 1))
        await until(lambda: server.tally.succeeded == 1)
        writer.write(wire.request(3, ECHO.encode(), body=wire.message(b"more")))
        await until(lambda: server.tally.failed == 1)
        assert await statuses(reader, 1) == [1]
        _, flags, stream, _ = (await wire.frames(reader, until=wire.HEADERS))[-1]
        assert stream == 3
        assert flags & wire.END_STREAM


async def test_requests_that_are_reset_further_on_take_no_turns_of_others():
    async with serving() as (port, handlers, server), connected(port) as (_, writer):
        requests = [wire.request(stream, WAIT.encode(), body=wire.message(b"")) for stream in range(1, 401, 2)]
        resets = [wire.frame(wire.RST_STREAM, 0, stream, CANCEL) for stream in range(1, 401, 2)]
        kept = wire.request(401, ECHO.encode(), body=wire.message(b"kept"))
        # In one write: what is reset is seen before the first handler begins.
        writer.write(b"".join([*requests, *resets, kept]))
        await until(lambda: server.tally.succeeded == 1)
        assert server.tally.started < 20
        assert handlers.happened["waiting"] < 20


async def test_connections_take_turns_with_large_requests(monkeypatch):
    monkeypatch.setattr(large_messages, "MOST_BYTES", 2 * MIB)
    monkeypatch.setattr(large_messages, "MOST_OF_CONNECTION", 2 * MIB)
    monkeypatch.setattr(large_messages, "STALLED_S", 0.2)
    async with serving() as (port, _, server), connected(port) as (_reader, writer):
        for stream in range(1, 101, 2):
            await write_unfinished(writer, stream, announced=1_500_000, sent=200_000)
        await until(lambda: len(server.large.waiting) == 49)
        # Whoever stands still while others wait is ended; and others are asked before the same connection is again.
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary(ECHO)(bytes(1_500_000), timeout=10) == bytes(1_500_000)
        assert len(server.large.waiting) > 30


async def test_large_messages_of_a_stream_get_through_one_after_the_other():
    async with serving() as (port, _, _server), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        bodies = [bytes([number]) * 1_000_000 for number in range(12)]
        replies = [reply async for reply in channel.stream_stream(CHAT)(iter(bodies), timeout=20)]
        assert [len(reply) for reply in replies] == [2_000_000] * 12


async def test_what_is_inflated_is_limited_over_all_connections(monkeypatch):
    monkeypatch.setattr(large_messages, "MOST_BYTES", 32 * MIB)
    packed = wire.message(gzip.compress(bytes(2_000_000)), compressed=1)
    async with serving() as (port, handlers, server), contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            _, writer = await stack.enter_async_context(connected(port))
            writer.write(wire.request(1, WAIT.encode(), (b"grpc-encoding", b"gzip"), body=packed))
        await until(lambda: len(server.inflations.waiting) == 3)
        await until(lambda: handlers.happened["waiting"] == 2)
        await asyncio.sleep(0.2)
        assert handlers.happened["waiting"] == 2
        handlers.go.set()
        await until(lambda: handlers.happened["waiting"] == 5)


async def test_compressed_headers_are_parsed_little_by_little(monkeypatch):
    pending = []
    receive = link.Link.receive

    def received(self, data):
        receive(self, data)
        pending.append(self.pending_events)

    monkeypatch.setattr(link.Link, "receive", received)
    async with serving() as (port, _, server), connected(port) as (_, writer):
        head = wire.block(
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/none"),
            (b":authority", b"here"),
            (b"content-type", b"application/grpc"),
        )
        # A field of 3,000 bytes in the table, then named by one byte, as often as a list of headers allows.
        writer.write(
            wire.frame(wire.HEADERS, 5, 1, head + b"\x40" + wire.text(b"x") + wire.text(b"v" * 3_000))
            + b"".join(wire.frame(wire.HEADERS, 5, stream, head + b"\xbe" * 4) for stream in range(3, 4_003, 2))
        )
        await until(lambda: server.tally.failed == 2_001)
        # What a slice means is held at once; the next is parsed when it has been dealt with.
        assert max(pending) < 200


def packed_requests(first, count, fields):
    """Requests whose headers are a few bytes on the wire, and so many fields of 4,000 bytes once they are unpacked."""
    value = b"x" * 4_000
    entry = b"\x40" + wire.text(b"x-large") + wire.text(value)
    plain = wire.block(
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", WAIT.encode()), (b":authority", b"here")
    )
    yield wire.frame(wire.HEADERS, wire.END_HEADERS, first, plain + entry)
    for number in range(1, count):
        # 0x83 and 0x86 are POST and http of HPACK's static table, 0xBE is the newest entry of the dynamic one.
        path = wire.block((b":path", WAIT.encode()), (b":authority", b"here"))
        yield wire.frame(wire.HEADERS, wire.END_HEADERS, first + 2 * number, b"\x83\x86" + path + b"\xbe" * fields)


async def test_headers_above_the_limit_are_not_kept(monkeypatch):
    kept = []
    keep = link.Link.receive

    def received(self, data):
        keep(self, data)
        kept.append((self.pending_events, self.pending_header_bytes))

    monkeypatch.setattr(link.Link, "receive", received)
    async with serving() as (port, _, _server), connected(port) as (reader, writer):
        writer.write(b"".join(packed_requests(1, 200, fields=12)))
        came = [await wire.frames(reader, until=wire.RST_STREAM) for _ in range(150)]
        assert all(frames[-1][0] == wire.RST_STREAM for frames in came)
    # 48 KB each, 30 or more of them in a slice.
    assert max(events for events, _ in kept) > 25
    assert max(size for _, size in kept) < 100_000


async def test_headers_that_wait_for_their_turn_count_as_kept(monkeypatch):
    monkeypatch.setattr(budget, "MOST_OF_CONNECTION", 200_000)
    async with serving() as (port, _, server), connected(port) as (reader, writer):
        writer.write(b"".join(packed_requests(1, 200, fields=3)))
        last = (await wire.frames(reader, until=wire.GOAWAY))[-1]
        assert b"too many requests wait" in last[3]
        await until(lambda: not server.connections)


async def test_a_burst_of_requests_does_not_hold_up_other_connections():
    order, greedy = [], 8

    async with serving(max_calls=10_000) as (port, handlers, _server), contextlib.AsyncExitStack() as stack:
        echo = handlers.echo

        async def noted(request, context):
            order.append(request)
            return await echo(request, context)

        handlers._methods[ECHO] = grpc.unary_unary_rpc_method_handler(noted)
        writers = [(await stack.enter_async_context(connected(port)))[1] for _ in range(greedy)]
        _, modest = await stack.enter_async_context(connected(port))
        burst = b"".join(
            wire.request(stream, ECHO.encode(), body=wire.message(b"greedy")) for stream in range(1, 801, 2)
        )
        for writer in writers:
            writer.write(burst)
        modest.write(wire.request(1, ECHO.encode(), body=wire.message(b"modest")))
        await until(lambda: len(order) == greedy * 400 + 1)
        # Of each of the others some had their turn before, not all.
        assert order.index(b"modest") < greedy * 100


async def test_a_writer_to_a_stream_that_was_reset_waits_for_its_end():
    async with serving() as (port, handlers, server), connected(port, settings=NO_WINDOW) as (_, writer):
        streams = range(1, 81, 2)
        writer.write(b"".join(wire.request(stream, COUNT.encode(), body=wire.message(b"100000")) for stream in streams))
        await until(lambda: server.tally.started == 40)
        await asyncio.sleep(0.1)
        sent = handlers.happened["sent"]
        writer.write(b"".join(wire.reset(stream, 8) for stream in streams))
        await until(lambda: server.tally.under_way == 0)
        assert handlers.happened["sent"] < sent + 200

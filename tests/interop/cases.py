# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's published interop cases, for a channel with grpc.aio's interface. Each takes (channel, tap).

Published descriptions: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md. Whether a message was
compressed is seen on the wire by the tap, instead of by the server.
"""

import asyncio
import contextlib
import time

import grpc
import pytest

from tests.interop.service import (
    ECHO_INITIAL,
    ECHO_TRAILING,
    SERVICES,
    BoolValue,
    EchoStatus,
    Empty,
    InputRequest,
    OutputRequest,
    Payload,
    ResponseParameters,
    SimpleRequest,
    Stub,
)

REQUEST_BYTES, REPLY_BYTES = 271_828, 314_159
STREAM_REQUESTS = (27_182, 8, 1_828, 45_904)
STREAM_REPLIES = (31_415, 9, 2_653, 58_979)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
METADATA = ((ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab"))
# For calls that are to end by themselves.
LONG_S = 20
# The published case has 1 ms, in which grpc.aio's call may not have begun; it is then CANCELLED now and then.
SHORT_S = 0.05
SOAK_CALLS = 50


def zeros(size):
    """A payload."""
    return Payload(body=bytes(size))


def large(**more):
    """The request of the large unary cases."""
    return SimpleRequest(response_size=REPLY_BYTES, payload=zeros(REQUEST_BYTES), **more)


def output(size, request_size, **more):
    """A request for one reply."""
    return OutputRequest(response_parameters=[ResponseParameters(size=size)], payload=zeros(request_size), **more)


async def each(requests):
    """Requests of a stream."""
    for request in requests:
        yield request


def sizes(replies):
    """Bytes of the replies' payloads, which are zeros."""
    assert not any(any(reply.payload.body) for reply in replies)
    return tuple(len(reply.payload.body) for reply in replies)


async def status_of(call):
    """(code, details) of a call that fails while its reply is awaited."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), raised.value.details()


async def status_of_stream(call):
    """(code, details) of a call that fails while its replies are read."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in call:
            pass
    return raised.value.code(), raised.value.details()


async def empty_unary(channel, tap):
    assert await Stub(channel).EmptyCall(Empty(), timeout=LONG_S) == Empty()
    assert tap.messages() == ([(False, 0)], [(False, 0)])


async def cacheable_unary(channel, _tap):
    """There is no cache and no GET here: two calls, two times."""
    request = SimpleRequest(payload=Payload(body=b"%d" % time.time_ns()))
    metadata = (("x-user-ip", "1.2.3.4"),)
    replies = [await Stub(channel).CacheableUnaryCall(request, metadata=metadata, timeout=LONG_S) for _ in range(2)]
    assert replies[0].payload.body < replies[1].payload.body


async def large_unary(channel, _tap):
    assert sizes([await Stub(channel).UnaryCall(large(), timeout=LONG_S)]) == (REPLY_BYTES,)


async def client_compressed_unary(channel, tap):
    for compression in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
        expected = compression is grpc.Compression.Gzip
        request = large(expect_compressed=BoolValue(value=expected))
        assert sizes([await Stub(channel).UnaryCall(request, compression=compression, timeout=LONG_S)]) == (
            REPLY_BYTES,
        )
        assert [compressed for compressed, _ in tap.messages()[0]][-1] is expected


async def server_compressed_unary(channel, tap):
    for wanted in (True, False):
        request = large(response_compressed=BoolValue(value=wanted))
        assert sizes([await Stub(channel).UnaryCall(request, timeout=LONG_S)]) == (REPLY_BYTES,)
        assert [compressed for compressed, _ in tap.messages()[1]][-1] is wanted


async def client_streaming(channel, _tap):
    requests = [InputRequest(payload=zeros(size)) for size in STREAM_REQUESTS]
    reply = await Stub(channel).StreamingInputCall(each(requests), timeout=LONG_S)
    assert reply.aggregated_payload_size == 74_922


async def client_compressed_streaming(channel, tap):
    """Of a whole call: grpc.aio's clients cannot choose for a single message."""
    requests = [InputRequest(payload=zeros(size), expect_compressed=BoolValue(value=True)) for size in (27_182, 45_904)]
    call = Stub(channel).StreamingInputCall(each(requests), compression=grpc.Compression.Gzip, timeout=LONG_S)
    assert (await call).aggregated_payload_size == 73_086
    assert [compressed for compressed, _ in tap.messages()[0]] == [True, True]


async def server_streaming(channel, _tap):
    request = OutputRequest(response_parameters=[ResponseParameters(size=size) for size in STREAM_REPLIES])
    replies = [reply async for reply in Stub(channel).StreamingOutputCall(request, timeout=LONG_S)]
    assert sizes(replies) == STREAM_REPLIES


async def server_compressed_streaming(channel, tap):
    wanted = [
        ResponseParameters(size=size, compressed=BoolValue(value=compressed))
        for size, compressed in ((31_415, True), (92_653, False))
    ]
    call = Stub(channel).StreamingOutputCall(OutputRequest(response_parameters=wanted), timeout=LONG_S)
    assert sizes([reply async for reply in call]) == (31_415, 92_653)
    assert [compressed for compressed, _ in tap.messages()[1]] == [True, False]


async def ping_pong(channel, _tap):
    replied, replies = asyncio.Semaphore(1), []

    async def requests():
        for size, request_size in zip(STREAM_REPLIES, STREAM_REQUESTS, strict=True):
            await replied.acquire()
            yield output(size, request_size)
        await replied.acquire()

    async for reply in Stub(channel).FullDuplexCall(requests(), timeout=LONG_S):
        replies.append(reply)
        replied.release()
    assert sizes(replies) == STREAM_REPLIES


async def half_duplex(channel, _tap):
    requests = [output(size, request_size) for size, request_size in zip(STREAM_REPLIES, STREAM_REQUESTS, strict=True)]
    replies = [reply async for reply in Stub(channel).HalfDuplexCall(each(requests), timeout=LONG_S)]
    assert sizes(replies) == STREAM_REPLIES


async def empty_stream(channel, tap):
    assert [reply async for reply in Stub(channel).FullDuplexCall(each([]), timeout=LONG_S)] == []
    assert tap.messages() == ([], [])


async def custom_metadata(channel, _tap):
    """Both kinds of call."""
    unary = Stub(channel).UnaryCall(large(), metadata=METADATA, timeout=LONG_S)
    assert sizes([await unary]) == (REPLY_BYTES,)
    stream = Stub(channel).FullDuplexCall(each([output(REPLY_BYTES, REQUEST_BYTES)]), metadata=METADATA, timeout=LONG_S)
    assert sizes([reply async for reply in stream]) == (REPLY_BYTES,)
    for call in (unary, stream):
        assert METADATA[0] in tuple(await call.initial_metadata())
        assert METADATA[1] in tuple(await call.trailing_metadata())


async def status_code_and_message(channel, _tap):
    await _echoed(channel, "test status message")


async def special_status_message(channel, _tap):
    await _echoed(channel, SPECIAL)


async def _echoed(channel, words):
    echoed, expected = EchoStatus(code=2, message=words), (grpc.StatusCode.UNKNOWN, words)
    unary = Stub(channel).UnaryCall(SimpleRequest(response_status=echoed), timeout=LONG_S)
    assert await status_of(unary) == expected
    stream = Stub(channel).FullDuplexCall(each([OutputRequest(response_status=echoed)]), timeout=LONG_S)
    assert await status_of_stream(stream) == expected


async def unimplemented_method(channel, _tap):
    code, _ = await status_of(Stub(channel).UnimplementedCall(Empty(), timeout=LONG_S))
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def unimplemented_service(channel, _tap):
    code, _ = await status_of(Stub(channel, SERVICES[1]).UnimplementedCall(Empty(), timeout=LONG_S))
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def cancel_after_begin(channel, _tap):
    call = Stub(channel).StreamingInputCall(_never())
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() is grpc.StatusCode.CANCELLED


async def cancel_after_first_response(channel, _tap):
    async def requests():
        yield output(STREAM_REPLIES[0], STREAM_REQUESTS[0])
        await asyncio.Event().wait()

    call = Stub(channel).FullDuplexCall(requests())
    replies = aiter(call)
    assert sizes([await anext(replies)]) == STREAM_REPLIES[:1]
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await anext(replies)
    assert await call.code() is grpc.StatusCode.CANCELLED


async def timeout_on_sleeping_server(channel, _tap):
    async def requests():
        yield OutputRequest(payload=zeros(STREAM_REQUESTS[0]))
        await asyncio.Event().wait()

    code, _ = await status_of_stream(Stub(channel).FullDuplexCall(requests(), timeout=SHORT_S))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def rpc_soak(channel, _tap):
    """Many large calls, one after another, on one channel."""
    for _ in range(SOAK_CALLS):
        await large_unary(channel, None)


async def concurrent_large_unary(channel, _tap):
    """The published case has 1,000 calls and no other description."""
    await asyncio.gather(*(large_unary(channel, None) for _ in range(SOAK_CALLS)))


async def _never():
    """Requests that never come."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    for nothing in ():
        yield nothing


CASES = (
    empty_unary,
    cacheable_unary,
    large_unary,
    client_compressed_unary,
    server_compressed_unary,
    client_streaming,
    client_compressed_streaming,
    server_streaming,
    server_compressed_streaming,
    ping_pong,
    half_duplex,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    rpc_soak,
    concurrent_large_unary,
)

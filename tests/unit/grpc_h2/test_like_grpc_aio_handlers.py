# SPDX-License-Identifier: GPL-3.0-or-later
"""Handlers: what they return, raise, read and write, and how they end, as with grpc.aio."""

import asyncio

import grpc

from tests.like_grpc_aio import Cases, all_of, each, echo, ending, never, outcome, refused

case = Cases()
CODE = grpc.StatusCode


@case(server=("the details of a handler that raised", "UNKNOWN", False, (("x-set", "1"),)))
async def a_handler_that_raises(stage):
    async def serve(_request, context):
        context.set_trailing_metadata((("x-set", "1"),))
        raise LookupError("a secret")

    code, details, _, trailing = await refused(stage.unary_unary(serve)(b"x"))
    stage.note(code)
    stage.note("a secret" in details)
    return trailing


@case
async def a_handler_that_raises_after_it_set_a_code(stage):
    async def serve(_request, context):
        context.set_code(CODE.NOT_FOUND)
        raise LookupError("x")

    return await outcome(stage.unary_unary(serve)(b"x"))


@case
async def a_handler_that_raises_after_a_reply(stage):
    async def serve(_request, _context):
        yield b"one"
        raise LookupError("x")

    call = stage.unary_stream(serve)(b"x")
    return [await call.read(), await outcome(call.read())]


@case
async def replies_that_are_no_bytes(stage):
    async def text(_request, _context):
        return "Å"

    async def nothing(_request, _context):
        return None

    async def number(_request, _context):
        return 7

    return [await outcome(stage.unary_unary(handler)(b"x")) for handler in (text, nothing, number)]


@case
async def a_serialiser_that_fails(stage):
    return await outcome(stage.unary_unary(echo, writes=str.encode)(b"x"))


@case
async def a_deserialiser_that_fails(stage):
    return await outcome(stage.unary_unary(echo, reads=bytes.decode)(b"\xff"))


@case
async def messages_are_read_and_written(stage):
    async def serve(request, _context):
        return request + 1

    return await stage.unary_unary(serve, reads=int, writes=lambda reply: b"%d" % reply)(b"41")


@case
async def reading_and_writing_by_hand(stage):
    async def serve(_requests, context):
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(request * 2)
        stage.note(await context.read() is grpc.aio.EOF)
        context.set_trailing_metadata((("x-last", "1"),))

    call = stage.stream_stream(serve)(each(b"a", b"b"))
    return [await all_of(call), await ending(call)]


@case
async def reading_by_hand_for_one_reply(stage):
    async def serve(_requests, context):
        return (await context.read()) + (await context.read())

    return await stage.stream_unary(serve)(each(b"a", b"b", b"c"))


@case
async def requests_are_iterated_over_twice(stage):
    async def serve(requests, _context):
        first = await anext(aiter(requests))
        return first + b"".join([request async for request in requests])

    return await stage.stream_unary(serve)(each(b"a", b"b", b"c"))


@case
async def callbacks_come_after_the_handler(stage):
    ended = asyncio.Event()

    async def serve(request, context):
        def callback(done):
            stage.note("callback", done is context, done.done())
            ended.set()

        context.add_done_callback(callback)
        stage.note("handler")
        return request

    reply = await stage.unary_unary(serve)(b"x")
    await ended.wait()
    return reply


@case
async def callbacks_of_a_call_whose_caller_has_gone(stage):
    began, ended = asyncio.Event(), asyncio.Event()

    def callback(_context):
        stage.note("callback")
        ended.set()

    async def serve(_request, context):
        context.add_done_callback(callback)
        began.set()
        try:
            await never()
        finally:
            await asyncio.sleep(0.05)
            stage.note("handler")

    call = stage.unary_unary(serve)(b"x")
    await began.wait()
    call.cancel()
    await ended.wait()


@case
async def a_callback_that_raises(stage):
    ended = asyncio.Event()

    async def serve(request, context):
        context.add_done_callback(lambda _: ended.set() or 1 / 0)
        return request

    reply = await stage.unary_unary(serve)(b"x")
    await ended.wait()
    return reply


@case
async def a_deadline_ends_the_handler(stage):
    ended = asyncio.Event()

    async def serve(_request, _context):
        try:
            await never()
        except asyncio.CancelledError:
            stage.note("cancelled")
            raise
        finally:
            ended.set()

    result = await outcome(stage.unary_unary(serve)(b"x", timeout=0.2))
    await ended.wait()
    return result


@case(server=("cancelled() of a context whose caller has gone", True))
async def whether_the_caller_has_gone(stage):
    began, ended = asyncio.Event(), asyncio.Event()
    gone = []

    async def serve(_request, context):
        began.set()
        try:
            await never()
        finally:
            gone.append(context.cancelled())
            ended.set()

    call = stage.unary_unary(serve)(b"x")
    await began.wait()
    call.cancel()
    await ended.wait()
    return gone[0]


test_handlers = case.test()

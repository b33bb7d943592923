# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls as their caller sees them: what they return, raise and say of themselves, as grpc.aio's."""

import asyncio

import grpc

from tests.like_grpc_aio import Cases, all_of, count, double, each, echo, ending, join, never, outcome, refused

case = Cases()


async def abort(_request, context):
    await context.abort(grpc.StatusCode.NOT_FOUND, "not here", (("x-why", "because"),))


@case
async def a_reply(stage):
    call = stage.unary_unary(echo)(b"x", timeout=10)
    return [await call, await call, await ending(call), call.cancel(), call.time_remaining() is None]


@case
async def an_error(stage):
    call = stage.unary_unary(abort)(b"x", timeout=10)
    return [await refused(call), await refused(call), await ending(call)]


@case
async def the_end_without_awaiting_the_reply(stage):
    return await ending(stage.unary_unary(abort)(b"x"))


@case
async def nothing_is_known_at_first(stage):
    call = stage.unary_unary(echo)(b"x")
    known = (call.done(), call.cancelled(), call.time_remaining())
    await call
    return known


@case
async def text_of_an_error(stage):
    try:
        await stage.unary_unary(abort)(b"")
    except grpc.aio.AioRpcError as error:
        return str(error).splitlines()[:3], error.args


@case
async def cancelled_at_once(stage):
    call = stage.unary_unary(never)(b"x")
    first, second = call.cancel(), call.cancel()
    return [first, second, await outcome(call), await outcome(call), await ending(call)]


@case
async def cancelled_under_way(stage):
    began = asyncio.Event()

    async def wait(_request, _context):
        began.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            stage.note("cancelled")
            raise
        finally:
            ended.set()

    ended = asyncio.Event()
    call = stage.unary_unary(wait)(b"x")
    waiting = asyncio.ensure_future(outcome(call))
    await began.wait()
    call.cancel()
    result = await waiting
    await ended.wait()
    return [result, await ending(call)]


@case
async def its_task_is_cancelled(stage):
    call = stage.unary_unary(never)(b"x")

    async def wait():
        return await call

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.1)
    task.cancel()
    return [await outcome(task), await ending(call)]


@case
async def who_waits_for_the_code_is_cancelled_alone(stage):
    go = asyncio.Event()

    async def wait(request, _context):
        await go.wait()
        return request

    call = stage.unary_unary(wait)(b"x")
    task = asyncio.create_task(call.code())
    await asyncio.sleep(0.1)
    task.cancel()
    cancelled = await outcome(task)
    go.set()
    return [cancelled, await call]


@case
async def cancelled_by_the_server(stage):
    async def cancel(_request, context):
        await context.abort(grpc.StatusCode.CANCELLED, "by the server")

    call = stage.unary_unary(cancel)(b"x")
    return [await refused(call), await ending(call)]


@case
async def too_late(stage):
    call = stage.unary_unary(never)(b"x", timeout=0.2)
    remaining = call.time_remaining()
    return [0 < remaining <= 0.2, await outcome(call), call.time_remaining(), call.cancelled()]


@case
async def too_late_before_it_began(stage):
    async def serve(_request, _context):
        stage.note("served")

    call = stage.unary_unary(serve)(b"x", timeout=-1)
    return [await outcome(call), await call.details()]


@case
async def callbacks(stage):
    call = stage.unary_unary(echo)(b"x")
    call.add_done_callback(lambda done: stage.note("first", done is call, done.done()))
    call.add_done_callback(lambda _: stage.note("second"))
    reply = await call
    call.add_done_callback(lambda _: stage.note("late"))
    return reply


@case
async def callbacks_of_a_cancelled_call(stage):
    call = stage.unary_unary(never)(b"x")
    call.add_done_callback(lambda done: stage.note("done", done.cancelled()))
    call.cancel()
    return await outcome(call)


@case
async def no_such_method(stage):
    call = stage.channel.unary_unary("/test.Like/None")(b"x")
    return [await outcome(call), (await call.code()).name]


@case
async def waiting_for_the_connection(stage):
    unary = stage.unary_unary(echo)(b"x")
    await unary.wait_for_connection()
    failing = stage.unary_unary(abort)(b"x")
    stream = stage.unary_stream(count)(b"2")
    await stream.wait_for_connection()
    both = stage.stream_stream(double)()
    await both.wait_for_connection()
    await both.done_writing()
    return [await unary, await outcome(failing.wait_for_connection()), await all_of(stream), await all_of(both)]


@case(client=("a serialiser that raises", ["LookupError"]))
async def a_serialiser_that_raises(stage):
    def bad(_message):
        raise LookupError("bad")

    async def ask():
        return await stage.unary_unary(echo, bad)(b"x")

    return [await outcome(ask())]


@case(client=("a deserialiser that raises", ["LookupError"]))
async def a_deserialiser_that_raises(stage):
    def bad(_content):
        raise LookupError("bad")

    return [await outcome(stage.unary_unary(echo, None, bad)(b"x"))]


@case
async def messages_are_written_and_read(stage):
    ask = stage.unary_unary(echo, str.encode, bytes.decode)
    stream = stage.stream_stream(double, str.encode, bytes.decode)
    return [await ask("Å"), await all_of(stream(each("Å", "Ö")))]


@case
async def a_request_that_is_too_large(stage):
    call = stage.unary_unary(echo)(b"x" * (4 * 1024 * 1024 + 1))
    return [await outcome(call), (await call.code()).name, await stage.unary_unary(echo)(b"fine")]


@case
async def kinds_of_calls(stage):
    calls = [
        (stage.unary_unary(echo)(b"1"), grpc.aio.UnaryUnaryCall),
        (stage.unary_stream(count)(b"1"), grpc.aio.UnaryStreamCall),
        (stage.stream_unary(join)([b"1"]), grpc.aio.StreamUnaryCall),
        (stage.stream_stream(double)([b"1"]), grpc.aio.StreamStreamCall),
    ]
    kinds = [(isinstance(call, kind), isinstance(call, grpc.aio.Call)) for call, kind in calls]
    for call, _ in calls:
        call.cancel()
    return kinds


@case
async def two_tasks_await_one_call(stage):
    call = stage.unary_unary(echo)(b"x", timeout=10)

    async def wait():
        return await call

    return await asyncio.gather(wait(), wait())


@case
async def callbacks_of_a_stream_of_requests(stage):
    call = stage.stream_unary(join)([b"a"])
    call.add_done_callback(lambda _: stage.note("called"))
    return [await call, (await call.code()).name]


@case
async def one_reply_to_a_stream_that_is_cancelled(stage):
    call = stage.stream_unary(join)()
    await call.write(b"a")
    call.cancel()
    return [await outcome(call), await outcome(call.write(b"b")), await ending(call)]


@case
async def who_awaits_one_reply_to_a_stream_is_cancelled(stage):
    call = stage.stream_unary(join)()
    await call.write(b"a")

    async def wait():
        return await call

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.05)
    task.cancel()
    return [await outcome(task), await ending(call)]


@case
async def too_late_between_requests(stage):
    call = stage.stream_unary(never)(timeout=0.3)
    await call.write(b"a")
    return [await outcome(call), (await call.code()).name, await outcome(call.write(b"b"))]


test_calls = case.test()

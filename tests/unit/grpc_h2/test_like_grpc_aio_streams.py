# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of requests and of replies as their caller sees them, as grpc.aio's."""

import asyncio

import grpc

from tests.like_grpc_aio import Cases, all_of, count, double, each, ending, join, never, outcome, refused

case = Cases()


async def some_then_abort(_request, context):
    yield b"one"
    yield b"two"
    await context.abort(grpc.StatusCode.OUT_OF_RANGE, "no more")


@case
async def too_late_in_a_stream(stage):
    async def serve(_request, _context):
        yield b"one"
        await never()

    replies = []

    async def read():
        async for reply in stage.unary_stream(serve)(b"x", timeout=0.3):
            replies.append(reply)  # noqa: PERF401  # those before the error count

    return [await outcome(read()), replies]


@case
async def initial_metadata_comes_before_the_reply(stage):
    go = asyncio.Event()

    async def serve(request, context):
        await context.send_initial_metadata((("x-first", "1"),))
        await go.wait()
        yield request

    call = stage.unary_stream(serve)(b"x")
    initial = tuple(await call.initial_metadata())
    done = call.done()
    go.set()
    return [initial, done, await all_of(call), tuple(await call.initial_metadata())]


@case
async def a_stream_of_replies(stage):
    call = stage.unary_stream(count)(b"3")
    replies = await all_of(call)
    return [replies, await ending(call), await all_of(call), await outcome(call.read())]


@case
async def a_stream_without_replies(stage):
    call = stage.unary_stream(count)(b"0")
    return [await outcome(call.read()), await ending(call)]


@case
async def a_stream_that_ends_with_an_error(stage):
    call = stage.unary_stream(some_then_abort)(b"x")
    replies = []

    async def read():
        async for reply in call:
            replies.append(reply)  # noqa: PERF401  # those before the error count

    return [await refused(read()), replies, await ending(call)]


@case
async def reading_a_stream_that_ends_with_an_error(stage):
    call = stage.unary_stream(some_then_abort)(b"x")
    return [await call.read(), await call.read(), await refused(call.read()), await refused(call.read())]


@case
async def reading_to_the_end(stage):
    call = stage.unary_stream(count)(b"2")
    read = [await call.read() for _ in range(4)]
    return [read, [item is grpc.aio.EOF for item in read], await ending(call)]


@case
async def iterating_after_reading(stage):
    call = stage.unary_stream(count)(b"3")
    await call.read()
    try:
        aiter(call)
    except grpc.aio.UsageError as error:
        return str(error)


@case
async def reading_after_iterating(stage):
    call = stage.unary_stream(count)(b"3")
    first = await anext(aiter(call))
    return [first, await outcome(call.read()), await anext(aiter(call)), aiter(call) is aiter(call)]


@case
async def a_stream_is_cancelled(stage):
    async def serve(_request, _context):
        yield b"one"
        await never()

    call = stage.unary_stream(serve)(b"x")
    first = await call.read()
    reading = asyncio.ensure_future(outcome(call.read()))
    await asyncio.sleep(0.05)
    call.cancel()
    return [first, await reading, await outcome(call.read()), await ending(call)]


@case
async def a_cancelled_stream_gives_no_more_replies(stage):
    call = stage.unary_stream(count)(b"100")
    replies = []

    async def read():
        async for reply in call:
            replies.append(reply)
            call.cancel()

    return [await outcome(read()), replies]


@case(client=("a stream whose replies are not read", [True, "OK", [b"0", b"1"]]))
async def the_end_of_a_stream_that_nobody_reads(stage):
    call = stage.unary_stream(count)(b"2")
    await asyncio.sleep(0.2)
    try:
        async with asyncio.timeout(0.2):
            code = (await call.code()).name
    except TimeoutError:
        code = "nobody knows"
    return [call.done(), code, await all_of(call)]


@case
async def who_reads_a_stream_is_cancelled(stage):
    async def serve(_request, _context):
        yield b"one"
        await never()

    call = stage.unary_stream(serve)(b"x")
    task = asyncio.create_task(all_of(call))
    await asyncio.sleep(0.1)
    task.cancel()
    return [await outcome(task), await ending(call)]


@case
async def a_stream_of_requests_from_a_generator(stage):
    call = stage.stream_unary(join)(each(b"a", b"b"), timeout=10)
    return [await call, await ending(call)]


@case
async def a_stream_of_requests_from_a_list(stage):
    return [await stage.stream_unary(join)([b"a", b"b"]), await stage.stream_unary(join)(iter(()))]


@case
async def written_requests(stage):
    call = stage.stream_unary(join)()
    await call.write(b"a")
    await call.write(b"b")
    await call.done_writing()
    await call.done_writing()
    return [await outcome(call.write(b"c")), await call, await outcome(call.write(b"c"))]


@case
async def writing_beside_a_generator(stage):
    call = stage.stream_unary(join)(each(b"a"))
    return [await outcome(call.write(b"b")), await outcome(call.done_writing()), await call]


@case
async def question_and_answer_in_turns(stage):
    call = stage.stream_stream(double)()
    answers = []
    for number in range(3):
        await call.write(b"%d" % number)
        answers.append(await call.read())
    await call.done_writing()
    return [answers, await call.read() is grpc.aio.EOF, await ending(call)]


@case
async def a_generator_of_requests_is_read_as_it_is_sent(stage):
    return await all_of(stage.stream_stream(double)(each(b"a", b"b", b"c")))


@case
async def an_answer_before_the_requests_end(stage):
    async def first(requests, _context):
        return await anext(aiter(requests))

    call = stage.stream_unary(first)()
    await call.write(b"a")
    reply = await call
    return [reply, await outcome(call.write(b"b")), await ending(call)]


@case
async def an_error_before_the_requests_end(stage):
    async def serve(requests, context):
        await anext(aiter(requests))
        async for reply in some_then_abort(b"", context):
            yield reply

    call = stage.stream_stream(serve)()
    await call.write(b"a")
    replies = [await call.read(), await call.read(), await refused(call.read())]
    return [replies, await outcome(call.write(b"b"))]


@case
async def writing_to_a_cancelled_call(stage):
    call = stage.stream_stream(double)()
    await call.write(b"a")
    call.cancel()
    return [await outcome(call.write(b"b")), await outcome(call.done_writing()), await outcome(call.read())]


@case(client=("an iterator of requests that raises", [["LookupError"], "CANCELLED"]))
async def a_generator_of_requests_that_raises(stage):
    async def requests():
        yield b"a"
        raise LookupError("no more")

    call = stage.stream_stream(double)(requests())

    async def read():
        async for _ in call:
            pass

    return [[await outcome(read())], (await call.code()).name]


@case
async def who_reads_one_reply_is_cancelled(stage):
    async def serve(_request, _context):
        yield b"one"
        await never()

    call = stage.unary_stream(serve)(b"x")
    first = await call.read()
    task = asyncio.create_task(call.read())
    await asyncio.sleep(0.05)
    task.cancel()
    return [first, await outcome(task), await ending(call), await outcome(call.read())]


@case
async def reading_ends_early_and_goes_on(stage):
    call = stage.unary_stream(count)(b"5")
    async for reply in call:
        if reply == b"1":
            break
    return [await anext(aiter(call)), await all_of(call), (await call.code()).name]


@case
async def writing_when_the_answer_is_whole(stage):
    async def first(requests, _context):
        yield await anext(aiter(requests))

    call = stage.stream_stream(first)()
    await call.write(b"a")
    replies = [await call.read(), await call.read() is grpc.aio.EOF]
    await call.code()
    return [replies, await outcome(call.write(b"b")), await outcome(call.done_writing()), await ending(call)]


@case
async def a_stream_without_requests(stage):
    call = stage.stream_stream(double)()
    await call.done_writing()
    return [await call.read() is grpc.aio.EOF, await outcome(call.write(b"a")), await ending(call)]


test_streams = case.test()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Handlers and what their context does for them, as grpc.aio's."""

import grpc

from tests.like_grpc_aio import Cases, all_of, count, echo, ending, kind_of, outcome, refused

case = Cases()
CODE = grpc.StatusCode


class Status(grpc.Status):
    """What `abort_with_status` takes."""

    code, details, trailing_metadata = CODE.DATA_LOSS, "lost", (("x-why", "status"),)


@case
async def before_anything_is_set(stage):
    async def serve(request, context):
        stage.note(context.code(), context.details(), tuple(context.trailing_metadata()))
        stage.note(context.done(), context.cancelled(), context.time_remaining())
        stage.note(isinstance(context, grpc.aio.ServicerContext) or type(context).__module__.startswith("grpc._cython"))
        return request

    return await stage.unary_unary(serve)(b"x")


@case
async def about_the_caller(stage):
    async def serve(request, context):
        stage.note(context.peer().rpartition(":")[0], context.peer_identities(), context.peer_identity_key())
        stage.note(context.auth_context())
        return request

    return await stage.unary_unary(serve)(b"x")


@case
async def the_time_that_is_left(stage):
    async def serve(request, context):
        stage.note(19 < context.time_remaining() <= 20.1)
        return request

    return await stage.unary_unary(serve)(b"x", timeout=20)


@case
async def everything_is_set(stage):
    async def serve(request, context):
        await context.send_initial_metadata((("x-first", "1"),))
        context.set_trailing_metadata((("x-last", "2"), ("x-last", "3"), ("x-last-bin", b"\x00\xff")))
        context.set_code(CODE.OK)
        context.set_details("all is well")
        stage.note(context.code().name, context.details(), tuple(context.trailing_metadata()))
        return request

    call = stage.unary_unary(serve)(b"x")
    return [await call, await ending(call)]


@case
async def a_code_and_a_reply(stage):
    async def serve(request, context):
        context.set_code(CODE.FAILED_PRECONDITION)
        context.set_details("not yet")
        context.set_trailing_metadata((("x-why", "early"),))
        return request

    return await refused(stage.unary_unary(serve)(b"x"))


@case
async def a_code_and_no_reply(stage):
    async def serve(_request, context):
        context.set_code(CODE.FAILED_PRECONDITION)

    return await refused(stage.unary_unary(serve)(b"x"))


@case
async def a_code_after_replies(stage):
    async def serve(_request, context):
        yield b"one"
        context.set_code(CODE.OUT_OF_RANGE)
        context.set_details("the end")

    call = stage.unary_stream(serve)(b"x")
    return [await call.read(), await refused(call.read())]


@case
async def codes_as_numbers(stage):
    async def serve(request, context):
        context.set_code(request[0])
        stage.note(context.code())
        return b""

    ask = stage.unary_unary(serve)
    return [await refused(ask(bytes([number]))) for number in (5, 99)]


@case
async def aborting(stage):
    async def serve(_request, context):
        try:
            await context.abort(CODE.ABORTED, "stop", (("x-why", "because"),))
        except grpc.aio.AbortError:
            stage.note(context.done(), context.code().name, context.details())
            raise

    observed = await refused(stage.unary_unary(serve)(b"x"))
    await stage.noted(1)
    return observed


@case
async def aborting_twice(stage):
    async def serve(_request, context):
        try:
            await context.abort(CODE.ABORTED, "stop")
        except grpc.aio.AbortError:
            stage.note(await outcome(context.abort(CODE.NOT_FOUND, "again")))
            raise

    observed = await refused(stage.unary_unary(serve)(b"x"))
    await stage.noted(1)
    return observed


@case
async def an_abort_that_is_swallowed(stage):
    async def serve(request, context):
        await outcome(context.abort(CODE.ABORTED, "stop"))
        stage.note(await outcome(context.send_initial_metadata(())))
        return request

    observed = await refused(stage.unary_unary(serve)(b"x"))
    await stage.noted(1)
    return observed


@case
async def writing_after_an_abort(stage):
    async def serve(_request, context):
        await context.write(b"one")
        await outcome(context.abort(CODE.ABORTED, "stop"))
        stage.note(await outcome(context.write(b"two")))

    call = stage.unary_stream(serve)(b"x")
    observed = [await call.read(), await refused(call.read())]
    await stage.noted(1)
    return observed


@case
async def aborting_with_what_was_set_before(stage):
    async def serve(_request, context):
        context.set_trailing_metadata((("x-set", "1"),))
        context.set_details("set before")
        await context.abort(CODE.ABORTED)

    return await refused(stage.unary_unary(serve)(b"x"))


@case
async def aborting_with_a_status(stage):
    async def serve(_request, context):
        await context.abort_with_status(Status())

    return await refused(stage.unary_unary(serve)(b"x"))


@case
async def aborting_after_initial_metadata(stage):
    async def serve(_request, context):
        await context.send_initial_metadata((("x-first", "1"),))
        await context.abort(CODE.ABORTED, "stop", (("x-last", "2"),))

    return await refused(stage.unary_unary(serve)(b"x"))


@case
async def headers_are_sent_once(stage):
    async def serve(_request, context):
        await context.send_initial_metadata((("x-first", "1"),))
        stage.note(await outcome(context.send_initial_metadata((("x-first", "2"),))))
        await context.write(b"one")
        stage.note(await outcome(context.send_initial_metadata((("x-first", "3"),))))

    call = stage.unary_stream(serve)(b"x")
    return [await all_of(call), await ending(call)]


@case
async def trailing_metadata_of_wrong_types(stage):
    async def serve(request, context):
        for metadata in ({"x": "1"}, (("x", 1),), (("x",),), "x", ((1, "x"),)):
            try:
                context.set_trailing_metadata(metadata)
            except (TypeError, ValueError):
                stage.note("refused")
            else:
                stage.note("taken")
        return request

    return await stage.unary_unary(serve)(b"x")


WRONG = ("TypeError", "TypeError", "InternalError", "InternalError", "TypeError")


@case(server=("initial metadata that cannot be sent", *WRONG, b"x"))
async def initial_metadata_of_wrong_types(stage):
    async def serve(request, context):
        for metadata in ((("x", 1),), ((1, "x"),), (("X", "1"),), (("x", "Å"),), (("x-bin", "text"),)):
            stage.note(await outcome(context.send_initial_metadata(metadata)))
        return request

    result = await outcome(stage.unary_unary(serve)(b"x"))
    await stage.noted(len(WRONG))
    return result


@case
async def compression_is_set_before_headers(stage):
    async def serve(request, context):
        context.set_compression(grpc.Compression.Gzip)
        await context.send_initial_metadata(())
        try:
            context.set_compression(grpc.Compression.NoCompression)
        except RuntimeError as error:
            stage.note(kind_of(error))
        return request

    return await stage.unary_unary(serve)(b"x" * 1_000)


@case
async def compressed_replies(stage):
    async def serve(request, context):
        context.set_compression(grpc.Compression(request[0]))
        for size in (0, 1, 1_000, 100_000):
            context.disable_next_message_compression()
            await context.write(b"x" * size)
            await context.write(b"y" * size)

    ask = stage.unary_stream(serve)
    return [[len(reply) for reply in await all_of(ask(bytes([number])))] for number in (0, 1, 2)]


@case
async def compressed_requests(stage):
    body = b"x" * 100_000
    sent = []
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Deflate, grpc.Compression.Gzip):
        sent.append(await stage.unary_unary(echo)(body, compression=compression) == body)
        sent.append(len(await all_of(stage.unary_stream(count)(b"3", compression=compression))))
    return sent


@case
async def a_reply_that_is_too_large(stage):
    async def serve(_request, _context):
        return b"x" * (4 * 1024 * 1024 + 1)

    return await outcome(stage.unary_unary(serve)(b"x"))


test_contexts = case.test()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels, as grpc.aio's: their state, waiting for a server, and what closing does to calls."""

import asyncio
import contextlib
import socket

import grpc

from tests.like_grpc_aio import Cases, channel_to, count, echo, never, outcome

case = Cases()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def kind_of(stage):
    """Which side's the channel of a stage is."""
    return "grpc" if type(stage.channel).__module__.startswith("grpc.") else "ours"


@case
async def states(stage):
    channel = stage.channel
    states = [channel.get_state(), channel.get_state(try_to_connect=True)]
    await channel.channel_ready()
    states.append(channel.get_state())
    waiting = asyncio.ensure_future(outcome(channel.wait_for_state_change(grpc.ChannelConnectivity.READY)))
    await asyncio.sleep(0)
    await channel.close()
    return [*states, await waiting, channel.get_state()]


@case
async def a_state_that_is_another_already(stage):
    return await stage.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)


@case
async def a_closed_channel(stage):
    ask = stage.unary_unary(echo)
    await ask(b"x")
    await stage.channel.close()
    await stage.channel.close()

    async def begin():
        return await ask(b"x")

    ready = stage.channel.channel_ready
    return [await outcome(begin()), await outcome(ready()), stage.channel.get_state()]


@case
async def closing_cancels_what_is_under_way(stage):
    call = stage.unary_unary(never)(b"x")
    stream = stage.unary_stream(never)(b"x")
    waiting = [asyncio.ensure_future(outcome(call)), asyncio.ensure_future(outcome(stream.read()))]
    await asyncio.sleep(0.1)
    await stage.channel.close()
    return [await asyncio.gather(*waiting), (await call.code()).name, await call.details()]


@case
async def closing_with_a_grace_waits(stage):
    async def slow(request, _context):
        await asyncio.sleep(0.2)
        return request

    call = stage.unary_unary(slow)(b"x")
    waiting = asyncio.ensure_future(outcome(call))
    await asyncio.sleep(0.05)
    await stage.channel.close(5)
    return await waiting


@case
async def closing_with_a_grace_waits_for_a_connection_too(stage):
    call = stage.unary_unary(echo)(b"x")
    await stage.channel.close(5)
    return await outcome(call)


@case
async def closing_after_a_grace_cancels(stage):
    waiting = asyncio.ensure_future(outcome(stage.unary_unary(never)(b"x")))
    await asyncio.sleep(0.05)
    await stage.channel.close(0.1)
    return await waiting


@case
async def leaving_the_context_closes(stage):
    async with channel_to(kind_of(stage), stage.port) as channel:
        await channel.channel_ready()
    return channel.get_state()


@case
async def no_server(stage):
    async with channel_to(kind_of(stage), free_port()) as channel:
        call = channel.unary_unary("/test.Like/None")(b"x", timeout=10)
        return [await outcome(call), (await call.code()).name, call.cancelled()]


@case
async def waiting_for_a_server(stage):
    async with channel_to(kind_of(stage), free_port()) as channel:
        call = channel.unary_unary("/test.Like/None")(b"x", timeout=0.7, wait_for_ready=True)
        return await outcome(call)


@case
async def a_server_that_comes_later(stage):
    port = free_port()
    async with channel_to(kind_of(stage), port) as channel:
        call = channel.unary_unary("/test.Like/Echo")(b"x", timeout=15, wait_for_ready=True)
        waiting = asyncio.ensure_future(outcome(call))
        await asyncio.sleep(0.3)
        server = grpc.aio.server()
        handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Like", handlers)])
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        reply = await waiting
        await server.stop(None)
        return reply


@case
async def cancelling_the_wait_for_a_server(stage):
    async with channel_to(kind_of(stage), free_port()) as channel:
        call = channel.unary_unary("/test.Like/None")(b"x", wait_for_ready=True)
        waiting = asyncio.ensure_future(outcome(call))
        await asyncio.sleep(0.1)
        call.cancel()
        return await waiting


@case
async def kinds(stage):
    channel = stage.channel
    return [
        isinstance(channel, grpc.aio.Channel),
        isinstance(channel.unary_unary("/a/b"), grpc.aio.UnaryUnaryMultiCallable),
        isinstance(channel.unary_stream("/a/b"), grpc.aio.UnaryStreamMultiCallable),
        isinstance(channel.stream_unary("/a/b"), grpc.aio.StreamUnaryMultiCallable),
        isinstance(channel.stream_stream("/a/b"), grpc.aio.StreamStreamMultiCallable),
    ]


@case
async def credentials_of_a_call(stage):
    credentials = grpc.access_token_call_credentials("token")

    async def begin():
        return await stage.unary_unary(echo)(b"x", credentials=credentials)

    return await outcome(begin())


@case(client=("a call that nobody holds", "cancelled"))
async def a_call_that_nobody_holds(stage):
    began, ended = asyncio.Event(), asyncio.Event()

    async def serve(request, _context):
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.3)
            stage.events.append("served")
        ended.set()
        return request

    stage.unary_unary(serve)(b"x", timeout=10)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await began.wait()
            await ended.wait()
    return stage.events.pop() if stage.events else "cancelled"


@case
async def many_at_once(stage):
    ask = stage.unary_unary(echo)
    replies = await asyncio.gather(*(ask(b"%d" % number, timeout=20) for number in range(300)))
    stream = stage.unary_stream(count)
    return [replies == [b"%d" % number for number in range(300)], len([part async for part in stream(b"500")])]


test_channels = case.test()

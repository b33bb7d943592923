# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata and details both ways: what arrives of them, and what is refused, as with grpc.aio."""

import grpc
import pytest

from gateway.grpc_h2 import Server
from tests import raw_http2 as wire
from tests.like_grpc_aio import README, Cases, ending, observation, outcome, refused

case = Cases()
# What every call has, and what a transport names itself by.
_OWN = ("user-agent", "grpc-accept-encoding", "accept-encoding")


def own(metadata):
    """What is the caller's."""
    return tuple((item.key, item.value) for item in metadata if item.key not in _OWN)


def sent(name, *metadata, **differs):
    """A case: metadata that a caller sends, and a handler back."""

    async def play(stage):
        async def serve(request, context):
            came = own(context.invocation_metadata())
            stage.note(came)
            await context.send_initial_metadata(came)
            context.set_trailing_metadata(came)
            return request

        call = stage.unary_unary(serve)(b"x", metadata=metadata)
        return [await outcome(call), tuple(await call.initial_metadata()), tuple(await call.trailing_metadata())]

    play.__name__ = name
    case.add(play, differs)


def refuses(name, metadata, **differs):
    """A case: metadata that a caller cannot send."""

    async def play(stage):
        async def serve(request, _context):
            stage.note("served")
            return request

        ask = stage.unary_unary(serve)

        async def begin():
            return await ask(b"x", metadata=metadata)

        return [await outcome(begin()), await ask(b"still works")]

    play.__name__ = name
    case.add(play, differs)


def details(name, text, **differs):
    """A case: the details of a status."""

    async def play(stage):
        async def serve(_request, context):
            await context.abort(grpc.StatusCode.NOT_FOUND, text)

        return await refused(stage.unary_unary(serve)(b"x"))

    play.__name__ = name
    case.add(play, differs)


def _refused(row, error):
    return (row, "served", [error, b"still works"])


sent("none")
sent("text", ("x-text", 'a b, c; d="e" ~!#$%&\'()*+/<=>?@[]^`{|}'))
sent("text_as_bytes", ("x-text", b"abc"))
sent("nothing_as_text", ("x-text", ""))
sent("several_of_one_key", ("x-a", "1"), ("x-a", "2"), ("x-b", "3"))
sent("spaces_within", ("x-text", "a  b"))
sent("commas_in_text", ("x-text", "a,b"))
sent("bytes_of_every_value", ("x-all-bin", bytes(range(256))))
sent("nothing_as_bytes", ("x-all-bin", b""))
sent("bytes_with_padding_and_without", ("x-1-bin", b"a"), ("x-2-bin", b"ab"), ("x-3-bin", b"abc"))
sent("several_bytes_of_one_key", ("x-a-bin", b"a"), ("x-a-bin", b"\xff"))
sent("bytes_that_are_a_comma", ("x-a-bin", b","))
sent("all_characters_of_a_key", ("x-0_9.z", "1"))
sent("many", *((f"x-{number}", "x" * 40) for number in range(60)))
sent("names_that_grpc_keeps_for_later", ("grpc-x", "1"))
sent("a_user_agent", ("user-agent", "mine"), ("x-text", "a"))

refuses("a_key_in_capitals", (("X-A", "1"),))
refuses("a_key_with_a_space", (("x a", "1"),))
refuses("a_key_of_nothing", (("", "1"),))
refuses("a_pseudo_header", ((":path", "/"),))
refuses("a_key_that_is_not_ascii", (("x-å", "1"),))
refuses("a_value_that_is_not_ascii", (("x-a", "Å"),))
refuses("a_value_with_a_line_break", (("x-a", "a\nb"),))
refuses("a_value_with_a_tab", (("x-a", "a\tb"),))
refuses("a_value_with_a_nul", (("x-a", "a\0b"),))
refuses("bytes_that_are_not_ascii", (("x-a", b"\xff"),))
refuses("text_for_a_binary_key", (("x-a-bin", "text"),))
refuses("a_number", (("x-a", 1),))
refuses("a_key_that_is_a_number", ((1, "x"),))
refuses("three_parts", (("x-a", "1", "2"),))
refuses(
    "a_mapping",
    {"ab": "1", "cd": "2"},
    client=_refused("metadata given as a mapping", "ValueError"),
)
refuses(
    "nothing_for_a_value",
    (("x-a", None),),
    client=_refused("metadata whose value is None", "TypeError"),
)

for key in ("te", "content-type", "grpc-timeout", "grpc-status"):
    refuses(
        f"what_the_transport_sets_{key}",
        ((key, "1"),),
        client=_refused("metadata whose keys the transport sets", "InternalError"),
    )

for number, text in enumerate(("", "a", "a b", "Å ☉", "50 % of %41", "two\nlines\r\n", "\t\0\x7f", '"quoted"')):
    details(f"details_{number}", text)


@case
async def details_and_metadata_after_replies(stage):
    async def serve(_request, context):
        yield b"one"
        context.set_trailing_metadata((("x-last", "1"), ("x-last-bin", b"\x00")))
        await context.abort(grpc.StatusCode.DATA_LOSS, "half a ☉")

    call = stage.unary_stream(serve)(b"x")
    return [await call.read(), await refused(call.read()), await ending(call)]


@case
async def metadata_as_grpc_aio_keeps_it(stage):
    async def serve(request, context):
        stage.note(own(context.invocation_metadata()))
        await context.send_initial_metadata(grpc.aio.Metadata(("x-a", "1"), ("x-a", "2")))
        context.set_trailing_metadata(grpc.aio.Metadata(("x-b", "3")))
        return request

    call = stage.unary_unary(serve)(b"x", metadata=grpc.aio.Metadata(("x-b", "1"), ("x-a", "2"), ("x-b", "3")))
    initial = await call.initial_metadata()
    return [initial.get_all("x-a"), (await call.trailing_metadata())["x-b"], await call]


@case
async def a_status_with_details(stage):
    async def serve(_request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no", (("grpc-status-details-bin", b"\x08\x05"),))

    return await refused(stage.unary_unary(serve)(b"x"))


test_metadata = case.test()


async def blanks_in_metadata(stage):
    async def serve(request, context):
        came = own(context.invocation_metadata())
        context.set_trailing_metadata(came)
        return request

    call = stage.unary_unary(serve)(b"x", metadata=(("x-text", " a b "), ("x-blank", " ")))
    return [await outcome(call), tuple(await call.trailing_metadata())]


async def blanks_in_trailing_metadata(stage):
    async def serve(request, context):
        context.set_trailing_metadata((("x-text", " a b "),))
        return request

    call = stage.unary_unary(serve)(b"x")
    return [await outcome(call), tuple(await call.trailing_metadata())]


async def blanks_in_details(stage):
    async def serve(_request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, " not here ")

    return (await refused(stage.unary_unary(serve)(b"x")))[:2]


# HTTP/2 forbids white space at the ends of a field's value (RFC 9113, 8.2.1), gRPC sends it all the same. nghttp2
# resets such a stream. What we send has none; in details it is percent-encoded.
KEPT = [b"x", (("x-text", " a b "), ("x-blank", " "))]
STRIPPED = [b"x", (("x-text", "a b"), ("x-blank", ""))]
RESET = [("AioRpcError", "INTERNAL"), ()]


@pytest.mark.parametrize(
    ("play", "client", "server", "expected"),
    [
        (blanks_in_metadata, "grpc", "grpc", KEPT),
        (blanks_in_metadata, "ours", "grpc", STRIPPED),
        (blanks_in_metadata, "ours", "ours", STRIPPED),
        (blanks_in_metadata, "grpc", "ours", RESET),
        (blanks_in_trailing_metadata, "grpc", "grpc", [b"x", (("x-text", " a b "),)]),
        (blanks_in_trailing_metadata, "grpc", "ours", [b"x", (("x-text", "a b"),)]),
        (blanks_in_trailing_metadata, "ours", "ours", [b"x", (("x-text", "a b"),)]),
        (blanks_in_trailing_metadata, "ours", "grpc", RESET),
        (blanks_in_details, "grpc", "grpc", ("NOT_FOUND", " not here ")),
        (blanks_in_details, "grpc", "ours", ("NOT_FOUND", " not here ")),
        (blanks_in_details, "ours", "ours", ("NOT_FOUND", " not here ")),
        (blanks_in_details, "ours", "grpc", ("INTERNAL", "the stream was reset, with code 1 of HTTP/2")),
    ],
)
async def test_white_space_at_the_ends(play, client, server, expected):
    assert await observation(play, client, server) == [expected]
    assert "| white space at the ends of metadata |" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "parts"),
    [(b"YQ", [b"a"]), (b"YQ==", [b"a"]), (b"YWI=", [b"ab"]), (b"", [b""]), (b"YQ,Yg==,", [b"a", b"b", b""])],
)
async def test_binary_metadata_of_others(value, parts):
    """gRPC's specification has padding or none, and several values joined by commas."""
    seen = []

    class Handlers(grpc.GenericRpcHandler):
        def service(self, _handler_call_details):
            return grpc.unary_unary_rpc_method_handler(self.serve)

        async def serve(self, request, context):
            seen.extend(own(context.invocation_metadata()))
            return request

    server = Server(max_message_bytes=1_000, max_streams=10)
    server.add_generic_rpc_handlers([Handlers()])
    port = server.bind("127.0.0.1", 0)
    await server.start()
    async with wire.raw(port) as (reader, writer):
        writer.write(wire.request(1, b"/test.Like/Any", (b"x-a-bin", value), body=wire.message(b"x")))
        await wire.frames(reader, until=wire.DATA)
    await server.stop(None)
    assert [value for key, value in seen if key == "x-a-bin"] == parts

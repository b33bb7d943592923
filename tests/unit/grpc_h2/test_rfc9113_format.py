# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 9113, sections 3 and 4, by frames against our server: the preface, the format of frames, header compression."""

from tests import raw_http2 as wire
from tests.echo_server import serving
from tests.raw_http2 import block, frame, message, raw
from tests.rfc9113 import (
    COMPRESSION_ERROR,
    EXTENSION,
    FIELDS,
    FRAME_SIZE_ERROR,
    MAX_FRAME_BYTES,
    PROTOCOL_ERROR,
    answered,
    asked,
    check_server,
    closed,
    connection_error,
    continuation,
    data,
    headers,
    ignored,
    priority,
    settings,
    stream_error,
    table,
)

TOO_LARGE = bytes(MAX_FRAME_BYTES + 1)
HALF = len(FIELDS) // 2
START = headers(FIELDS[:HALF], 0)
UNDECODABLE, BROKEN, SIZE = (connection_error(code) for code in (COMPRESSION_ERROR, PROTOCOL_ERROR, FRAME_SIZE_ERROR))


@table(
    ("3.4", "no preface", b"GET / HTTP/1.1\r\nhost: here\r\n\r\n", closed),
    ("3.4", "a broken preface", wire.PREFACE[:-4] + b"XX\r\n" + settings(), closed),
    ("3.4", "no SETTINGS after the preface", wire.PREFACE + asked(), BROKEN),
    ("3.4", "an acknowledgement as the first frame", wire.PREFACE + settings(flags=wire.ACK), BROKEN),
    ("3.4", "a request before the server's preface", wire.PREFACE + settings() + asked(), answered(1)),
)
async def test_starting(frames, expected):
    await check_server(frames, expected, greet=False)


async def test_the_first_frame_of_a_server_is_settings():
    """Section 3.4."""
    async with serving() as (port, _, _), raw(port, greet=False) as (reader, _):
        first, *_ = await wire.frames(reader, until=wire.SETTINGS)
        assert first[:3] == (wire.SETTINGS, 0, 0)


@table(
    ("4.1", "an unknown type", frame(EXTENSION, 0xFF, 0, bytes(9)) + asked(), answered(1)),
    ("4.1", "an unknown type on a stream", asked(end=False) + frame(EXTENSION, 1, 1) + data(), answered(1)),
    ("4.1", "unknown flags", headers(FIELDS, wire.END_HEADERS | 0xD2) + data(flags=0xF7), answered(1)),
    ("4.1", "the reserved bit", headers(FIELDS, stream=2**31 + 1) + data(stream=2**31 + 1), answered(1)),
    ("4.2", "DATA of 2^14 bytes", asked(end=False) + data(message(bytes(2**14 - 5))), ignored),
    ("4.2", "DATA as large as allowed", asked(end=False) + data(message(bytes(MAX_FRAME_BYTES - 5))), ignored),
    ("4.2", "DATA that is too large", asked(end=False) + data(TOO_LARGE), stream_error(FRAME_SIZE_ERROR)),
    ("4.2", "HEADERS that are too large", headers(TOO_LARGE), SIZE),
    # nghttp2 does not look at the size of CONTINUATION; a block of that size breaks the limit of header lists.
    ("4.2", "CONTINUATION that is too large", headers(FIELDS, 0) + continuation(block((b"x", TOO_LARGE))), closed),
    ("4.2", "SETTINGS that are too large", frame(wire.SETTINGS, payload=TOO_LARGE), SIZE),
    ("4.2", "an unknown type that is too large", frame(EXTENSION, payload=TOO_LARGE), SIZE),
)
async def test_the_format_of_frames(frames, expected):
    await check_server(frames, expected)


@table(
    ("4.3", "index 0", headers(b"\x80"), UNDECODABLE),
    ("4.3", "an index beyond the table", headers(b"\xff\x7f"), UNDECODABLE),
    ("4.3", "a name beyond the table", headers(b"\x7f\x7f\x01x"), UNDECODABLE),
    ("4.3", "a block that ends within a field", headers(FIELDS[:HALF]), UNDECODABLE),
    ("4.3", "an endless integer", headers(b"\x7f" + b"\xff" * 9), UNDECODABLE),
    # RFC 7541, 5.2: thirty ones are the end symbol, "a" (00011) is padded with ones, by less than a byte.
    ("4.3", "Huffman code with its end symbol", headers(FIELDS + b"\x00\x01x\x84" + b"\xff" * 4), UNDECODABLE),
    ("4.3", "Huffman code padded by zeros", headers(FIELDS + b"\x00\x01x\x81\x18"), UNDECODABLE),
    ("4.3", "Huffman code padded by a byte", headers(FIELDS + b"\x00\x01x\x82\x1f\xff"), UNDECODABLE),
    ("4.3", "Huffman code", headers(FIELDS + b"\x00\x01x\x81\x1f") + data(), answered(1)),
    # RFC 7541, 6.3.
    ("4.3", "a table larger than allowed", headers(b"\x3f\xe2\x1f" + FIELDS), UNDECODABLE),
    ("4.3", "a size of the table after a field", headers(FIELDS + b"\x20"), UNDECODABLE),
    ("4.3", "two sizes of the table", headers(b"\x20\x3f\xe1\x1f" + FIELDS) + data(), answered(1)),
    ("4.3", "PRIORITY within a block", START + priority(), BROKEN),
    ("4.3", "DATA within a block", START + data(), BROKEN),
    ("4.3", "another stream's HEADERS within a block", START + asked(3), BROKEN),
    ("5.5", "an unknown type within a block", START + frame(EXTENSION), BROKEN),
)
async def test_header_blocks(frames, expected):
    await check_server(frames, expected)

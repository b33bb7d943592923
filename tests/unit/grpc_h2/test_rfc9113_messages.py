# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 9113, section 8, by frames against our server: messages, fields, pseudo-header fields."""

from tests.raw_http2 import END_HEADERS, END_STREAM, block
from tests.rfc9113 import (
    ASKED,
    BODY,
    GRPC,
    PROTOCOL_ERROR,
    answered,
    asked,
    check_server,
    data,
    headers,
    stream_error,
    table,
)

MALFORMED = stream_error(PROTOCOL_ERROR)
OPEN, LAST = asked(end=False), END_HEADERS | END_STREAM
METHOD, SCHEME, PATH, AUTHORITY = ASKED


def call(*fields):
    """A call with these fields."""
    return headers(block(*fields)) + data()


def more(*fields):
    """A call with these fields beside the usual ones."""
    return call(*ASKED, *GRPC, *fields)


def sized(size):
    """The headers of a call that say how long its body is."""
    return headers(block(*ASKED, *GRPC, (b"content-length", size)))


@table(
    ("8.1", "trailers", OPEN + data(flags=0) + headers(block((b"x-last", b"1")), LAST), answered(1)),
    ("8.1", "trailers that do not end the stream", OPEN + data(flags=0) + headers(block((b"x-last", b"1"))), MALFORMED),
    ("8.1", "trailers before DATA", OPEN + headers(block((b"x-last", b"1"))) + data(), MALFORMED),
    ("8.1.1", "content-length", sized(b"%d" % len(BODY)) + data(), answered(1)),
    ("8.1.1", "content-length above the body's", sized(b"%d" % (len(BODY) + 1)) + data(), MALFORMED),
    ("8.1.1", "content-length below the body's", sized(b"%d" % (len(BODY) - 1)) + data(), MALFORMED),
    ("8.1.1", "content-length of parts", sized(b"6") + data(BODY[:2], 0) + data(BODY[2:]), answered(1)),
    ("8.1.1", "content-length above the sum of parts", sized(b"7") + data(BODY[:2], 0) + data(BODY[2:]), MALFORMED),
    ("8.1.1", "content-length that is no number", sized(b"-1") + data(), MALFORMED),
    ("8.1.1", "two lengths", headers(block(*ASKED, (b"content-length", b"6"), (b"content-length", b"7"))), MALFORMED),
)
async def test_messages(frames, expected):
    await check_server(frames, expected)


@table(
    ("8.2.1", "a name in capitals", more((b"X-Test", b"1")), MALFORMED),
    ("8.2.1", "an empty name", more((b"", b"1")), MALFORMED),
    ("8.2.1", "a blank in a name", more((b"x test", b"1")), MALFORMED),
    ("8.2.1", "a colon in a name", more((b"x:test", b"1")), MALFORMED),
    ("8.2.1", "a byte above 127 in a name", more((b"x\xe5", b"1")), MALFORMED),
    ("8.2.1", "NUL in a value", more((b"x-test", b"a\x00b")), MALFORMED),
    ("8.2.1", "CR in a value", more((b"x-test", b"a\rb")), MALFORMED),
    ("8.2.1", "LF in a value", more((b"x-test", b"a\nb")), MALFORMED),
    ("8.2.1", "a blank before a value", more((b"x-test", b" a")), MALFORMED),
    ("8.2.1", "a tabulator after a value", more((b"x-test", b"a\t")), MALFORMED),
    ("8.2.1", "an empty value", more((b"x-test", b"")), answered(1)),
    ("8.2.2", "connection", more((b"connection", b"keep-alive")), MALFORMED),
    ("8.2.2", "keep-alive", more((b"keep-alive", b"1")), MALFORMED),
    ("8.2.2", "proxy-connection", more((b"proxy-connection", b"close")), MALFORMED),
    ("8.2.2", "transfer-encoding", more((b"transfer-encoding", b"chunked")), MALFORMED),
    ("8.2.2", "upgrade", more((b"upgrade", b"h2c")), MALFORMED),
    ("8.2.2", "te: gzip", call(*ASKED, (b"te", b"gzip"), GRPC[1]), MALFORMED),
    ("8.2.3", "several cookies", more((b"cookie", b"a=1"), (b"cookie", b"b=2")), answered(1)),
)
async def test_fields(frames, expected):
    await check_server(frames, expected)


@table(
    ("8.3", "an unknown one", call(*ASKED, (b":test", b"1"), *GRPC), MALFORMED),
    ("8.3", "one of responses", call(*ASKED, (b":status", b"200"), *GRPC), MALFORMED),
    ("8.3", "one after other fields", call(METHOD, SCHEME, PATH, *GRPC, AUTHORITY), MALFORMED),
    ("8.3", "one in trailers", OPEN + data(flags=0) + headers(block(METHOD), LAST), MALFORMED),
    ("8.3.1", "no method", call(SCHEME, PATH, AUTHORITY, *GRPC), MALFORMED),
    ("8.3.1", "no scheme", call(METHOD, PATH, AUTHORITY, *GRPC), MALFORMED),
    ("8.3.1", "no path", call(METHOD, SCHEME, AUTHORITY, *GRPC), MALFORMED),
    ("8.3.1", "no authority", call(METHOD, SCHEME, PATH, *GRPC), MALFORMED),
    ("8.3.1", "a host instead of an authority", call(METHOD, SCHEME, PATH, (b"host", b"here"), *GRPC), answered(1)),
    ("8.3.1", "an empty path", call(METHOD, SCHEME, (b":path", b""), AUTHORITY, *GRPC), MALFORMED),
    ("8.3.1", "two methods", call(METHOD, METHOD, SCHEME, PATH, AUTHORITY, *GRPC), MALFORMED),
    ("8.3.1", "two schemes", call(METHOD, SCHEME, SCHEME, PATH, AUTHORITY, *GRPC), MALFORMED),
    ("8.3.1", "two paths", call(METHOD, SCHEME, PATH, PATH, AUTHORITY, *GRPC), MALFORMED),
    ("8.3.1", "two authorities", call(METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY, *GRPC), MALFORMED),
)
async def test_pseudo_header_fields(frames, expected):
    await check_server(frames, expected)

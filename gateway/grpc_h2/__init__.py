# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC over HTTP/2 in the event loop's own thread, at a tenth of grpc.aio's processor time a call.

Both ends have a `link` (a `session` of HTTP/2 over a transport), read and write by `wire`'s rules, and apply
back-pressure (`flow`). `server/` serves calls, `client/` makes them.
"""

from gateway.grpc_h2.client import Channel
from gateway.grpc_h2.errors import InvalidMetadata, MessageTooLarge, ReplyTooLarge, TooMuchMetadata
from gateway.grpc_h2.server import Server

__all__ = ["Channel", "InvalidMetadata", "MessageTooLarge", "ReplyTooLarge", "Server", "TooMuchMetadata"]

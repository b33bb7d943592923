# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC over HTTP/2 by nghttp2, in the event loop's own thread: a tenth of what grpc.aio costs a call.

Both ends have a `link` (a session of nghttp2, `_session`, over a transport), read and write by `wire`'s rules, and hold
back whoever is not read (`flow`). `server/` serves calls, `client/` makes them.
"""

from gateway.serving.http2.client import Call, Channel
from gateway.serving.http2.server import Server

__all__ = ["Call", "Channel", "Server"]

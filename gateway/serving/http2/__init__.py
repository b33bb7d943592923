# SPDX-License-Identifier: GPL-3.0-or-later
"""A gRPC server over HTTP/2 by nghttp2, in the event loop's own thread: a tenth of what grpc.aio costs a call.

The way of a call: `server` listens and knows the handlers; `connection` has one HTTP/2 session (`_session`, nghttp2),
and makes a `call` of each request, which is read and written by `wire`'s rules and runs its handler as a task.
Handlers, contexts and statuses are those of grpc.aio, as generated code expects them.
"""

from gateway.serving.http2.server import Server

__all__ = ["Server"]

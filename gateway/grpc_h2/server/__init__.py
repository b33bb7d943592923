# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's serving side. Handlers, contexts and statuses are those of grpc.aio, as generated code expects them.

The way of a call: `server` listens and knows the handlers; `connection` makes a `call` of each request; `handling` runs
its handler as a task, and `context` is what the handler finds.
"""

from gateway.grpc_h2.server.server import Server

__all__ = ["Server"]

# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's calling side. A channel has grpc.aio's multi-callables, as generated stubs expect them, and raises its errors.

The way of a call: `channel` picks the connection whose turn it is, of those that its `subchannel`s keep open to the
addresses of its `target`; `call` makes one `attempt` after another on `connection`s, until one has `ended` for good.
"""

from gateway.grpc_h2.client.call import Call
from gateway.grpc_h2.client.channel import Channel

__all__ = ["Call", "Channel"]

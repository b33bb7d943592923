# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's calling side. A channel has grpc.aio's multi-callables, as generated stubs expect them, and raises its errors.

The way of a call: one of the `multi_callables` begins it; `call` makes one `attempt` after another on the
`connection`s that the channel's `pool` keeps open to the addresses of its `target`, as far as `retrying` allows, until
one has `ended` for good. `requests` and `replies` are what its caller writes and reads, `state` what it waits for.
"""

from gateway.grpc_h2.client.channel import Channel

__all__ = ["Channel"]

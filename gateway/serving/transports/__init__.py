# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC's transport of every server and every channel of a pod: `grpc_h2` or `grpcio`, as `ORRERY_GRPC_TRANSPORT` says.

`choice` loads the one that is chosen; `h2` and `grpcio` are the two, alike in what they make: servers and channels with
grpc.aio's methods.
"""

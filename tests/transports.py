# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests and gRPC's two transports: `ORRERY_GRPC_TRANSPORT` chooses for pods in tests as it does for all others.

`make test` runs what is marked `transport` once more with grpcio, `make test-all` all of tests/contract and
tests/reliability.
"""

import os

import pytest

from gateway.serving.settings import TransportSettings

VARIABLE = TransportSettings.variable("grpc_transport")
# What grpcio does otherwise, or not at all.
OWN = pytest.mark.skipif(os.environ.get(VARIABLE) == "grpcio", reason="of the transport grpc_h2 alone")

# SPDX-License-Identifier: Apache-2.0
"""How to reach the gateway: retries, balancing over all its addresses, and keepalive that its servers accept."""

import json
from typing import Final

import grpc

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

_SERVICES = ("Prediction", "Anomaly", "Simulation")

SERVICE_CONFIG: Final = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                # Every method of these services can be asked twice.
                "name": [
                    {"service": f"orrery.inference.v1.{name}Service"}
                    for name in ("Prediction", "Anomaly", "Simulation")
                ],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)

OPTIONS: Final = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def open_channel(target: str) -> grpc.Channel:
    """A plaintext channel to the gateway.

    Args:
        target: "127.0.0.1:50051", or "dns:///front:50051" to balance over all addresses of a name.
    """
    return grpc.insecure_channel(target, options=OPTIONS)

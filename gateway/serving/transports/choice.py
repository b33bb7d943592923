# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport that `ORRERY_GRPC_TRANSPORT` names; the other one is not even loaded."""

import importlib
from typing import Final, cast

from gateway.serving.settings import TransportSettings
from gateway.serving.transports.interface import Transport

_MODULES: Final = {"grpc_h2": "gateway.serving.transports.h2", "grpcio": "gateway.serving.transports.grpcio"}


def chosen() -> Transport:
    """The transport of every server and channel of this process."""
    return cast("Transport", importlib.import_module(_MODULES[TransportSettings().grpc_transport]))
